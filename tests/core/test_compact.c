/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Compaction returns pages and leaves every object as it was; it passes over what is read, and
 * goes on beside readers, writers and frees. (Reaches inside for the geometry: src/pool.h. Wraps
 * drain_flush(), to queue handles just after the flush with which a compaction begins.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "pool.h"

static void (*after_flush)(void);

u64 __real_drain_flush(void);
u64 __wrap_drain_flush(void);

u64 __wrap_drain_flush(void)
{
	void (*hook)(void) = after_flush;
	u64 count = __real_drain_flush();

	after_flush = NULL;
	if (hook)
		hook();
	return count;
}

static unsigned long compacted_of(struct zs_pool *pool)
{
	struct zs_pool_stats stats;

	zs_pool_stats(pool, &stats);
	return stats.pages_compacted;
}

/* The pages that a number of objects take when they are as close together as can be. */
static unsigned long fewest_pages(struct zs_pool *pool, size_t size, size_t objects)
{
	struct geometry geometry = pool->table->geometry[class_for(pool->table, size)];

	return objects / geometry.slots * geometry.pages +
	       DIV_ROUND_UP(objects % geometry.slots * geometry.size, page_size());
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
static void test_read(void **state)
{
	const size_t size = 500;
	struct zs_pool *pool = zs_create_pool("read");
	u32 slots = pool->table->geometry[class_for(pool->table, size)].slots;
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
	/* Those that have no reader any more go. */
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

#define QUEUED 2000

static struct zs_pool *waiting;
static unsigned long *queued;

static void queue_all(void)
{
	for (size_t i = 0; i < QUEUED; i++)
		if (i % 5)
			zs_free_deferred(waiting, queued[i]);
}

/* Objects that wait to be freed move like any other. */
static void test_waiting(void **state)
{
	const size_t size = 700;

	(void)state;
	waiting = make_lazy_pool();
	queued = objects_make(waiting, size, QUEUED * 2);
	for (size_t i = QUEUED; i < QUEUED * 2; i++)
		if (i % 5)
			zs_free(waiting, queued[i]);
	after_flush = queue_all;
	zs_compact(waiting);
	zs_free_deferred_flush(waiting);
	assert_int_equal(deferred_stat(waiting, "drained"), QUEUED * 4 / 5);
	assert_int_equal(misuses_of(waiting), 0);
	zs_compact(waiting);
	assert_int_equal(zs_get_total_pages(waiting), fewest_pages(waiting, size, QUEUED * 2 / 5));
	for (size_t i = 0; i < QUEUED * 2; i += 5)
		assert_true(object_holds(waiting, queued[i], size, i));
	free(queued);
	zs_destroy_pool(waiting);
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
		cmocka_unit_test(test_read),	      cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_beside_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
