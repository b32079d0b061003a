/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Many pools share one runtime. None frees, reads or loses what is another's. A pool can go while
 * others are at work. Tags that are used up are an error. (Reaches inside: src/pool.h.)
 */
#include "helpers.h"
#include "invariants.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "pool.h"

#define POOLS 200
#define OBJECTS 30

static struct zs_pool *pools[POOLS];
static unsigned long handles[POOLS][OBJECTS];

static size_t size_of(unsigned int object)
{
	return 50 + object * 131 % 3000;
}

#define THREADS 4

/* Frees the thread's part of the objects with even numbers, pool by pool. */
static void *free_part(void *arg)
{
	for (unsigned int j = 2 * (unsigned int)(uintptr_t)arg; j < OBJECTS; j += 2 * THREADS)
		for (unsigned int i = 0; i < POOLS; i++)
			((i + j / 2) % 2 ? zs_free : zs_free_deferred)(pools[i], handles[i][j]);
	return NULL;
}

static void test_interleaved(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned int i = 0; i < POOLS; i++)
		pools[i] = make_lazy_pool();
	for (unsigned int j = 0; j < OBJECTS; j++)
		for (unsigned int i = 0; i < POOLS; i++)
			handles[i][j] = object_make(pools[i], size_of(j), i * OBJECTS + j);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, free_part, (void *)i), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < POOLS; i += 2)
		zs_destroy_pool(pools[i]);
	for (unsigned int i = 1; i < POOLS; i += 2) {
		zs_compact(pools[i]);
		for (unsigned int j = 1; j < OBJECTS; j += 2)
			assert_true(
				object_holds(pools[i], handles[i][j], size_of(j), i * OBJECTS + j));
		assert_int_equal(misuses_of(pools[i]), 0);
		check_invariants(pools[i], OBJECTS / 2, 0);
		zs_destroy_pool(pools[i]);
	}
}

static atomic_bool stop;

static void *work(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		struct zs_pool *pool = pools[next_random(&seed) % 4];
		unsigned long handle = object_alloc(pool, 1 + next_random(&seed) % 3000);

		(seed % 3 ? zs_free_deferred : zs_free)(pool, handle);
	}
	return NULL;
}

/* Pools come and go while threads use others. */
static void test_come_and_go(void **state)
{
	pthread_t threads[3];

	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		pools[i] = make_pool((struct zs_pool_options){ .max_chain = 4 });
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
	for (unsigned int round = 0; round < 100 / TEST_LESS; round++) {
		struct zs_pool *pool = zs_create_pool("goes");

		for (unsigned int i = 0; i < 100; i++) {
			unsigned long handle = object_make(pool, size_of(i), i);

			if (i % 3)
				zs_free_deferred(pool, handle);
		}
		zs_destroy_pool(pool);
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < 4; i++) {
		check_invariants(pools[i], 0, 0);
		zs_destroy_pool(pools[i]);
	}
}

/* Gives all tags from one on to a pool, or takes them back. */
static void tags_fill(struct zs_pool *by, u32 from)
{
	for (u32 tag = from; tag < HANDLE_TAGS; tag++) {
		while (tag >= table_size(&runtime.pools, sizeof(void *)))
			assert_int_equal(table_grow(&runtime.pools, GFP_KERNEL), 0);
		WRITE_ONCE(*(struct zs_pool **)table_at(&runtime.pools, tag, sizeof(void *)), by);
	}
}

/*
 * No two pools have one tag; when there is none, a pool is not made, and one that goes makes room.
 */
static void test_tags(void **state)
{
	enum {
		FREE = 50
	};
	struct zs_pool *all[FREE + 1], *first = zs_create_pool("first");
	unsigned char seen[FREE + 2] = { 0 };
	u32 count = 0;

	(void)state;
	seen[first->tag] = 1;
	tags_fill(first, FREE + 1);
	while ((all[count] = zs_create_pool("tag"))) {
		assert_in_range(all[count]->tag, 1, FREE);
		assert_int_equal(seen[all[count]->tag]++, 0);
		count++;
	}
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(count, FREE - 1);
	zs_destroy_pool(all[10]);
	all[10] = zs_create_pool("tag");
	assert_non_null(all[10]);
	assert_true(object_holds(all[10], object_make(all[10], 77, 1), 77, 1));
	while (count)
		zs_destroy_pool(all[--count]);
	tags_fill(NULL, FREE + 1);
	zs_destroy_pool(first);
}

/* The runtime goes with the last pool, and comes again. */
static void test_again_and_again(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 50; i++) {
		struct zs_pool *pool = zs_create_pool("again");

		zs_free_deferred(pool, object_make(pool, 1000, i));
		object_make(pool, 10, i);
		zs_destroy_pool(pool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interleaved),
		cmocka_unit_test(test_come_and_go),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
