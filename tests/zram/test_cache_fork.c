/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * fork(): the child goes on with a cache, while other threads of its parent use it and its shrinker
 * is at work. The child's shrinker starts when the child needs it. A file is the parent's alone.
 *
 * Wraps pthread_create(), to refuse threads under ThreadSanitizer, where a child can have none, and
 * to see the shrinker start.
 */
#include "backing_file.h"
#include "no_worker.h"
#include "slow_store.h"

#define PAGES 64 /* of each thread */
#define THREADS 3
#define FORKS 40 /* by each thread */
#define LIMIT_PAGES 64

static struct zram_cache *cache;
static struct zram_area *area;
static atomic_uint threads_started;
static pthread_barrier_t together; /* a thread allocates while it begins or ends: slow_store.h */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *arg),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *arg),
			  void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *arg),
			  void *arg)
{
	atomic_fetch_add(&threads_started, 1);
	return threads_refused ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}

static void child_uses(const void *arg)
{
	const uint64_t first = *(const uint64_t *)arg;

	for (uint64_t i = first; i < first + PAGES; i++) {
		CHILD_CHECK(cache_reads(area, i, i));
		CHILD_CHECK(cache_write(area, i, i + 1000) == 0);
		CHILD_CHECK(cache_reads(area, i, i + 1000));
	}
	CHILD_CHECK(zram_cache_shrink(cache, 10) >= 0);
	for (uint64_t i = first; i < first + PAGES; i++)
		CHILD_CHECK(cache_reads(area, i, i + 1000));
	CHILD_CHECK(zram_cache_free(area, 0, SLOW_PAGES) == 0);
	zram_cache_destroy(cache);
}

static void *fork_often(void *arg)
{
	const uint64_t first = *(const uint64_t *)arg;

	pthread_barrier_wait(&together);
	for (unsigned int i = 0; i < FORKS / TEST_LESS; i++) {
		struct child child;

		for (uint64_t k = first; k < first + PAGES; k++) {
			assert_int_equal(zram_cache_free(area, k, 1), 0);
			assert_int_equal(cache_write(area, k, k), 0);
		}
		child = run_in_child(child_uses, arg);
		assert_child_ended_well(&child);
	}
	pthread_barrier_wait(&together);
	return NULL;
}

static void test_child_goes_on_with_a_cache(void **state)
{
	struct slow_store *slow = slow_create();
	pthread_t thread[THREADS];
	uint64_t first[THREADS];

	(void)state;
	assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
	cache = make_cache((struct zram_cache_options){ .limit = LIMIT_PAGES * page_size() });
	area = attach(cache, slow);
	for (unsigned int i = 0; i < THREADS; i++) {
		first[i] = (uint64_t)i * PAGES;
		assert_int_equal(pthread_create(&thread[i], NULL, fork_often, &first[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	zram_cache_destroy(cache);
	slow_destroy(slow);
}

static bool something_is_written_back(void *arg)
{
	(void)arg;
	return cache_stat(cache).written_back > 0;
}

static void child_needs_shrinker(const void *arg)
{
	const unsigned int before = atomic_load(&threads_started);

	(void)arg;
	CHILD_CHECK(cache_stat(cache).limit_hits == 0);
	for (uint64_t i = 0; i < SLOW_PAGES; i++)
		CHILD_CHECK(cache_write(area, i, TEXT(i)) == 0);
	CHILD_CHECK(cache_stat(cache).limit_hits > 0);
	CHILD_CHECK(atomic_load(&threads_started) > before);
	CHILD_CHECK(threads_refused || wait_for(something_is_written_back, NULL));
	for (uint64_t i = 0; i < SLOW_PAGES; i++)
		CHILD_CHECK(cache_reads(area, i, TEXT(i)));
	zram_cache_destroy(cache);
}

static void test_child_starts_a_shrinker(void **state)
{
	struct slow_store *slow = slow_create();
	struct child child;

	(void)state;
	cache = make_cache((struct zram_cache_options){ .limit = LIMIT_PAGES * page_size() });
	area = attach(cache, slow);
	child = run_in_child(child_needs_shrinker, NULL);
	assert_child_ended_well(&child);
	zram_cache_destroy(cache);
	slow_destroy(slow);
}

static void child_leaves_file(const void *arg)
{
	(void)arg;
	CHILD_CHECK(cache_reads(area, 0, TEXT(0)));
	CHILD_CHECK(cache_reads(area, 1, TEXT(1)));
	CHILD_CHECK(zram_cache_flush(area) == -EROFS);
	CHILD_CHECK(cache_write(area, 1, HUGE_SEED(1)) == -EROFS);
	CHILD_CHECK(cache_reads(area, 0, TEXT(0)));
	CHILD_CHECK(cache_write(area, 1, TEXT(5)) == 0);
	CHILD_CHECK(cache_reads(area, 1, TEXT(5)));
}

static void test_child_leaves_the_file_alone(void **state)
{
	struct backing_file file = create_file(8);
	struct child child;

	(void)state;
	cache = make_cache((struct zram_cache_options){ .limit = 1 << 30 });
	area = zram_cache_attach_file(cache, file.path);
	assert_non_null(area);
	assert_int_equal(cache_write(area, 0, TEXT(0)), 0);
	assert_int_equal(zram_cache_flush(area), 0);
	assert_int_equal(cache_write(area, 1, TEXT(1)), 0);
	child = run_in_child(child_leaves_file, NULL);
	assert_child_ended_well(&child);
	assert_int_equal(zram_cache_flush(area), 0);
	assert_true(cache_reads(area, 1, TEXT(1)));
	zram_cache_destroy(cache);
	remove_file(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_goes_on_with_a_cache),
		cmocka_unit_test(test_child_starts_a_shrinker),
		cmocka_unit_test(test_child_leaves_the_file_alone),
	};

	refuse_threads_in_children();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
