/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Handles: no two objects have the same, and an entry's generation goes up each time. Entries are
 * used again before there are more. What one thread stores has handles that follow one another.
 * (Reaches inside: src/pool.h.)
 */
#include "helpers.h"

#include <pthread.h>

#include "pool.h"

#define OBJECTS 10000

static int compare(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

static void assert_distinct(unsigned long *handles, size_t count)
{
	qsort(handles, count, sizeof(*handles), compare);
	for (size_t i = 1; i < count; i++)
		assert_true(handles[i - 1] < handles[i]);
}

/* An entry says where its object is, and a dead one whose it was. */
static void test_entry(void **state)
{
	struct zs_pool *pool = zs_create_pool("entry");
	unsigned long handle = object_make(pool, 1000, 1);
	const atomic64_t *entry = handle_entry(&runtime.handles, handle_name(handle));
	u64 word = (u64)atomic64_read(entry);

	(void)state;
	assert_int_equal(handle_tag(handle), pool->tag);
	assert_true(entry_is(word, handle_name(handle)));
	assert_false(
		entry_is(word, name_make((u16)(name_gen(handle_name(handle)) + 1), (u32)handle)));
	assert_int_equal(entry_lock(word), pool->class[class_for(pool->table, 1000)].lock_number);
	assert_int_equal(entry_slot(word), 0);
	zs_free(pool, handle);
	word = (u64)atomic64_read(entry);
	assert_false(entry_is(word, handle_name(handle)));
	assert_int_equal(entry_gen(word), name_gen(handle_name(handle)));
	assert_int_equal(entry_tag(word), pool->tag);
	zs_destroy_pool(pool);
}

/* Every bit of an entry is one field's alone. */
static void test_bits(void **state)
{
	uint64_t seed = random_seed();

	(void)state;
	for (unsigned int i = 0; i < 100000; i++) {
		u16 gen = (u16)next_random(&seed);
		u32 zspage = (u32)next_random(&seed) >> (32 - ENTRY_ZSPAGE_BITS);
		u8 lock = (u8)next_random(&seed), slot = (u8)next_random(&seed);
		u32 tag = (u32)next_random(&seed) % HANDLE_TAGS, index = (u32)next_random(&seed);
		u64 word = entry_make(gen, zspage, lock, slot);

		assert_int_equal(entry_gen(word), gen);
		assert_int_equal(entry_zspage(word), zspage);
		assert_int_equal(entry_lock(word), lock);
		assert_int_equal(entry_slot(word), slot);
		assert_true(entry_is(word, name_make(gen, index)));
		assert_int_equal(entry_tag(entry_make_dead(word, tag)), tag);
		assert_int_equal(entry_gen(entry_make_dead(word, tag)), gen);
		assert_false(entry_is(entry_make_dead(word, tag), name_make(gen, index)));
		assert_int_equal(handle_name(handle_make(tag, name_make(gen, index))),
				 name_make(gen, index));
		assert_int_equal(handle_tag(handle_make(tag, name_make(gen, index))), tag);
	}
}

/* One thread's objects have entries side by side, whatever their sizes. */
static void test_in_order(void **state)
{
	struct zs_pool *pool = zs_create_pool("order");
	unsigned long last = object_alloc(pool, 1);
	unsigned int breaks = 0;

	(void)state;
	for (size_t i = 1; i < OBJECTS; i++) {
		unsigned long handle = object_alloc(pool, 1 + i * 37 % page_size());

		breaks += handle != last + 1;
		last = handle;
	}
	assert_int_equal(breaks, 0);
	zs_destroy_pool(pool);
}

/* After as many frees by any way, the same entries serve again, with another generation. */
static void test_used_again(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *all = calloc(6 * OBJECTS, sizeof(*all));
	u32 blocks = 0;

	(void)state;
	assert_non_null(all);
	for (unsigned int round = 0; round < 6; round++) {
		unsigned long *handles = all + round * OBJECTS;

		for (size_t i = 0; i < OBJECTS; i++)
			handles[i] = object_alloc(pool, 100);
		if (!round)
			blocks = runtime.handles.next_block;
		/* A lane may have an unfinished block when another is begun. */
		assert_in_range(runtime.handles.next_block, blocks, blocks + 2);
		if (round % 3 == 0)
			zs_free_bulk(pool, handles, OBJECTS);
		for (size_t i = 0; i < OBJECTS && round % 3; i++)
			(round % 3 == 1 ? zs_free : zs_free_deferred)(pool,
								      handles[i * 7 % OBJECTS]);
		zs_free_deferred_flush(pool);
	}
	assert_distinct(all, 6 * OBJECTS);
	assert_int_equal(misuses_of(pool), 0);
	free(all);
	zs_destroy_pool(pool);
}

struct job {
	pthread_t thread;
	struct zs_pool *pool;
	unsigned long *handles;
};

static void *store_all(void *arg)
{
	struct job *job = arg;

	for (size_t i = 0; i < OBJECTS; i++) {
		job->handles[i] = zs_malloc(job->pool, 50, GFP_KERNEL, NUMA_NO_NODE);
		if (i % 3 == 0) { /* entries go round */
			zs_free(job->pool, job->handles[i]);
			job->handles[i] = zs_malloc(job->pool, 50, GFP_KERNEL, NUMA_NO_NODE);
		}
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct zs_pool *pools[2] = { zs_create_pool("one"), zs_create_pool("two") };
	unsigned long *all = calloc(4 * OBJECTS, sizeof(*all));
	struct job jobs[4];

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		jobs[i] = (struct job){ .pool = pools[i % 2], .handles = all + i * OBJECTS };
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, store_all, &jobs[i]), 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(jobs[i].thread, NULL);
	for (size_t i = 0; i < 4 * OBJECTS; i++)
		all[i] = handle_name(all[i]); /* the pools share the entries */
	assert_distinct(all, 4 * OBJECTS);
	free(all);
	zs_destroy_pool(pools[0]);
	zs_destroy_pool(pools[1]);
}

/* Objects that are still there when their pool goes leave their entries to others. */
static void test_entries_of_a_pool_that_goes(void **state)
{
	struct zs_pool *stays = zs_create_pool("stays");
	u32 blocks = 0;

	(void)state;
	for (unsigned int round = 0; round < 5; round++) {
		struct zs_pool *pool = zs_create_pool("goes");

		for (size_t i = 0; i < OBJECTS; i++)
			object_alloc(pool, 1 + i % page_size());
		if (!round)
			blocks = runtime.handles.next_block;
		assert_in_range(runtime.handles.next_block, blocks, blocks + 2);
		zs_destroy_pool(pool);
	}
	zs_destroy_pool(stays);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry),	 cmocka_unit_test(test_bits),
		cmocka_unit_test(test_in_order), cmocka_unit_test(test_used_again),
		cmocka_unit_test(test_threads),	 cmocka_unit_test(test_entries_of_a_pool_that_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
