/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 7: a queue that cannot take a handle at once leaves it to zs_free(), when it is
 * full, contended or has no memory. Each is brought about; no handle is lost or freed twice, and
 * the counters tell. (Reaches inside: src/pool.h.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "pool.h"

#define THREADS 4
/* What is queued beyond a bound, at most: as a lane comes to count, and until it does again. */
#define LAG (2 * QUEUE_LAG_MOST)
#define SEGMENT_CELLS ((PORT_PAGE_SIZE - sizeof(struct segment)) / sizeof(u64))

static unsigned long long fallbacks(struct zs_pool *pool)
{
	return deferred_stat(pool, "fallbacks_full") + deferred_stat(pool, "fallbacks_contended") +
	       deferred_stat(pool, "fallbacks_no_memory");
}

/* Every handle was either queued or freed at once, and after a flush all of them are free. */
static void assert_all_freed(struct zs_pool *pool, size_t count)
{
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "pending"), 0);
	assert_int_equal(deferred_stat(pool, "queued") + fallbacks(pool), count);
	assert_int_equal(zs_get_total_pages(pool), 0);
	assert_int_equal(misuses_of(pool), 0);
}

static void test_full(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = 100 * page_size(),
		.deferred_delay_ms = NEVER_MS,
	});
	unsigned long *handles = objects_make(pool, 1000, 1000);
	unsigned long long pending;

	(void)state;
	port_mutex_lock(&runtime.queue.drain); /* a drain that does not end */
	for (unsigned int i = 0; i < 1000; i++)
		zs_free_deferred(pool, handles[i]);
	pending = deferred_stat(pool, "pending");
	assert_in_range(pending, 100, 100 + LAG);
	assert_int_equal(pool_objects(pool), pending); /* the others are free already */
	assert_int_equal(deferred_stat(pool, "fallbacks_full"), 1000 - pending);
	port_mutex_unlock(&runtime.queue.drain);
	assert_int_equal(fallbacks(pool), 1000 - pending);
	assert_all_freed(pool, 1000);
	free(handles);
	zs_destroy_pool(pool);
}

/* As an interrupt does that comes while its CPU's lane is in use. */
static void test_busy_lane(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long handle = object_make(pool, 1000, 1), late = object_make(pool, 300, 2);
	struct lane *lane;

	(void)state;
	zs_free_deferred(pool, handle);
	lane = lane_enter();
	assert_non_null(lane);
	zs_free_deferred(pool, late);
	assert_int_equal(pool_objects(pool), 1);
	lane_leave(lane);
	assert_int_equal(deferred_stat(pool, "pending"), 1);
	assert_int_equal(deferred_stat(pool, "fallbacks_contended"), 1);
	assert_all_freed(pool, 2);
	zs_destroy_pool(pool);
}

/* Neither the store nor the free segments that are kept have a page. */
static void test_no_memory(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	struct port_lock *lock = &runtime.zspages.store.lock;
	const size_t count = 2 * SEGMENT_CELLS * (runtime.queue.free_count + 1);
	unsigned long *handles = objects_make(pool, 10, 2 * count);
	unsigned long long pending;

	(void)state;
	while (!port_lock_try(lock)) /* as another thread does: the producer's try fails */
		sched_yield();
	for (size_t i = 0; i < count; i++) /* no zspage loses its last object */
		zs_free_deferred(pool, handles[2 * i]);
	pending = queue_pending(&runtime.queue);
	atomic_xchg_release(&lock->state, PORT_LOCK_FREE);
	assert_true(pending < count);
	assert_int_equal(deferred_stat(pool, "fallbacks_no_memory"), count - pending);
	for (size_t i = 0; i < count; i++)
		zs_free(pool, handles[2 * i + 1]);
	assert_all_freed(pool, count);
	free(handles);
	zs_destroy_pool(pool);
}

static void *defer_all(void *arg)
{
	struct zs_pool *pool = arg;

	for (unsigned int i = 0; i < 20; i++)
		zs_free_deferred(pool, object_make(pool, 100, i));
	return NULL;
}

static pthread_barrier_t all_there;

static void *defer_and_stay(void *arg)
{
	defer_all(arg);
	pthread_barrier_wait(&all_there);
	return NULL;
}

/* There are fewer lanes than threads: those without one free at once, and nothing is lost. */
static void test_more_threads_than_lanes(void **state)
{
	enum {
		MANY = PORT_LANES + 20
	};
	struct zs_pool *pool = make_lazy_pool();
	pthread_t threads[MANY];

	(void)state;
	assert_int_equal(pthread_barrier_init(&all_there, NULL, MANY), 0);
	for (unsigned int i = 0; i < MANY; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, defer_and_stay, pool), 0);
	for (unsigned int i = 0; i < MANY; i++)
		pthread_join(threads[i], NULL);
	assert_true(deferred_stat(pool, "fallbacks_contended") >= 20 * 20);
	assert_all_freed(pool, MANY * 20UL);
	pthread_barrier_destroy(&all_there);
	zs_destroy_pool(pool);
}

struct job {
	pthread_t thread;
	struct zs_pool *pool;
	unsigned int number;
};

#define THREAD_OBJECTS 6000

static void *make_and_free(void *arg)
{
	struct job *job = arg;
	uint64_t random = job->number + 1;

	for (unsigned int done = 0; done < THREAD_OBJECTS;) {
		unsigned long handles[100];

		for (unsigned int i = 0; i < 100; i++, done++)
			handles[i] = zs_malloc(job->pool, 1 + next_random(&random) % 1500,
					       GFP_KERNEL, NUMA_NO_NODE);
		for (unsigned int i = 0; i < 100; i++)
			zs_free_deferred(job->pool, handles[i]);
	}
	return NULL;
}

/* Threads on a queue that is much too small for them. */
static void test_threads(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = 32 * page_size(),
		.deferred_delay_ms = 1,
	});
	struct job jobs[THREADS];

	(void)state;
	for (unsigned int i = 0; i < THREADS; i++) {
		jobs[i] = (struct job){ .pool = pool, .number = i };
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, make_and_free, &jobs[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(jobs[i].thread, NULL);
	assert_all_freed(pool, THREADS * THREAD_OBJECTS);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_busy_lane),
		cmocka_unit_test(test_no_memory),
		/* Last: the more lanes there are, the more free segments the queue keeps. */
		cmocka_unit_test(test_more_threads_than_lanes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
