/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Compaction returns pages and leaves every object as it was; it passes over what is pinned, and
 * goes on beside readers, writers and frees. (Reaches inside for the geometry: src/pool.h. Wraps
 * deferred_flush(), to queue handles just after the flush with which a compaction begins.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "pool.h"

static void (*after_flush)(void);

void __real_deferred_flush(struct deferred *queue);
void __wrap_deferred_flush(struct deferred *queue);

void __wrap_deferred_flush(struct deferred *queue)
{
	void (*hook)(void) = after_flush;

	__real_deferred_flush(queue);
	after_flush = NULL;
	if (hook)
		hook();
}

static unsigned long compacted_of(struct zs_pool *pool)
{
	struct zs_pool_stats stats;

	zs_pool_stats(pool, &stats);
	return stats.pages_compacted;
}

/* The pages that so many objects take when they are as close together as can be. */
static unsigned long fewest_pages(struct zs_pool *pool, size_t size, size_t objects)
{
	struct geometry geometry = class_for(&pool->classes, size)->geometry;

	return objects / geometry.slots * geometry.pages +
	       DIV_ROUND_UP(objects % geometry.slots * class_for(&pool->classes, size)->size,
			    page_size());
}

/* Free all but one in @keep objects here and there, compact, and count the pages. */
static void check_size(size_t size, size_t count, size_t keep)
{
	struct zs_pool *pool = zs_create_pool("compact");
	unsigned long *handles = objects_make(pool, size, count);
	unsigned long before, freed, kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (i % keep == 0)
			kept++;
		else
			zs_free(pool, handles[i]);
	}
	before = zs_get_total_pages(pool);
	freed = zs_compact(pool);
	assert_int_equal(zs_get_total_pages(pool), before - freed);
	assert_int_equal(zs_get_total_pages(pool), fewest_pages(pool, size, kept));
	assert_int_equal(compacted_of(pool), freed);
	assert_int_equal(zs_compact(pool), 0);
	for (size_t i = 0; i < count; i += keep)
		assert_true(object_holds(pool, handles[i], size, i));
	for (size_t i = 0; i < count; i += keep)
		zs_free(pool, handles[i]);
	assert_int_equal(zs_get_total_pages(pool), 0);
	assert_int_equal(misuses_of(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_pages_return(void **state)
{
	const size_t sizes[] = { 10, 100, 777, 1500, 3000 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		check_size(sizes[i], 3000, 2);
		check_size(sizes[i], 3000, 7);
		check_size(sizes[i], 3000, 100);
	}
	check_size(page_size(), 500, 50);
}

static void test_nothing_to_gain(void **state)
{
	struct zs_pool *pool = zs_create_pool("dense");
	unsigned long pages;

	(void)state;
	assert_int_equal(zs_compact(pool), 0);
	for (size_t size = 1; size <= page_size(); size += 50)
		object_make(pool, size, size);
	pages = zs_get_total_pages(pool);
	assert_int_equal(zs_compact(pool), 0);
	assert_int_equal(zs_get_total_pages(pool), pages);
	assert_int_equal(compacted_of(pool), 0);
	zs_destroy_pool(pool);
}

/* One object of each zspage is left, and is being read. */
static void test_pinned(void **state)
{
	const size_t size = 500;
	struct zs_pool *pool = zs_create_pool("pinned");
	u32 slots = class_for(&pool->classes, size)->geometry.slots;
	unsigned long *handles = objects_make(pool, size, slots * 20UL);
	void *memory[20];

	(void)state;
	for (size_t i = 0; i < slots * 20UL; i++)
		if (i % slots)
			zs_free(pool, handles[i]);
	for (size_t i = 0; i < 20; i++)
		memory[i] = zs_obj_read_begin(pool, handles[i * slots], size, NULL);
	alarm(WAIT_SECONDS); /* where it would wait for a reader */
	assert_int_equal(zs_compact(pool), 0);
	alarm(0);
	for (size_t i = 0; i < 20; i++) {
		assert_true(random_is(memory[i], size, i * slots));
		if (i < 10)
			zs_obj_read_end(pool, handles[i * slots], size, memory[i]);
	}
	/* Those that are not pinned any more go. */
	assert_true(zs_compact(pool) >= 9);
	for (size_t i = 10; i < 20; i++) {
		assert_true(random_is(memory[i], size, i * slots));
		zs_obj_read_end(pool, handles[i * slots], size, memory[i]);
	}
	zs_compact(pool);
	assert_int_equal(zs_get_total_pages(pool), fewest_pages(pool, size, 20));
	for (size_t i = 0; i < 20; i++)
		assert_true(object_holds(pool, handles[i * slots], size, i * slots));
	free(handles);
	zs_destroy_pool(pool);
}

#define HOSTED 2000

static struct zs_pool *hosting;
static unsigned long *queued;

static void queue_all(void)
{
	for (size_t i = 0; i < HOSTED; i++)
		if (i % 5)
			zs_free_deferred(hosting, queued[i]);
}

/* Objects that hold the deferred queue's chunks stay where they are, and so do their words. */
static void test_hosts(void **state)
{
	const size_t size = 700;

	(void)state;
	hosting = make_lazy_pool();
	queued = objects_make(hosting, size, HOSTED * 2);
	for (size_t i = HOSTED; i < HOSTED * 2; i++)
		if (i % 5)
			zs_free(hosting, queued[i]);
	after_flush = queue_all;
	zs_compact(hosting);
	zs_free_deferred_flush(hosting);
	assert_int_equal(deferred_stat(hosting, "drained"), HOSTED * 4 / 5);
	assert_int_equal(misuses_of(hosting), 0);
	zs_compact(hosting);
	assert_int_equal(zs_get_total_pages(hosting), fewest_pages(hosting, size, HOSTED * 2 / 5));
	for (size_t i = 0; i < HOSTED * 2; i += 5)
		assert_true(object_holds(hosting, queued[i], size, i));
	free(queued);
	zs_destroy_pool(hosting);
}

#define SIZE 300
#define KEPT 500

struct job {
	pthread_t thread;
	struct zs_pool *pool;
	const unsigned long *handles;
	uint64_t seed;
	bool failed;
};

static atomic_uint running;

/* Whatever moves, the kept objects read as they were written. */
static void *read_kept(void *arg)
{
	struct job *job = arg;

	for (unsigned int i = 0; i < 20000; i++) {
		size_t kept = next_random(&job->seed) % KEPT;

		if (!object_holds(job->pool, job->handles[kept], SIZE, kept))
			job->failed = true;
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* Write, read and free objects of one's own, in all ways. */
static void *churn(void *arg)
{
	struct job *job = arg;
	unsigned long own[100] = { 0 };
	size_t key[100] = { 0 };

	for (unsigned int i = 0; i < 20000; i++) {
		size_t at = next_random(&job->seed) % 100;

		if (!own[at]) {
			own[at] = zs_malloc(job->pool, SIZE, GFP_KERNEL, NUMA_NO_NODE);
			key[at] = i;
			object_fill(job->pool, own[at], SIZE, i);
			continue;
		}
		if (!object_holds(job->pool, own[at], SIZE, key[at]))
			job->failed = true;
		if (i % 3 == 0) {
			zs_free(job->pool, own[at]);
			own[at] = 0;
		} else if (i % 3 == 1) {
			zs_free_deferred(job->pool, own[at]);
			own[at] = 0;
		} else {
			object_fill(job->pool, own[at], SIZE, ++key[at]);
		}
	}
	zs_free_bulk(job->pool, own, 100);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void test_beside_others(void **state)
{
	struct zs_pool *pool = zs_create_pool("busy");
	unsigned long *handles = objects_make(pool, SIZE, KEPT);
	struct job jobs[4];

	(void)state;
	atomic_store(&running, 4);
	for (unsigned int i = 0; i < 4; i++) {
		jobs[i] = (struct job){ .pool = pool, .handles = handles, .seed = i + 1 };
		assert_int_equal(
			pthread_create(&jobs[i].thread, NULL, i < 2 ? read_kept : churn, &jobs[i]),
			0);
	}
	while (atomic_load(&running))
		zs_compact(pool);
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(jobs[i].thread, NULL);
		assert_false(jobs[i].failed);
	}
	zs_compact(pool);
	assert_int_equal(zs_get_total_pages(pool), fewest_pages(pool, SIZE, KEPT));
	zs_free_bulk(pool, handles, KEPT);
	assert_int_equal(zs_get_total_pages(pool), 0);
	assert_int_equal(misuses_of(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_return),  cmocka_unit_test(test_nothing_to_gain),
		cmocka_unit_test(test_pinned),	      cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_beside_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
