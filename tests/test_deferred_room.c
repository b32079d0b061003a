/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What is just being freed takes room in the queue until it is free: never do more words wait than
 * the capacity. (Reaches inside: src/deferred.h.)
 */
#include "fake_owner.h"

#define CAPACITY 8

static unsigned int refused;

/* All that waited is being freed now. */
static void put_in_drain(struct fake_owner *owner, unsigned int count)
{
	(void)count;
	assert_true(deferred_pending(&owner->queue) <= CAPACITY);
	while (refused < 3) {
		assert_int_equal(owner_put(owner), DEFERRED_FULL);
		refused++;
	}
}

static void test_drain_makes_room_when_done(void **state)
{
	struct fake_owner *owner = owner_make(CAPACITY, DEFERRED_HOST_LEAST);

	(void)state;
	owner->in_free = put_in_drain;
	for (unsigned int i = 0; i < CAPACITY; i++)
		assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	deferred_flush(&owner->queue);
	owner->in_free = NULL;
	assert_int_equal(refused, 3);
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	owner_destroy(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drain_makes_room_when_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
