/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zram_get_mm_stat(): each field means what the kernel's mm_stat says, and the counts stay exact
 * whichever threads count in and out.
 *
 * This test reaches inside, to know which threads share a stripe of the counters.
 */
#include "zram_pages.h"

#include <pthread.h>

#include "counters.h"

#define NR_PAGES 300

static void test_empty(void **state)
{
	struct zram *zram = create_store(1, (struct zram_options){ 0 });
	const struct zram_mm_stat zero = { 0 };
	struct zram_mm_stat stat = stat_of(zram);

	(void)state;
	assert_memory_equal(&stat, &zero, sizeof(stat));
	zram_destroy(zram);
}

static void test_each_kind(void **state)
{
	struct zram *zram = create_store(4, (struct zram_options){ 0 });
	char *page = malloc(page_size());
	struct zram_mm_stat stat;

	(void)state;
	assert_non_null(page);
	make_same_page(page, 1);
	assert_int_equal(zram_write_page(zram, 0, page), 0);
	stat = stat_of(zram);
	assert_int_equal(stat.orig_data_size, page_size());
	assert_int_equal(stat.compr_data_size, 0);
	assert_int_equal(stat.mem_used_total, 0);
	assert_int_equal(stat.same_pages, 1);
	assert_int_equal(stat.huge_pages, 0);

	make_text_page(page, 1);
	assert_int_equal(zram_write_page(zram, 1, page), 0);
	stat = stat_of(zram);
	assert_int_equal(stat.orig_data_size, 2 * page_size());
	assert_in_range(stat.compr_data_size, page_size() / 4, page_size() * 3 / 4);
	assert_true(stat.mem_used_total >= page_size());
	assert_int_equal(stat.mem_used_total,
			 zs_get_total_pages(zram_get_pool(zram)) * page_size());
	assert_int_equal(stat.same_pages, 1);
	assert_int_equal(stat.huge_pages, 0);

	/* A page that does not compress counts with its full size. */
	make_random_page(page, 1);
	assert_int_equal(zram_write_page(zram, 1, page), 0);
	stat = stat_of(zram);
	assert_int_equal(stat.orig_data_size, 2 * page_size());
	assert_int_equal(stat.compr_data_size, page_size());
	assert_int_equal(stat.huge_pages, 1);
	assert_int_equal(stat.huge_pages_since, 1);

	/* What was stored once still counts in huge_pages_since. */
	assert_int_equal(zram_write_page(zram, 1, page), 0);
	assert_int_equal(zram_write_page(zram, 2, page), 0);
	assert_int_equal(zram_slot_free_notify(zram, 1), 0);
	assert_int_equal(zram_discard(zram, 0, 2), 0);
	stat = stat_of(zram);
	assert_int_equal(stat.orig_data_size, page_size());
	assert_int_equal(stat.compr_data_size, page_size());
	assert_int_equal(stat.same_pages, 0);
	assert_int_equal(stat.huge_pages, 1);
	assert_int_equal(stat.huge_pages_since, 3);

	free(page);
	zram_destroy(zram);
}

