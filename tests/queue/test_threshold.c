/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 5: when pending reaches half the capacity, the worker is scheduled. (Wraps
 * port_worker_kick(), to see the moment.)
 */
#include "helpers.h"
#include "kicks.h"

/* What is queued beyond a bound, at most: as a lane comes to count, and until it does again. */
#define LAG (2 * QUEUE_LAG_MOST)

/* Queues handles until the call without delay comes: at half, or as late as a lane may count. */
static void check_moment(unsigned int capacity, size_t step)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = capacity * page_size(),
		.deferred_delay_ms = NEVER_MS,
	});
	unsigned long *handles = objects_make(pool, 100, (capacity + LAG) * step);
	unsigned int queued = 0;

	zs_free_deferred(pool, handles[queued++]);
	atomic_store(&kick_delay, 1);
	while (atomic_load(&kick_delay) && queued < capacity + LAG)
		zs_free_deferred(pool, handles[step * queued++]);
	assert_int_equal(atomic_load(&kick_delay), 0);
	assert_in_range(queued, capacity / 2, capacity / 2 + LAG);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_moment(void **state)
{
	const unsigned int capacities[] = { 2, 33, 1000, 4097 };

	(void)state;
	atomic_store(&kicks_pass, false);
	for (unsigned int i = 0; i < 4; i++) {
		check_moment(capacities[i], 1);
		check_moment(capacities[i], 2);
	}
	atomic_store(&kicks_pass, true);
}

static bool has_drained(void *pool)
{
	return deferred_stat(pool, "pending") == 0;
}

/* Nothing but the threshold can wake this pool's worker. */
static void test_worker(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = 1000 * page_size(),
		.deferred_delay_ms = NEVER_MS,
	});
	unsigned long *handles = objects_make(pool, 1000, 500 + LAG);

	(void)state;
	for (unsigned int i = 0; i < 500 + LAG; i++)
		zs_free_deferred(pool, handles[i]);
	assert_true(wait_for(has_drained, pool));
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moment),
		cmocka_unit_test(test_worker),
	};

	atomic_store(&kicks_pass, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
