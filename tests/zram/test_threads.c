/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Threads on one store. Whatever others do to a page meanwhile, a reader finds one of the pages
 * that were written there, or none, and always a whole one. In the end nothing is lost, leaked or
 * miscounted.
 */
#include "zram_pages.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4
#define SHARED_PAGES 8
#define OWN_PAGES 64
#define VERSIONS 64
#define SHARED_OPERATIONS 10000
#define OWN_OPERATIONS 10000

static struct zram *store;
static atomic_uint torn_pages;

/* What may be written to any shared page. */
static char *versions[VERSIONS];

struct worker {
	pthread_t thread;
	uint64_t seed;
	uint64_t first; /* of the pages of its own */
};

static bool is_a_version(const char *page)
{
	for (int i = 0; i < VERSIONS; i++) {
		if (memcmp(page, versions[i], page_size()) == 0)
			return true;
	}
	return false;
}

/* Versions are of every kind; the first is the empty page. */
static void make_versions(void)
{
	for (uint64_t i = 0; i < VERSIONS; i++) {
		versions[i] = malloc(page_size());
		assert_non_null(versions[i]);
		make_any_page(versions[i], i);
	}
}

static void free_versions(void)
{
	for (int i = 0; i < VERSIONS; i++)
		free(versions[i]);
}

/* All do everything to a few pages. */
static void *share_pages(void *arg)
{
	struct worker *worker = arg;
	char *page = malloc(page_size());
	int err = page ? 0 : -1;

	for (int i = 0; i < SHARED_OPERATIONS && !err; i++) {
		uint64_t random = next_random(&worker->seed);
		uint64_t index = random % SHARED_PAGES;

		switch (random / SHARED_PAGES % 8) {
		case 0:
			err = zram_slot_free_notify(store, index);
			break;
		case 1:
			err = zram_discard(store, 0, index);
			break;
		case 2:
		case 3:
		case 4:
			err = zram_write_page(store, index, versions[(random >> 32) % VERSIONS]);
			break;
		default:
			err = zram_read_page(store, index, page);
			if (!err && !is_a_version(page))
				atomic_fetch_add(&torn_pages, 1);
		}
	}
	free(page);
	return err ? worker : NULL;
}

/* Each has pages of its own, and knows what is in them. */
static void *own_pages(void *arg)
{
	struct worker *worker = arg;
	int model[OWN_PAGES] = { 0 }; /* the version */
	char *page = malloc(page_size());
	int err = page ? 0 : -1;

	for (int i = 0; i < OWN_OPERATIONS && !err; i++) {
		uint64_t random = next_random(&worker->seed);
		unsigned int own = random % OWN_PAGES;
		uint64_t index = worker->first + own;

		switch (random / OWN_PAGES % 4) {
		case 0:
			err = zram_slot_free_notify(store, index);
			model[own] = 0;
			break;
		case 1:
			model[own] = (int)((random >> 32) % VERSIONS);
			err = zram_write_page(store, index, versions[model[own]]);
			break;
		default:
			err = zram_read_page(store, index, page);
			if (!err && memcmp(page, versions[model[own]], page_size()) != 0)
				atomic_fetch_add(&torn_pages, 1);
		}
	}
	free(page);
	return err ? worker : NULL;
}

/* Compaction moves the objects while they are read and freed. */
static void *compact(void *stop)
{
	while (!atomic_load((atomic_bool *)stop))
		zs_compact(zram_get_pool(store));
	return NULL;
}

static void run(void *(*work)(void *arg), uint64_t pages, struct zram_options options)
{
	struct worker workers[THREADS];
	atomic_bool stop = false;
	uint64_t seed = random_seed();
	struct zram_mm_stat stat;
	pthread_t compactor;

	atomic_store(&torn_pages, 0);
	make_versions();
	store = create_store(pages, options);
	assert_int_equal(pthread_create(&compactor, NULL, compact, &stop), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .seed = seed + i * 7919, .first = i * OWN_PAGES };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		void *failed;

		assert_int_equal(pthread_join(workers[i].thread, &failed), 0);
		assert_null(failed);
	}
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(compactor, NULL), 0);
	assert_int_equal(atomic_load(&torn_pages), 0);

	assert_int_equal(zram_discard(store, 0, pages), 0);
	zs_free_deferred_flush(zram_get_pool(store));
	stat = stat_of(store);
	assert_int_equal(stat.orig_data_size, 0);
	assert_int_equal(stat.compr_data_size, 0);
	assert_int_equal(stat.same_pages, 0);
	assert_int_equal(stat.huge_pages, 0);
	assert_int_equal(stat.mem_used_total, 0);
	zram_destroy(store);
	free_versions();
}

static void test_same_pages(void **state)
{
	(void)state;
	run(share_pages, SHARED_PAGES, (struct zram_options){ 0 });
}

/* An algorithm that also decompresses in a stream's context. */
static void test_same_pages_zstd(void **state)
{
	(void)state;
	run(share_pages, SHARED_PAGES,
	    (struct zram_options){ .algorithm = "zstd", .free_policy = ZRAM_FREE_NOW });
}

static void test_own_pages(void **state)
{
	(void)state;
	run(own_pages, THREADS * OWN_PAGES, (struct zram_options){ 0 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_pages),
		cmocka_unit_test(test_same_pages_zstd),
		cmocka_unit_test(test_own_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