static void test_used_max(void **state)
{
	struct zram *zram = create_store(NR_PAGES, (struct zram_options){ 0 });
	char *page = malloc(page_size());
	uint64_t most;

	(void)state;
	assert_non_null(page);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_random_page(page, i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	most = stat_of(zram).mem_used_total;
	assert_true(most >= NR_PAGES * page_size());
	assert_int_equal(zram_discard(zram, 0, NR_PAGES), 0);
	assert_int_equal(stat_of(zram).mem_used_total, 0);
	/* An object more than at the end may have been there. */
	assert_in_range(stat_of(zram).mem_used_max, most, most + 16 * page_size());
	free(page);
	zram_destroy(zram);
}

static void test_limit_and_compaction(void **state)
{
	struct zram *zram = create_store(NR_PAGES, (struct zram_options){
							   .mem_limit = 4096 * page_size() - 1,
						   });
	char *page = malloc(page_size());
	unsigned long compacted;

	(void)state;
	assert_non_null(page);
	assert_int_equal(stat_of(zram).mem_limit, 4096 * page_size());
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_text_page(page, i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		if (i % 8 != 0)
			assert_int_equal(zram_discard(zram, i, 1), 0);
	}
	compacted = zs_compact(zram_get_pool(zram));
	assert_true(compacted > 0);
	assert_int_equal(stat_of(zram).pages_compacted, compacted);
	for (uint64_t i = 0; i < NR_PAGES; i += 8) {
		make_text_page(page, i);
		assert_page_is(zram, i, page);
	}
	free(page);
	zram_destroy(zram);
}

/* More threads than there are stripes to own, each counting out what another counted in. */
enum {
	THREADS = 100,
	PAGES_A_THREAD = 20
};

struct worker {
	pthread_t thread;
	struct zram *zram;
	pthread_barrier_t *barrier;
	uint64_t number;
	int err;
};

static void *write_and_free(void *arg)
{
	struct worker *worker = arg;
	uint64_t other = (worker->number + 1) % THREADS;
	char *page = malloc(page_size());

	worker->err = page ? 0 : -1;
	for (uint64_t i = 0; i < PAGES_A_THREAD && !worker->err; i++) {
		make_any_page(page, i);
		worker->err =
			zram_write_page(worker->zram, worker->number * PAGES_A_THREAD + i, page);
	}
	pthread_barrier_wait(worker->barrier);
	for (uint64_t i = 0; i < PAGES_A_THREAD / 2 && !worker->err; i++)
		worker->err = zram_slot_free_notify(worker->zram, other * PAGES_A_THREAD + i);
	free(page);
	return NULL;
}

static void run_workers(struct zram *zram, void *(*work)(void *arg))
{
	static struct worker workers[THREADS];
	pthread_barrier_t barrier;

	assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .zram = zram, .barrier = &barrier, .number = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		assert_int_equal(workers[i].err, 0);
	}
	pthread_barrier_destroy(&barrier);
}

static void test_many_threads(void **state)
{
	struct zram *zram = create_store(THREADS * PAGES_A_THREAD, (struct zram_options){ 0 });
	struct zram_mm_stat stat;

	(void)state;
	/* Twice: the second time with stripes that ended threads gave back. */
	for (unsigned int round = 1; round <= 2; round++) {
		run_workers(zram, write_and_free);

		/* Of the pages 10 to 19, 12 and 16 are of one word, 13 and 17 random. */
		stat = stat_of(zram);
		assert_int_equal(stat.orig_data_size, THREADS * PAGES_A_THREAD / 2 * page_size());
		assert_int_equal(stat.same_pages, THREADS * 2);
		assert_int_equal(stat.huge_pages, THREADS * 2);
		assert_int_equal(stat.huge_pages_since, round * THREADS * PAGES_A_THREAD / 4);
	}
	assert_int_equal(zram_discard(zram, 0, THREADS * PAGES_A_THREAD), 0);
	stat = stat_of(zram);
	assert_int_equal(stat.orig_data_size, 0);
	assert_int_equal(stat.compr_data_size, 0);
	assert_int_equal(stat.same_pages, 0);
	assert_int_equal(stat.huge_pages, 0);
	zram_destroy(zram);
}

/*
 * So often that threads which share a stripe and did not add atomically would lose counts. Those
 * that own one only wait, so that all that share run at once.
 */
static void *count_often(void *arg)
{
	struct worker *worker = arg;
	char *page = malloc(page_size());

	worker->err = page ? 0 : -1;
	if (page) {
		make_same_page(page, worker->number);
		worker->err = zram_write_page(worker->zram, worker->number, page);
	}
	pthread_barrier_wait(worker->barrier);
	for (int i = 0; i < 20000 && counters_stripe == COUNTERS_SHARED && !worker->err; i++) {
		worker->err = zram_slot_free_notify(worker->zram, worker->number);
		if (!worker->err)
			worker->err = zram_write_page(worker->zram, worker->number, page);
	}
	/* No thread ends, and gives its stripe to another, before all are done. */
	pthread_barrier_wait(worker->barrier);
	free(page);
	return NULL;
}

static void test_shared_stripe(void **state)
{
	struct zram *zram = create_store(THREADS, (struct zram_options){ 0 });

	(void)state;
	run_workers(zram, count_often);
	assert_int_equal(stat_of(zram).orig_data_size, THREADS * page_size());
	assert_int_equal(stat_of(zram).same_pages, THREADS);
	zram_destroy(zram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),	     cmocka_unit_test(test_each_kind),
		cmocka_unit_test(test_used_max),     cmocka_unit_test(test_limit_and_compaction),
		cmocka_unit_test(test_many_threads), cmocka_unit_test(test_shared_stripe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
