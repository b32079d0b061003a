/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Below half the capacity nothing lingers: a drain begins at most the drain delay after the first
 * handle was queued. (Reaches inside for the wake-up itself, with an owner of its own:
 * src/deferred.h.)
 */
#include "fake_owner.h"

/* The first word asks for a drain within the delay; the others rely on that. */
static void test_wake(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);

	(void)state;
	for (unsigned int round = 1; round <= 5; round++) {
		assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
		assert_int_equal(atomic_load(&owner->wakes), round);
		assert_int_equal(atomic_load(&owner->wake_delay), 1234);
		for (unsigned int i = 0; i < 1000; i++)
			owner_put(owner);
		assert_int_equal(atomic_load(&owner->wakes), round);
		deferred_flush(&owner->queue);
		assert_int_equal(atomic_load(&owner->freed), owner->put);
	}
	owner_destroy(owner);
}

/* A word that comes while a drain is at work asks for another. */
static void put_once(struct fake_owner *owner, unsigned int count)
{
	(void)count;
	owner->in_free = NULL;
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
}

static void test_wake_in_drain(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);

	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		owner_put(owner);
	assert_int_equal(atomic_load(&owner->wakes), 1);
	owner->in_free = put_once;
	deferred_flush(&owner->queue);
	assert_int_equal(deferred_pending(&owner->queue), 1);
	assert_int_equal(atomic_load(&owner->wakes), 2);
	owner_destroy(owner);
}

static bool has_drained(void *pool)
{
	return deferred_stat(pool, "pending") == 0;
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

/* Whatever CPU it was queued on. */
static void test_every_cpu(void **state)
{
	struct zs_pool *pool = zs_create_pool("everywhere");
	cpu_set_t all, one;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
		zs_free_deferred(pool, object_make(pool, 1000, cpu));
	}
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	assert_true(wait_for(has_drained, pool));
	assert_int_equal(zs_get_total_pages(pool), 0);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_wake_in_drain),
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_every_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
