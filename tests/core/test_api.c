/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Pools: making them with and without options, their names, many at once, and none that knows of
 * another. (Reaches inside for the name and the size of a page: src/pool.h.)
 */
#include "helpers.h"

#include <errno.h>
#include <limits.h>

#include "pool.h"

#define POOLS 100

static void assert_refused(const char *name, const struct zs_pool_options *options)
{
	errno = 0;
	assert_null(zs_create_pool_with(name, options));
	assert_int_equal(errno, EINVAL);
}

static void assert_made(const struct zs_pool_options *options)
{
	struct zs_pool *pool = zs_create_pool_with("made", options);
	unsigned long handle;

	assert_non_null(pool);
	handle = object_make(pool, 1000, 1);
	assert_true(object_holds(pool, handle, 1000, 1));
	zs_destroy_pool(pool);
}

static void test_default_pool(void **state)
{
	struct zs_pool *pool = zs_create_pool("default");
	unsigned long handle;

	(void)state;
	assert_non_null(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	handle = object_make(pool, 100, 1);
	assert_true(zs_get_total_pages(pool) > 0);
	assert_true(object_holds(pool, handle, 100, 1));
	zs_free(pool, handle);
	assert_int_equal(zs_get_total_pages(pool), 0);
	zs_destroy_pool(pool);
}

/* Objects that were not freed go with their pool. */
static void test_destroy_with_objects(void **state)
{
	struct zs_pool *pool = zs_create_pool("full");

	(void)state;
	assert_non_null(pool);
	for (size_t size = 1; size <= page_size(); size += 97)
		object_make(pool, size, size);
	zs_destroy_pool(pool);
}

static void test_name(void **state)
{
	struct zs_pool *pool;
	char name[200];

	(void)state;
	assert_refused(NULL, NULL);
	errno = 0;
	assert_null(zs_create_pool(NULL));
	assert_int_equal(errno, EINVAL);

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	pool = zs_create_pool(name);
	assert_non_null(pool);
	assert_int_equal(strlen(pool->name), 63);
	assert_memory_equal(pool->name, name, 63);
	zs_destroy_pool(pool);

	pool = zs_create_pool("");
	assert_non_null(pool);
	assert_string_equal(pool->name, "");
	zs_destroy_pool(pool);

	/* The name is the pool's own copy. */
	strcpy(name, "before");
	pool = zs_create_pool(name);
	strcpy(name, "after");
	assert_string_equal(pool->name, "before");
	zs_destroy_pool(pool);
}

static void test_options_default(void **state)
{
	const struct zs_pool_options options = { .size = sizeof(options) };

	(void)state;
	assert_made(NULL);
	assert_made(&options);
}

/* A program that was built with an older header, whose struct ends earlier. */
static void test_options_shorter(void **state)
{
	struct zs_pool_options options = {
		.size = offsetof(struct zs_pool_options, max_chain),
		.max_chain = 999, /* behind the end */
		.misuse = 999,
	};

	(void)state;
	assert_made(&options);
	options.size = sizeof(options.size);
	assert_made(&options);
	options.size = offsetof(struct zs_pool_options, misuse);
	assert_refused("shorter", &options);
}

/* A program that was built with a newer header: fine while what it adds is not used. */
static void test_options_longer(void **state)
{
	struct {
		struct zs_pool_options known;
		char added[24];
	} options = { .known.size = sizeof(options) };

	(void)state;
	assert_made(&options.known);
	for (size_t i = 0; i < sizeof(options.added); i++) {
		options.added[i] = 1;
		assert_refused("longer", &options.known);
		options.added[i] = 0;
	}
	options.added[sizeof(options.added) - 1] = 1;
	options.known.size--;
	assert_made(&options.known);
}

static void test_options_out_of_range(void **state)
{
	struct zs_pool_options options = { .size = 0 };

	(void)state;
	for (options.size = 0; options.size < sizeof(options.size); options.size++)
		assert_refused("size", &options);
	options.size = sizeof(options);
	options.max_chain = ZS_MAX_CHAIN + 1;
	assert_refused("max_chain", &options);
	options.max_chain = UINT_MAX;
	assert_refused("max_chain", &options);
	options.max_chain = ZS_MAX_CHAIN;
	assert_made(&options);
	options.max_chain = 1;
	assert_made(&options);
	options.misuse = ZS_MISUSE_COUNT + 1;
	assert_refused("misuse", &options);
	options.misuse = ZS_MISUSE_COUNT;
	assert_made(&options);
	options.pressure = 2;
	assert_refused("pressure", &options);
	options.pressure = 0;
	options.on_pressure = free;
	assert_refused("on_pressure without pressure", &options);
	options.on_pressure = NULL;
	options.publish = 2;
	assert_refused("publish", &options);
	options.publish = 0;
	assert_refused(NULL, &options);
}

/* No zspage is longer than the option says. */
static void test_max_chain(void **state)
{
	(void)state;
	for (unsigned int max_chain = 1; max_chain <= ZS_MAX_CHAIN; max_chain++) {
		struct zs_pool *pool =
			make_pool((struct zs_pool_options){ .max_chain = max_chain });
		u32 longest = 0;

		for (u32 i = 0; i < pool->table->count; i++) {
			u32 pages = pool->table->geometry[i].pages;

			longest = pages > longest ? pages : longest;
		}
		assert_int_equal(longest, max_chain);
		zs_destroy_pool(pool);
	}
}

/* Where a chunk of a table would not be whole pages there is no pool. */
static void test_page_size(void **state)
{
	const unsigned int shift = port_page_shift;

	(void)state;
	port_page_shift = 17;
	errno = 0;
	assert_null(zs_create_pool("pages"));
	assert_int_equal(errno, ENOTSUP);
	port_page_shift = shift;
	assert_made(NULL);
}

static void test_hundred_pools(void **state)
{
	struct zs_pool *pools[POOLS];
	unsigned long handles[POOLS];

	(void)state;
	for (unsigned int i = 0; i < POOLS; i++) {
		pools[i] = zs_create_pool("one of many");
		assert_non_null(pools[i]);
		handles[i] = object_make(pools[i], 1000, i);
	}
	for (unsigned int i = 0; i < POOLS; i++)
		assert_true(object_holds(pools[i], handles[i], 1000, i));
	/* Every second goes; the others don't mind. */
	for (unsigned int i = 0; i < POOLS; i += 2)
		zs_destroy_pool(pools[i]);
	for (unsigned int i = 1; i < POOLS; i += 2) {
		assert_true(object_holds(pools[i], handles[i], 1000, i));
		zs_destroy_pool(pools[i]);
	}
}

/* What is done to one pool is not seen in another. */
static void test_independent(void **state)
{
	struct zs_pool *one = make_lazy_pool();
	struct zs_pool *other = make_lazy_pool();
	unsigned long *ones = objects_make(one, 500, 1000);
	unsigned long *others = objects_make(other, 500, 1000);
	unsigned long pages = zs_get_total_pages(other);

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		zs_free_deferred(one, ones[i]);
	assert_int_equal(deferred_stat(one, "pending"), 1000);
	assert_int_equal(deferred_stat(other, "pending"), 1000); /* they share the queue */
	zs_free_deferred_flush(other);
	assert_int_equal(deferred_stat(one, "pending"), 0);
	zs_compact(one);
	assert_int_equal(zs_get_total_pages(one), 0);
	assert_int_equal(zs_get_total_pages(other), pages);
	zs_destroy_pool(one);
	for (size_t i = 0; i < 1000; i++)
		assert_true(object_holds(other, others[i], 500, i));
	zs_destroy_pool(other);
	free(ones);
	free(others);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_pool),
		cmocka_unit_test(test_destroy_with_objects),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_options_default),
		cmocka_unit_test(test_options_shorter),
		cmocka_unit_test(test_options_longer),
		cmocka_unit_test(test_options_out_of_range),
		cmocka_unit_test(test_max_chain),
		cmocka_unit_test(test_page_size),
		cmocka_unit_test(test_hundred_pools),
		cmocka_unit_test(test_independent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
