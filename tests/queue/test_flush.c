/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 8: zs_free_deferred_flush() waits for a running drain, then drains the rest. On
 * return every handle that was queued before is free. Producers cannot keep it from returning.
 * (Reaches inside for the order of events: src/pool.h.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "pool.h"

struct flush {
	pthread_t thread;
	struct zs_pool *pool;
	atomic_bool begins;
	atomic_bool returned;
};

static void *flush(void *arg)
{
	struct flush *flushing = arg;

	atomic_store(&flushing->begins, true);
	zs_free_deferred_flush(flushing->pool);
	atomic_store(&flushing->returned, true);
	return NULL;
}

static bool has_begun(void *arg)
{
	return atomic_load((atomic_bool *)arg);
}

static void test_waits_for_drain(void **state)
{
	struct flush flushing = { .pool = make_lazy_pool() };
	unsigned long *handles = objects_make(flushing.pool, 700, 1000);

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		zs_free_deferred(flushing.pool, handles[i]);
	port_mutex_lock(&runtime.queue.drain); /* a drain in the middle of its work */
	assert_int_equal(drain_some(GFP_NOWAIT), 0); /* another may not wait */
	assert_int_equal(pthread_create(&flushing.thread, NULL, flush, &flushing), 0);
	assert_true(wait_for(has_begun, &flushing.begins));
	for (unsigned int i = 0; i < 100; i++) {
		sched_yield();
		assert_false(atomic_load(&flushing.returned));
	}
	port_mutex_unlock(&runtime.queue.drain);
	pthread_join(flushing.thread, NULL);
	assert_int_equal(zs_get_total_pages(flushing.pool), 0);
	free(handles);
	zs_destroy_pool(flushing.pool);
}

/*
 * A flush that comes in the middle of another drain's pass misses nothing before the pass's place.
 */
static void test_in_a_pass(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *handles = objects_make(pool, 700, 20000);

	(void)state;
	for (unsigned int i = 0; i < 10000; i++)
		zs_free_deferred(pool, handles[2 * i]);
	assert_true(drain_some(GFP_KERNEL) > 0);
	assert_int_not_equal(runtime.queue.lane, 0); /* the pass goes on in this thread's lane */
	for (unsigned int i = 0; i < 10000; i++)
		zs_free_deferred(pool, handles[2 * i + 1]);
	zs_free_deferred_flush(pool);
	assert_int_equal(pool_objects(pool), 0);
	assert_int_equal(deferred_stat(pool, "pending"), 0);
	free(handles);
	zs_destroy_pool(pool);
}

struct producer {
	pthread_t thread;
	struct zs_pool *pool;
	atomic_bool stop;
};

static void *produce(void *arg)
{
	struct producer *producer = arg;

	while (!atomic_load(&producer->stop)) {
		unsigned long handle = zs_malloc(producer->pool, 700, GFP_KERNEL, NUMA_NO_NODE);

		zs_free_deferred(producer->pool, handle);
	}
	return NULL;
}

/* What this thread has queued is free when its flush returns, whatever the others are at. */
static void test_beside_producers(void **state)
{
	struct producer producers[3];
	struct zs_pool *pool =
		make_pool((struct zs_pool_options){ .deferred_budget = 1000 * page_size() });
	const struct size_class *class = &pool->class[pool->table->count - 1];

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		producers[i].pool = pool;
		atomic_store(&producers[i].stop, false);
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
				 0);
	}
	for (unsigned int round = 0; round < 50; round++) {
		unsigned long *handles = objects_make(pool, page_size(), 16);

		for (unsigned int i = 0; i < 16; i++)
			zs_free_deferred(pool, handles[i]);
		zs_free_deferred_flush(pool);
		assert_int_equal(READ_ONCE(class->objects), 0);
		free(handles);
	}
	for (unsigned int i = 0; i < 3; i++) {
		atomic_store(&producers[i].stop, true);
		pthread_join(producers[i].thread, NULL);
	}
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "pending"), 0);
	assert_int_equal(zs_get_total_pages(pool), 0);
	zs_destroy_pool(pool);
}

/* There is nothing to wait for. */
static void test_empty(void **state)
{
	struct zs_pool *pool = make_lazy_pool();

	(void)state;
	zs_free_deferred_flush(pool);
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "drained"), 0);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_for_drain),
		cmocka_unit_test(test_in_a_pass),
		cmocka_unit_test(test_beside_producers),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
