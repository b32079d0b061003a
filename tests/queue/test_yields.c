/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 10: a drain works in bounded batches, lets others run between them, and holds no
 * lock then. The worker makes way for a caller that waits for it. (Reaches inside: src/pool.h.
 * Wraps sched_yield(), by which a process lets others run.)
 */
#include "helpers.h"

#include "pool.h"

#define OBJECTS 30000

static unsigned int yields;
static unsigned long long drained_before, largest;
static void (*in_yield)(void);
static struct zs_pool *pool;
static unsigned long kept;

int __wrap_sched_yield(void);

int __wrap_sched_yield(void)
{
	unsigned long long drained = READ_ONCE(runtime.queue.drained);

	yields++;
	largest = drained - drained_before > largest ? drained - drained_before : largest;
	drained_before = drained;
	if (in_yield)
		in_yield();
	return 0;
}

/* Uses what would deadlock if the drain still held a lock. */
static void use_pool(void)
{
	unsigned long handle = object_make(pool, 700, 1);

	assert_true(object_holds(pool, kept, 700, 7));
	zs_free(pool, handle);
	zs_free_deferred(pool, object_make(pool, 700, 2));
}

static void check_flush(size_t step)
{
	unsigned long *handles;

	pool = make_lazy_pool();
	handles = objects_make(pool, 700, OBJECTS);
	kept = object_make(pool, 700, 7);
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free_deferred(pool, handles[i * step % OBJECTS]);
	yields = 0;
	largest = 0;
	drained_before = 0;
	in_yield = use_pool;
	alarm(WAIT_SECONDS); /* where there would be a deadlock */
	zs_free_deferred_flush(pool);
	alarm(0);
	in_yield = NULL;
	assert_true(yields >= OBJECTS / FREE_BATCH);
	assert_in_range(largest, 1, FREE_BATCH + 1024); /* a batch, and what use_pool() drained */
	zs_free_deferred_flush(pool);
	zs_free(pool, kept);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_flush(void **state)
{
	(void)state;
	check_flush(1);
	check_flush(7);
}

/* The worker stops after a batch, and comes again later, if a caller waits for the drain mutex. */
static void test_worker_makes_way(void **state)
{
	unsigned long *handles;
	u64 before;

	(void)state;
	pool = make_lazy_pool();
	handles = objects_make(pool, 700, OBJECTS);
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free_deferred(pool, handles[i]);
	before = runtime.queue.drained;
	do { /* the first time it may come to the end of a pass that was under way */
		WRITE_ONCE(runtime.queue.wanted, true);
		assert_true(drain_work() > 0);
		assert_false(runtime.queue.wanted);
	} while (runtime.queue.drained == before);
	assert_int_equal(runtime.queue.drained - before, FREE_BATCH);
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_worker_makes_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
