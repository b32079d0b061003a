/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Every size from 1 to the page size round-trips, at every slot of its zspage; other sizes are
 * refused. (Reaches inside to know a zspage's slots: src/pool.h.)
 */
#include "helpers.h"

#include <errno.h>

#include "pool.h"

/* One object of each size, all at once. */
static void test_every_size(void **state)
{
	struct zs_pool *pool = zs_create_pool("sizes");
	unsigned long *handles = calloc(page_size() + 1, sizeof(*handles));

	(void)state;
	assert_non_null(handles);
	for (size_t size = 1; size <= page_size(); size++)
		handles[size] = object_make(pool, size, size);
	for (size_t size = 1; size <= page_size(); size++)
		assert_true(object_holds(pool, handles[size], size, size));
	for (size_t size = 1; size <= page_size(); size++)
		zs_free(pool, handles[size]);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static bool crosses_pages(const void *memory, size_t size)
{
	return (uintptr_t)memory / page_size() != ((uintptr_t)memory + size - 1) / page_size();
}

/* Fill a zspage with objects of one size, and read back all of them. True if one crosses pages. */
static bool fill_zspage(struct zs_pool *pool, size_t size)
{
	struct geometry geometry = pool->table->geometry[class_for(pool->table, size)];
	unsigned long handles[ZS_MAX_SLOTS];
	bool crossed = false;

	for (u32 i = 0; i < geometry.slots; i++)
		handles[i] = object_make(pool, size, size * ZS_MAX_SLOTS + i);
	assert_int_equal(zs_get_total_pages(pool), geometry.pages);
	for (u32 i = 0; i < geometry.slots; i++) {
		void *memory = zs_obj_read_begin(pool, handles[i], size, NULL);

		assert_true(random_is(memory, size, size * ZS_MAX_SLOTS + i));
		crossed |= crosses_pages(memory, size);
		zs_obj_read_end(pool, handles[i], size, memory);
	}
	for (u32 i = 0; i < geometry.slots; i++)
		zs_free(pool, handles[i]);
	assert_int_equal(zs_get_total_pages(pool), 0);
	return crossed;
}

static void test_every_slot(void **state)
{
	struct zs_pool *pool = zs_create_pool("slots");
	unsigned int crossed = 0;

	(void)state;
	for (size_t less = 0; less < page_size(); less += TEST_LESS)
		crossed += fill_zspage(pool, page_size() - less);
	/* Chains are there to let objects cross pages: most sizes must have. */
	assert_true(crossed > page_size() / TEST_LESS / 2);
	zs_destroy_pool(pool);
}

/* A part of an object can be written and read; the rest is left alone. */
static void test_part(void **state)
{
	struct zs_pool *pool = zs_create_pool("parts");
	unsigned long handle = object_make(pool, 1000, 1);
	char expected[1000];
	char start[] = "the start";
	void *memory;

	(void)state;
	random_fill(expected, sizeof(expected), 1);
	memcpy(expected, start, sizeof(start));
	zs_obj_write(pool, handle, start, sizeof(start));
	memory = zs_obj_read_begin(pool, handle, sizeof(expected), NULL);
	assert_memory_equal(memory, expected, sizeof(expected));
	zs_obj_read_end(pool, handle, sizeof(expected), memory);
	zs_obj_write(pool, handle, start, 0);
	memory = zs_obj_read_begin(pool, handle, 0, NULL);
	assert_memory_equal(memory, expected, sizeof(expected));
	zs_obj_read_end(pool, handle, 0, memory);
	zs_destroy_pool(pool);
}

static void assert_fails(struct zs_pool *pool, size_t size, int error)
{
	const gfp_t flags[] = { GFP_KERNEL, GFP_NOWAIT };

	for (unsigned int i = 0; i < 2; i++) {
		unsigned long handle = zs_malloc(pool, size, flags[i], NUMA_NO_NODE);

		assert_true(zs_is_err(handle));
		assert_int_equal(zs_err(handle), error);
	}
}

static void test_refused_sizes(void **state)
{
	struct zs_pool *pool = zs_create_pool("refused");

	(void)state;
	assert_fails(pool, 0, -EINVAL);
	assert_fails(pool, page_size() + 1, -ENOSPC);
	assert_fails(pool, (size_t)1 << 32, -ENOSPC);
	assert_fails(pool, SIZE_MAX, -ENOSPC);
	assert_int_equal(zs_get_total_pages(pool), 0);
	zs_destroy_pool(pool);
}

static void test_is_err(void **state)
{
	(void)state;
	assert_false(zs_is_err(0));
	assert_false(zs_is_err(1));
	assert_false(zs_is_err((unsigned long)-4096L));
	assert_true(zs_is_err((unsigned long)-4095L));
	assert_true(zs_is_err((unsigned long)-1L));
	assert_int_equal(zs_err((unsigned long)-ENOMEM), -ENOMEM);
}

/* Any node is as good as another: it is a preference. */
static void test_nodes(void **state)
{
	struct zs_pool *pool = zs_create_pool("nodes");
	unsigned long handle = zs_malloc(pool, 100, GFP_KERNEL, 0);

	(void)state;
	assert_false(zs_is_err(handle));
	object_fill(pool, handle, 100, 1);
	assert_true(object_holds(pool, handle, 100, 1));
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_size), cmocka_unit_test(test_every_slot),
		cmocka_unit_test(test_part),	   cmocka_unit_test(test_refused_sizes),
		cmocka_unit_test(test_is_err),	   cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
