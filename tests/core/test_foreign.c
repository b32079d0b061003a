/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Two pools that have done the same differ in their tag. It alone tells one pool's handle from the
 * other's.
 */
#include "helpers.h"

static void test_twins(void **state)
{
	struct zs_pool *pool[2];
	unsigned long handle[2];
	struct zs_pool_stats stats;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		pool[i] = make_pool((struct zs_pool_options){ .misuse = ZS_MISUSE_COUNT });
		handle[i] = object_make(pool[i], 1000, i);
	}
	assert_int_not_equal(handle[0], handle[1]);
	for (unsigned int i = 0; i < 2; i++) {
		zs_free(pool[i], handle[1 - i]);
		zs_free_deferred(pool[i], handle[1 - i]);
		zs_free_bulk(pool[i], &handle[1 - i], 1);
		assert_null(zs_obj_read_begin(pool[i], handle[1 - i], 1, NULL));
		zs_free_deferred_flush(pool[i]);
		zs_pool_stats(pool[i], &stats);
		assert_int_equal(stats.misuses, 4);
		assert_true(object_holds(pool[i], handle[i], 1000, i));
	}
	for (unsigned int i = 0; i < 2; i++)
		zs_destroy_pool(pool[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_twins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
