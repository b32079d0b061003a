/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * When half of the capacity is pending the worker is scheduled. (Reaches inside for the exact
 * moment, with an owner of its own: src/deferred.h.)
 */
#include "fake_owner.h"

/* Put words until the wake without delay comes, which must be with the word that makes it half. */
static void check_moment(struct fake_owner *owner, unsigned int capacity)
{
	unsigned int before = owner->put;

	atomic_store(&owner->wake_delay, 1);
	for (unsigned int i = 1; i < capacity / 2; i++) {
		assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
		assert_int_not_equal(atomic_load(&owner->wake_delay), 0);
	}
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	assert_int_equal(atomic_load(&owner->wake_delay), 0);
	assert_int_equal(atomic_load(&owner->words_at_wake) - before, capacity / 2);
}

static void test_moment(void **state)
{
	const unsigned int capacities[] = { 2, 3, 10, 33, 1000, 4097, 32768 };
	const size_t hosts[] = { DEFERRED_HOST_LEAST, 600, 4096 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		for (unsigned int j = 0; j < sizeof(hosts) / sizeof(hosts[0]); j++) {
			struct fake_owner *owner = owner_make(capacities[i], hosts[j]);

			check_moment(owner, capacities[i]);
			deferred_flush(&owner->queue);
			check_moment(owner, capacities[i]); /* and again */
			owner_destroy(owner);
		}
	}
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
	unsigned long *handles = objects_make(pool, 1000, 500);

	(void)state;
	for (unsigned int i = 0; i < 500; i++)
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

	return cmocka_run_group_tests(tests, NULL, NULL);
}
