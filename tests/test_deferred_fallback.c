/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A queue that cannot take a handle at once leaves it to zs_free(): when it is full, contended or
 * has no memory. Each is brought about; no handle is lost or freed twice, and the counters tell.
 * (Reaches inside: src/pool.h. Wraps port_worker_kick(), which is called in the middle of queueing a
 * handle.)
 */
#include "fake_owner.h"

#include <pthread.h>

#include "pool.h"

#define THREADS 4

static _Thread_local void (*in_kick)(void); /* what the thread's next kick does first */
static struct zs_pool *kicked_pool;
static unsigned long late_handle;
static unsigned long objects_after;

void __real_port_worker_kick(struct port_worker *worker, unsigned int delay_ms);
void __wrap_port_worker_kick(struct port_worker *worker, unsigned int delay_ms);

void __wrap_port_worker_kick(struct port_worker *worker, unsigned int delay_ms)
{
	void (*hook)(void) = in_kick;

	in_kick = NULL;
	if (hook)
		hook();
	__real_port_worker_kick(worker, delay_ms);
}

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
	struct size_class *class = class_for(&pool->classes, 1000);
	unsigned long *handles = objects_make(pool, 1000, 1000);

	(void)state;
	port_mutex_lock(&pool->deferred.drain); /* a drain that does not end */
	for (unsigned int i = 0; i < 1000; i++)
		zs_free_deferred(pool, handles[i]);
	assert_int_equal(class->objects, 100); /* the others are free already */
	port_mutex_unlock(&pool->deferred.drain);
	assert_int_equal(deferred_stat(pool, "fallbacks_full"), 900);
	assert_int_equal(fallbacks(pool), 900);
	assert_all_freed(pool, 1000);
	free(handles);
	zs_destroy_pool(pool);
}

/* As an interrupt does that comes in the middle of queueing, while another has the shared lane. */
static void free_in_kick(void)
{
	zs_free_deferred(kicked_pool, late_handle);
	objects_after = class_for(&kicked_pool->classes, 300)->objects;
}

static void test_contended(void **state)
{
	struct zs_pool *pool;
	unsigned long handle;

	(void)state;
	pool = make_lazy_pool();
	kicked_pool = pool;
	handle = object_make(pool, 1000, 1);
	late_handle = object_make(pool, 300, 2);
	in_kick = free_in_kick;
	objects_after = 1;
	shared_lanes_hold(&pool->deferred, true);
	zs_free_deferred(pool, handle);
	shared_lanes_hold(&pool->deferred, false);
	assert_int_equal(objects_after, 0);
	assert_int_equal(deferred_stat(pool, "pending"), 1);
	assert_int_equal(deferred_stat(pool, "fallbacks_contended"), 1);
	assert_int_equal(fallbacks(pool), 1);
	assert_all_freed(pool, 2);
	zs_destroy_pool(pool);
}

#define SPARES (DEFERRED_SPARES * DEFERRED_SPARE) /* words that a lane's spare chunks take */

/* Objects too small to host a chunk, when the lane's spare chunks are full and not drained yet. */
static void test_no_memory(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	struct size_class *class = class_for(&pool->classes, 10);
	unsigned long *handles = objects_make(pool, 10, 1000);

	(void)state;
	port_mutex_lock(&pool->deferred.drain);
	for (unsigned int i = 1000;
	     i-- > 0;) /* not in the order in which they would take less room */
		zs_free_deferred(pool, handles[i]);
	assert_int_equal(class->objects, SPARES);
	assert_int_equal(deferred_stat(pool, "pending"), SPARES);
	port_mutex_unlock(&pool->deferred.drain); /* and the worker, which was woken, may drain */
	assert_int_equal(deferred_stat(pool, "fallbacks_no_memory"), 1000 - SPARES);
	assert_int_equal(fallbacks(pool), 1000 - SPARES);
	assert_all_freed(pool, 1000);

	/* The spare chunks are of use again. */
	free(handles);
	handles = objects_make(pool, 10, 1);
	port_mutex_lock(&pool->deferred.drain);
	zs_free_deferred(pool, handles[0]);
	assert_int_equal(deferred_stat(pool, "pending"), 1);
	port_mutex_unlock(&pool->deferred.drain);
	assert_all_freed(pool, 1001);
	free(handles);
	zs_destroy_pool(pool);
}

struct job {
	pthread_t thread;
	struct zs_pool *pool;
	unsigned int number;
};

#define THREAD_OBJECTS 20000

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
		cmocka_unit_test(test_contended),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
