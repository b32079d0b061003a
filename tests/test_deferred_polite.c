/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The worker's drain gives way to those who want its CPU, and comes back soon: it frees a batch at least
 * each time. Who asks for a flush gets one, whoever wants the CPU, and a queue that is half full is drained
 * at once. (Reaches inside, with an owner of its own: src/deferred.h. Wraps port_crowded(), by which a host
 * tells that others want the CPU.)
 */
#include "fake_owner.h"

#define WORDS 100000U
#define PAUSE_MS 5 /* the longest */

static atomic_bool crowded;

bool __wrap_port_crowded(void);

bool __wrap_port_crowded(void)
{
	return atomic_load(&crowded);
}

static struct fake_owner *make_owner(uint64_t capacity, bool busy)
{
	struct fake_owner *owner = owner_make(capacity, 4096);

	for (unsigned int i = 0; i < WORDS; i++)
		assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	atomic_store(&crowded, busy);
	return owner;
}

static void unmake_owner(struct fake_owner *owner)
{
	atomic_store(&crowded, false);
	owner_destroy(owner);
}

static void test_gives_way_and_comes_back(void **state)
{
	struct fake_owner *owner = make_owner(4 * WORDS, true);
	unsigned int freed = 0;

	(void)state;
	while (freed < WORDS) {
		unsigned int wakes = atomic_load(&owner->wakes);
		u64 drained;

		assert_true(deferred_try_drain(&owner->queue, DRAIN_POLITELY, &drained));
		freed += drained;
		assert_int_equal(atomic_load(&owner->freed), freed);
		if (freed == WORDS)
			break;
		/* A batch, and what the chunks that were begun have besides. */
		assert_in_range(drained, DEFERRED_BATCH, 2 * DEFERRED_BATCH);
		assert_int_equal(deferred_pending(&owner->queue), WORDS - freed);
		assert_int_equal(atomic_load(&owner->wakes), wakes + 1);
		assert_in_range(atomic_load(&owner->wake_delay), 0, PAUSE_MS);
	}
	unmake_owner(owner);
}

/* A producer that comes while the drain is under way sets the alarm, for later than the pause. */
static void put_one(struct fake_owner *owner, unsigned int count)
{
	(void)count;
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
}

static void test_comes_back_before_the_alarm(void **state)
{
	struct fake_owner *owner = make_owner(4 * WORDS, true);
	u64 drained;

	(void)state;
	owner->in_free = put_one;
	assert_true(deferred_try_drain(&owner->queue, DRAIN_POLITELY, &drained));
	owner->in_free = NULL;
	assert_true(deferred_pending(&owner->queue) > 0);
	assert_in_range(atomic_load(&owner->wake_delay), 0, PAUSE_MS);
	unmake_owner(owner);
}

static void test_goes_on_if_nobody_wants_the_cpu(void **state)
{
	struct fake_owner *owner = make_owner(4 * WORDS, false);
	unsigned int wakes = atomic_load(&owner->wakes);
	u64 drained;

	(void)state;
	assert_true(deferred_try_drain(&owner->queue, DRAIN_POLITELY, &drained));
	assert_int_equal(drained, WORDS);
	assert_int_equal(atomic_load(&owner->wakes), wakes);
	unmake_owner(owner);
}

static void test_flush_does_all(void **state)
{
	struct fake_owner *owner = make_owner(4 * WORDS, true);

	(void)state;
	deferred_flush(&owner->queue);
	assert_int_equal(atomic_load(&owner->freed), WORDS);
	unmake_owner(owner);
}

static void test_half_full(void **state)
{
	struct fake_owner *owner = make_owner(WORDS * 5 / 4, true);
	const u64 half = WORDS * 5 / 8;
	u64 drained;

	(void)state;
	assert_true(deferred_try_drain(&owner->queue, DRAIN_POLITELY, &drained));
	assert_true(WORDS - drained < half);
	assert_true(deferred_pending(&owner->queue) > 0);
	unmake_owner(owner);
}

static bool nothing_waits(void *pool)
{
	return deferred_stat(pool, "pending") == 0;
}

static void test_pool_is_emptied(void **state)
{
	struct zs_pool *pool = zs_create_pool("crowded");
	unsigned long *handles = objects_make(pool, 1000, WORDS);

	(void)state;
	atomic_store(&crowded, true);
	for (unsigned int i = 0; i < WORDS; i++)
		zs_free_deferred(pool, handles[i]);
	assert_true(wait_for(nothing_waits, pool));
	atomic_store(&crowded, false);
	zs_destroy_pool(pool);
	free(handles);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gives_way_and_comes_back),
		cmocka_unit_test(test_comes_back_before_the_alarm),
		cmocka_unit_test(test_goes_on_if_nobody_wants_the_cpu),
		cmocka_unit_test(test_flush_does_all),
		cmocka_unit_test(test_half_full),
		cmocka_unit_test(test_pool_is_emptied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
