/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 11, without memory: zs_malloc() drains all that waits and tries again before it
 * fails. zs_compact() drains first, too. (Wraps mmap(), to have it fail.)
 */
#include "helpers.h"

#include "wrap_mmap.h"

#define MOST 40000

struct full_pool {
	struct zs_pool *pool;
	size_t size;
	size_t count;
	unsigned long handles[MOST];
};

/*
 * A pool with all the objects that there is memory for, after one of another size if that is not 0.
 */
static struct full_pool *fill(size_t size, size_t first_size)
{
	struct full_pool *full = calloc(1, sizeof(*full));
	unsigned long handle;

	assert_non_null(full);
	full->pool = make_lazy_pool();
	if (first_size)
		zs_free(full->pool, object_alloc(full->pool, first_size));
	full->size = size;
	full->handles[full->count++] = object_alloc(full->pool, size);
	atomic_store(&map_most, 0);
	while (!zs_is_err(handle = zs_malloc(full->pool, size, GFP_KERNEL, NUMA_NO_NODE))) {
		assert_true(full->count < MOST);
		full->handles[full->count++] = handle;
	}
	assert_int_equal(zs_err(handle), -ENOMEM);
	assert_true(full->count > 1000);
	return full;
}

static void empty(struct full_pool *full)
{
	atomic_store(&map_most, SIZE_MAX);
	zs_free_bulk(full->pool, full->handles, full->count);
	assert_int_equal(zs_get_total_pages(full->pool), 0);
	assert_int_equal(misuses_of(full->pool), 0);
	zs_destroy_pool(full->pool);
	free(full);
}

static void check_malloc(size_t size, gfp_t flags)
{
	struct full_pool *full = fill(size, 0);
	unsigned long handle;

	for (unsigned int i = 0; i < 5; i++)
		zs_free_deferred(full->pool, full->handles[--full->count]);
	assert_int_equal(deferred_stat(full->pool, "pending"), 5);
	handle = zs_malloc(full->pool, size, flags, NUMA_NO_NODE);
	assert_false(zs_is_err(handle));
	full->handles[full->count++] = handle;
	assert_int_equal(deferred_stat(full->pool, "pending"), 0);
	/* The rest of the five, and no more. */
	for (unsigned int i = 0; i < 4; i++) {
		handle = zs_malloc(full->pool, size, flags, NUMA_NO_NODE);
		assert_false(zs_is_err(handle));
		full->handles[full->count++] = handle;
	}
	handle = zs_malloc(full->pool, size, flags, NUMA_NO_NODE);
	assert_int_equal(zs_err(handle), -ENOMEM);
	empty(full);
}

static void test_drained_first(void **state)
{
	(void)state;
	check_malloc(10, GFP_KERNEL);
	check_malloc(1000, GFP_KERNEL);
	check_malloc(page_size(), GFP_KERNEL);
}

static void test_drained_first_nowait(void **state)
{
	(void)state;
	check_malloc(10, GFP_NOWAIT);
	check_malloc(1000, GFP_NOWAIT);
	check_malloc(page_size(), GFP_NOWAIT);
}

/* Memory that the objects of another size gave up. */
static void test_other_size(void **state)
{
	/* The descriptors of a class need memory of their own, which the first object brings. */
	struct full_pool *full = fill(page_size(), page_size() / 2);
	unsigned long handle;

	(void)state;
	while (!zs_is_err(handle =
				  zs_malloc(full->pool, page_size() / 2, GFP_KERNEL, NUMA_NO_NODE)))
		full->handles[full->count++] = handle;
	while (full->count)
		zs_free_deferred(full->pool, full->handles[--full->count]);
	handle = zs_malloc(full->pool, page_size() / 2, GFP_KERNEL, NUMA_NO_NODE);
	assert_false(zs_is_err(handle));
	full->handles[full->count++] = handle;
	empty(full);
}

/* Without memory and with nothing pending it fails, and nothing is spoilt. */
static void test_nothing_pending(void **state)
{
	struct full_pool *full = fill(1000, 0);

	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(zs_err(zs_malloc(full->pool, 1000, GFP_KERNEL, NUMA_NO_NODE)),
				 -ENOMEM);
	for (size_t i = 0; i < full->count; i++)
		object_fill(full->pool, full->handles[i], 1000, i);
	for (size_t i = 0; i < full->count; i++)
		assert_true(object_holds(full->pool, full->handles[i], 1000, i));
	empty(full);
}

static void test_compact(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *handles = objects_make(pool, 1000, 1000);

	(void)state;
	for (unsigned int i = 0; i < 999; i++)
		zs_free_deferred(pool, handles[i]);
	assert_int_equal(deferred_stat(pool, "pending"), 999);
	zs_compact(pool);
	assert_int_equal(deferred_stat(pool, "pending"), 0);
	assert_true(zs_get_total_pages(pool) <= 32);
	assert_true(object_holds(pool, handles[999], 1000, 999));
	free(handles);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drained_first), cmocka_unit_test(test_drained_first_nowait),
		cmocka_unit_test(test_other_size),    cmocka_unit_test(test_nothing_pending),
		cmocka_unit_test(test_compact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
