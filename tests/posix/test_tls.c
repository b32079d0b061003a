/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A program with TLS_BYTES of static thread-local data. A libc puts that on each thread's stack.
 * The worker has room for its own work beside it.
 */
#include "helpers.h"

#define OBJECTS 20000

static _Thread_local volatile char data[TLS_BYTES];

static void test_worker_has_room(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });
	unsigned long *handles = objects_make(pool, 1000, OBJECTS);

	(void)state;
	for (size_t i = 0; i < sizeof(data); i += 4096)
		data[i] = 1;
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free_deferred(pool, handles[i]);
	assert_true(wait_for(nothing_is_pending, pool));
	zs_destroy_pool(pool);
	free(handles);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
