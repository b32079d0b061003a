/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Every allocation that a pool makes fails in turn, once alone and once with all that follow. A
 * pool is made whole or not at all. zs_malloc() gives an object or says -ENOMEM. No object is lost,
 * and nothing leaks. What frees needs no memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "invariants.h"
#include "nomem.h"
#include "pool.h"
#include "seed.h"
#include "table.h"

#define OBJECTS 500
#define TABLE_CHUNKS 120 /* more than its first two directories hold */

struct object {
	unsigned long handle; /* 0 for none */
	size_t size;
	uint64_t content;
};

struct store {
	struct zs_pool *pool;
	bool all_fail;
	uint64_t random;
	char *buffer;
	struct object object[OBJECTS];
};

static void write_object(struct store *store, struct object *object)
{
	object->content = next_random(&store->random);
	random_fill(store->buffer, object->size, object->content);
	zs_obj_write(store->pool, object->handle, store->buffer, object->size);
}

/* As many objects as there is memory for. One failure is over when the call is made again. */
static void store_objects(struct store *store)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		struct object *object = &store->object[i];
		unsigned long handle;

		if (object->handle)
			continue;
		object->size = random_size(&store->random);
		handle = zs_malloc(store->pool, object->size, GFP_KERNEL, NUMA_NO_NODE);
		if (zs_is_err(handle)) {
			assert_int_equal(zs_err(handle), -ENOMEM);
			assert_true(atomic_load(&nr_failed) > 0);
			/* It has tried with what waited to be freed. */
			assert_int_equal(queue_pending(&runtime.queue), 0);
			if (store->all_fail)
				continue;
			handle = zs_malloc(store->pool, object->size, GFP_KERNEL, NUMA_NO_NODE);
			assert_false(zs_is_err(handle));
		}
		object->handle = handle;
		write_object(store, object);
	}
}

static uint64_t check_objects(struct store *store)
{
	uint64_t stored = 0;

	for (size_t i = 0; i < OBJECTS; i++) {
		const struct object *object = &store->object[i];
		void *memory;

		if (!object->handle)
			continue;
		memory = zs_obj_read_begin(store->pool, object->handle, object->size, NULL);
		assert_non_null(memory);
		assert_true(random_is(memory, object->size, object->content));
		zs_obj_read_end(store->pool, object->handle, object->size, memory);
		stored++;
	}
	return stored;
}

static void free_each(struct store *store, size_t step,
		      void (*how)(struct zs_pool *pool, unsigned long handle))
{
	for (size_t i = 0; i < OBJECTS; i += step) {
		how(store->pool, store->object[i].handle);
		store->object[i].handle = 0;
	}
}

static void show(struct zs_pool *pool)
{
	FILE *out = fopen("/dev/null", "w");

	assert_non_null(out);
	assert_int_equal(zs_stats_classes(pool, out), 0);
	assert_int_equal(zs_stats_deferred(pool, out), 0);
	assert_int_equal(fclose(out), 0);
}

/* All that can be done with a pool, done in the same order each time. */
static void use_pool(struct store *store)
{
	store_objects(store);
	free_each(store, 3, zs_free_deferred);
	store_objects(store);
	check_objects(store);
	free_each(store, 2, zs_free);
	zs_compact(store->pool);
	show(store->pool);
	store_objects(store);
	zs_free_bulk(store->pool, &store->object[0].handle, 1);
	store->object[0].handle = 0;
	free_each(store, 5, zs_free_deferred);
	check_objects(store);

	/* With memory again, all goes on. */
	fail_no_more();
	check_invariants(store->pool, check_objects(store), 0);
	store_objects(store);
	assert_int_equal(check_objects(store), OBJECTS);
	free_each(store, 1, zs_free_deferred);
	check_empty(store->pool);
	store_objects(store); /* some are left for the pool to take along, some in its queue */
	free_each(store, 2, zs_free_deferred);
}

static void make_and_use_pool(void *arg)
{
	const struct zs_pool_options options = {
		.size = sizeof(options),
		.deferred_delay_ms = 3600 * 1000, /* the worker stays out of it */
	};
	struct store *store = arg;

	store->random = 1;
	memset(store->object, 0, sizeof(store->object));
	errno = 0;
	store->pool = zs_create_pool_with("nomem", &options);
	/* The store does with less address space if it must. */
	assert_true(store->pool || atomic_load(&nr_failed) > 0);
	assert_true(!store->all_fail || !store->pool == (atomic_load(&nr_failed) > 0));
	if (!store->pool) {
		assert_int_equal(errno, ENOMEM);
		return;
	}
	use_pool(store);
	zs_destroy_pool(store->pool);
}

static void fail_each_of_a_pool(bool and_all_that_follow)
{
	struct store *store = calloc(1, sizeof(*store));

	assert_non_null(store);
	store->all_fail = and_all_that_follow;
	store->buffer = malloc((size_t)sysconf(_SC_PAGESIZE));
	assert_non_null(store->buffer);
	/* The pool and its parts, its worker, and what grows when objects come. */
	assert_true(fail_each(make_and_use_pool, store, and_all_that_follow) > 12);
	free(store->buffer);
	free(store);
}

static void test_each_once(void **state)
{
	(void)state;
	fail_each_of_a_pool(false);
}

static void test_each_and_all_that_follow(void **state)
{
	(void)state;
	fail_each_of_a_pool(true);
}

/* A table's directories: more than a pool of this test's size has. */
static void grow_table(void *arg)
{
	struct table table = { .dir = NULL };
	u32 chunks = 0;

	(void)arg;
	if (table_init(&table, sizeof(u64), 32)) {
		assert_int_equal(atomic_load(&nr_failed), 1);
		return;
	}
	while (chunks < TABLE_CHUNKS) {
		if (table_grow(&table, GFP_KERNEL))
			fail_no_more();
		else
			assert_int_equal(table_size(&table, PORT_CHUNK_SIZE), ++chunks);
	}
	for (u32 i = 0; i < TABLE_CHUNKS; i++) {
		u32 *first = table_at(&table, i, PORT_CHUNK_SIZE);

		assert_int_equal(*first, 0);
		*first = 1; /* no other chunk is there */
	}
	table_destroy(&table);
}

static void test_growing_table(void **state)
{
	(void)state;
	assert_true(fail_each(grow_table, NULL, false) > TABLE_CHUNKS);
	assert_true(fail_each(grow_table, NULL, true) > TABLE_CHUNKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once),
		cmocka_unit_test(test_each_and_all_that_follow),
		cmocka_unit_test(test_growing_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
