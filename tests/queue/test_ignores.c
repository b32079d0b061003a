/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 1: zs_free_deferred() ignores 0 and error values, as zs_free() and zs_free_bulk()
 * do.
 */
#include "helpers.h"

#include <errno.h>

static const unsigned long nothings[] = {
	0,
	(unsigned long)-EINVAL,
	(unsigned long)-ENOSPC,
	(unsigned long)-ENOMEM,
	(unsigned long)-1L,
	(unsigned long)-4095L,
};
#define NOTHINGS (sizeof(nothings) / sizeof(nothings[0]))

/* The object is there, nothing waits, and no misuse was told (which would be fatal). */
static void assert_untouched(struct zs_pool *pool, unsigned long handle)
{
	assert_int_equal(deferred_stat(pool, "pending"), 0);
	assert_int_equal(deferred_stat(pool, "queued"), 0);
	assert_int_equal(deferred_stat(pool, "fallbacks_full"), 0);
	assert_int_equal(deferred_stat(pool, "fallbacks_contended"), 0);
	assert_int_equal(deferred_stat(pool, "fallbacks_no_memory"), 0);
	assert_int_equal(misuses_of(pool), 0);
	assert_true(object_holds(pool, handle, 1000, 1));
}

static void test_deferred(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long handle = object_make(pool, 1000, 1);

	(void)state;
	for (unsigned int i = 0; i < NOTHINGS; i++)
		zs_free_deferred(pool, nothings[i]);
	assert_untouched(pool, handle);
	zs_free_deferred_flush(pool);
	assert_untouched(pool, handle);
	zs_destroy_pool(pool);
}

/* Nor when the queue is at work, and takes a handle by a few stores. */
static void test_among_others(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long handles[] = { object_make(pool, 1000, 1), object_make(pool, 1000, 2) };
	unsigned long late = object_make(pool, 1000, 3);

	(void)state;
	zs_free_deferred(pool, handles[0]);
	for (unsigned int i = 0; i < NOTHINGS; i++)
		zs_free_deferred(pool, nothings[i]);
	zs_free_deferred(pool, handles[1]);
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "queued"), 2);
	assert_int_equal(misuses_of(pool), 0);
	assert_true(object_holds(pool, late, 1000, 3));
	zs_destroy_pool(pool);
}

#define MANY 1000 /* more than half of which would wake the worker */

/* Nor before, within, or after a run of handles that follow one another. */
static void test_among_many(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long handles[MANY];
	unsigned long late;

	(void)state;
	for (unsigned int i = 0; i < MANY; i++)
		handles[i] = object_make(pool, 1000, i);
	late = object_make(pool, 1000, MANY);
	for (unsigned int i = 0; i < MANY; i++) {
		if (i % 100 == 0) {
			for (unsigned int k = 0; k < NOTHINGS; k++)
				zs_free_deferred(pool, nothings[k]);
			assert_int_equal(deferred_stat(pool, "pending"),
					 i < MANY / 2 ? i : i - MANY / 2);
		}
		zs_free_deferred(pool, handles[i]);
		if (i == MANY / 2 - 1) { /* the lane has had a run, and has no chunk */
			zs_free_deferred_flush(pool);
			zs_free_deferred(pool, 0);
			assert_int_equal(deferred_stat(pool, "pending"), 0);
		}
	}
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "queued"), MANY);
	assert_int_equal(misuses_of(pool), 0);
	assert_true(object_holds(pool, late, 1000, MANY));
	zs_destroy_pool(pool);
}

static void test_at_once(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long handle = object_make(pool, 1000, 1);

	(void)state;
	for (unsigned int i = 0; i < NOTHINGS; i++)
		zs_free(pool, nothings[i]);
	zs_free_bulk(pool, nothings, NOTHINGS);
	assert_untouched(pool, handle);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deferred),
		cmocka_unit_test(test_among_others),
		cmocka_unit_test(test_among_many),
		cmocka_unit_test(test_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
