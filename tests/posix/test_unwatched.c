/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A library that is built without watchers (-Dwatch=false) says so to a pool that asks for one. All
 * else works.
 */
#include "helpers.h"

#include <errno.h>

static void assert_not_supported(struct zs_pool_options options)
{
	options.size = sizeof(options);
	errno = 0;
	assert_null(zs_create_pool_with("watched", &options));
	assert_int_equal(errno, ENOTSUP);
}

static void test_options(void **state)
{
	(void)state;
	assert_not_supported((struct zs_pool_options){ .pressure = 1 });
	assert_not_supported((struct zs_pool_options){ .publish = 1 });
}

/* The user's wish for all pools is a wish. */
static void test_environment(void **state)
{
	struct zs_pool *pool;

	(void)state;
	setenv("ZSMALLOC_PUBLISH", "1", 1);
	pool = make_pool((struct zs_pool_options){ .compact_share = 1 });
	assert_true(object_holds(pool, object_make(pool, 100, 1), 100, 1));
	zs_destroy_pool(pool);
	unsetenv("ZSMALLOC_PUBLISH");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
