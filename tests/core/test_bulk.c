/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zs_free_bulk() frees what zs_free() would, in any order and number, and nothing else.
 */
#include "helpers.h"

#define OBJECTS 20000

static size_t size_of(size_t i)
{
	return 1 + i * 7919 % page_size();
}

/* All sizes, in random order, in parts of every length. */
static void test_any_number(void **state)
{
	struct zs_pool *pool = zs_create_pool("bulk");
	unsigned long *handles = calloc(OBJECTS, sizeof(*handles));
	uint64_t seed = random_seed();
	size_t count = 0, part = 0;

	(void)state;
	for (size_t i = 0; i < OBJECTS; i++)
		handles[i] = object_alloc(pool, size_of(i));
	shuffle(handles, OBJECTS, seed);
	for (; count < OBJECTS; count += part, part = (part * 2 + 1) % 5000) {
		part = part < OBJECTS - count ? part : OBJECTS - count;
		zs_free_bulk(pool, handles + count, part);
	}
	assert_int_equal(zs_get_total_pages(pool), 0);
	assert_int_equal(misuses_of(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_others_stay(void **state)
{
	struct zs_pool *pool = zs_create_pool("others");
	unsigned long *freed = calloc(OBJECTS, sizeof(*freed));
	unsigned long *kept = calloc(OBJECTS, sizeof(*kept));

	(void)state;
	for (size_t i = 0; i < OBJECTS; i++) {
		freed[i] = object_make(pool, size_of(i), i);
		kept[i] = object_make(pool, size_of(i), i + OBJECTS);
	}
	zs_free_bulk(pool, freed, OBJECTS);
	for (size_t i = 0; i < OBJECTS; i++)
		assert_true(object_holds(pool, kept[i], size_of(i), i + OBJECTS));
	zs_free_bulk(pool, kept, OBJECTS);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(freed);
	free(kept);
	zs_destroy_pool(pool);
}

/* Nothing at all, and nothings among the handles. */
static void test_nothing(void **state)
{
	struct zs_pool *pool = zs_create_pool("nothing");
	unsigned long handles[5] = { 0, object_make(pool, 100, 1), (unsigned long)-12L,
				     object_make(pool, 2000, 2), 0 };

	(void)state;
	zs_free_bulk(pool, NULL, 0);
	zs_free_bulk(pool, handles, 0);
	zs_free_bulk(pool, handles, 1);
	assert_true(object_holds(pool, handles[1], 100, 1));
	zs_free_bulk(pool, handles, 5);
	assert_int_equal(zs_get_total_pages(pool), 0);
	assert_int_equal(misuses_of(pool), 0);
	zs_destroy_pool(pool);
}

/* The list is the caller's, and is left as it was. */
static void test_list_is_const(void **state)
{
	struct zs_pool *pool = zs_create_pool("const");
	unsigned long *handles = objects_make(pool, 500, 1000);
	unsigned long before[1000];

	(void)state;
	memcpy(before, handles, sizeof(before));
	zs_free_bulk(pool, handles, 1000);
	assert_memory_equal(before, handles, sizeof(before));
	free(handles);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_number),
		cmocka_unit_test(test_others_stay),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_list_is_const),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
