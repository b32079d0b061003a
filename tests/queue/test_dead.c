/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 3: after zs_free_deferred() the handle is dead for the caller. After a later
 * zs_free_deferred_flush() the object's memory is the pool's again.
 */
#include "helpers.h"

#define OBJECTS 10000

/* Queue all, flush, and see the pages gone; then get the same again. */
static void check_size(size_t size)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long pages = 0;

	for (unsigned int round = 0; round < 3; round++) {
		unsigned long *handles = objects_make(pool, size, OBJECTS);

		if (round)
			assert_int_equal(zs_get_total_pages(pool), pages);
		pages = zs_get_total_pages(pool);
		for (size_t i = 0; i < OBJECTS; i++)
			zs_free_deferred(pool, handles[i]);
		zs_free_deferred_flush(pool);
		assert_int_equal(deferred_stat(pool, "pending"), 0);
		assert_int_equal(zs_get_total_pages(pool), 0);
		free(handles);
	}
	assert_int_equal(misuses_of(pool), 0);
	zs_destroy_pool(pool);
}

/* Small ones, of which many share a zspage, and whole pages. */
static void test_memory_is_the_pools(void **state)
{
	(void)state;
	check_size(10);
	check_size(96);
	check_size(600);
	check_size(page_size());
}

/* Each second object of each size is freed; the others are as they were. */
static void test_others_stay(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *handles = calloc(page_size() + 1, sizeof(*handles));

	(void)state;
	for (size_t size = 1; size <= page_size(); size++)
		handles[size] = object_make(pool, size, size);
	for (size_t size = 2; size <= page_size(); size += 2)
		zs_free_deferred(pool, handles[size]);
	zs_free_deferred_flush(pool);
	for (size_t size = 1; size <= page_size(); size += 2)
		assert_true(object_holds(pool, handles[size], size, size));
	for (size_t size = 1; size <= page_size(); size += 2)
		zs_free_deferred(pool, handles[size]);
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_handle_is_dead(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_delay_ms = NEVER_MS,
		.misuse = ZS_MISUSE_COUNT,
	});
	unsigned long *handles = objects_make(pool, 1000, 100);

	(void)state;
	for (size_t i = 0; i < 100; i++)
		zs_free_deferred(pool, handles[i]);
	zs_free_deferred_flush(pool);
	assert_int_equal(misuses_of(pool), 0);
	for (size_t i = 0; i < 100; i++)
		assert_null(zs_obj_read_begin(pool, handles[i], 1000, NULL));
	assert_int_equal(misuses_of(pool), 100);
	free(handles);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_the_pools),
		cmocka_unit_test(test_others_stay),
		cmocka_unit_test(test_handle_is_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
