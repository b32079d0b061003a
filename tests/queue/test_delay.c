/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 6: below half the capacity nothing lingers; a drain begins at most the drain delay
 * after the first handle was queued. (Wraps port_worker_kick(), to see the call for it.)
 */
#include "helpers.h"
#include "kicks.h"

static bool worker_sleeps(void *arg)
{
	(void)arg;
	return READ_ONCE(runtime.queue.asleep);
}

static bool has_drained(void *pool)
{
	return deferred_stat(pool, "pending") == 0;
}

/* The first handle calls the worker within the delay; the others rely on that. */
static void test_first_calls(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1234 });
	unsigned long *handles = objects_make(pool, 1000, 1000);
	unsigned int before;

	(void)state;
	assert_true(wait_for(worker_sleeps, NULL));
	atomic_store(&kicks_pass, false);
	before = atomic_load(&kicks);
	zs_free_deferred(pool, handles[0]);
	assert_int_equal(atomic_load(&kicks), before + 1);
	assert_int_equal(atomic_load(&kick_delay), 1234);
	assert_false(worker_sleeps(NULL));
	for (unsigned int i = 1; i < 1000; i++)
		zs_free_deferred(pool, handles[i]);
	assert_int_equal(atomic_load(&kicks), before + 1);
	free(handles);
	atomic_store(&kicks_pass, true);
	zs_destroy_pool(pool);
}

/* A handle that follows in a run that a drain has emptied calls the worker, too, once it sleeps. */
static void test_run_goes_on(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });
	unsigned long *handles = objects_make(pool, 1000, 40);

	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		zs_free_deferred(pool, handles[i]);
		assert_true(wait_for(has_drained, pool));
		assert_true(wait_for(worker_sleeps, NULL));
	}
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static void check_pool(struct zs_pool *pool, size_t size, unsigned int count)
{
	unsigned long *handles = objects_make(pool, size, count);

	for (unsigned int i = 0; i < count; i++)
		zs_free_deferred(pool, handles[i]);
	assert_true(wait_for(has_drained, pool));
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
}

static void test_worker(void **state)
{
	struct zs_pool *pool = zs_create_pool("default");

	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		check_pool(pool, 1000, 1);
		check_pool(pool, 10, 1);
		check_pool(pool, 10, 100);
		check_pool(pool, 700, 1000);
	}
	zs_destroy_pool(pool);
}

/* The queue has the shortest delay of its pools. */
static void test_shortest(void **state)
{
	struct zs_pool *lazy = make_lazy_pool();
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });

	(void)state;
	check_pool(lazy, 1000, 100);
	zs_destroy_pool(pool);
	zs_destroy_pool(lazy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_calls),
		cmocka_unit_test(test_run_goes_on),
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_shortest),
	};

	atomic_store(&kicks_pass, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
