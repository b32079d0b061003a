/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 12: "pending: N" and "capacity: N" are the first two lines of the queue's
 * statistics, in that form. The further lines tell what was queued, drained and done at once
 * instead.
 */
#include "helpers.h"

#include <errno.h>

#include "clock.h"

/* All of it, but for how long a drain took. */
static void assert_text(struct zs_pool *pool, unsigned int pending, unsigned int queued,
			unsigned int drains)
{
	char expected[512];
	char *text = text_of(pool, zs_stats_deferred);

	snprintf(expected, sizeof(expected),
		 "pending: %u\ncapacity: %zu\nqueued: %u\ndrained: %u\ndrains: %u\n"
		 "fallbacks_full: 0\nfallbacks_contended: 0\nfallbacks_no_memory: 0\n"
		 "longest_drain_us: %llu\n",
		 pending, ((size_t)16 << 30) / page_size(), queued, queued - pending, drains,
		 deferred_stat(pool, "longest_drain_us"));
	assert_string_equal(text, expected);
	free(text);
}

static void test_form(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *handles = objects_make(pool, 700, 1000);

	(void)state;
	assert_text(pool, 0, 0, 0);
	for (unsigned int i = 0; i < 400; i++)
		zs_free_deferred(pool, handles[i]);
	assert_text(pool, 400, 400, 0);
	zs_free(pool, handles[400]);
	assert_text(pool, 400, 400, 0);
	zs_free_deferred(pool, handles[401]);
	assert_text(pool, 401, 401, 0);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_drains(void **state)
{
	struct zs_pool *pool = make_lazy_pool();

	(void)state;
	/* Nothing is given back to the system meanwhile, for which the worker would wake. */
	object_make(pool, 700, 0);
	for (unsigned int round = 0; round < 3; round++) {
		zs_free_deferred(pool, object_make(pool, 700, 1));
		assert_text(pool, 1, round + 1, round);
		zs_free_deferred_flush(pool);
		assert_text(pool, 0, round + 1, round + 1);
	}
	zs_free_deferred_flush(pool);
	assert_text(pool, 0, 3, 3);
	zs_destroy_pool(pool);
}

/* The longest drain was no longer than all of them together. */
static void test_longest(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *handles = objects_make(pool, 700, 15000);
	uint64_t start, took_us;

	(void)state;
	for (unsigned int i = 0; i < 15000; i++)
		zs_free_deferred(pool, handles[i]);
	start = now_ns();
	zs_free_deferred_flush(pool);
	took_us = (now_ns() - start) / 1000;
	assert_in_range(deferred_stat(pool, "longest_drain_us"), 1, took_us + 1);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_errors(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_int_equal(zs_stats_deferred(pool, NULL), -EINVAL);
	assert_non_null(full);
	assert_int_equal(zs_stats_deferred(pool, full), -EIO);
	fclose(full);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_drains),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
