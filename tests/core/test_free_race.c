/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Frees that meet. Of two frees of one object exactly one counts, whichever way each is freed. A
 * free that meets compaction finds the object where it went.
 */
#include "helpers.h"
#include "invariants.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "pool.h"

#define OBJECTS 3000
#define SIZE 700

static pthread_barrier_t start;
static struct zs_pool *pool;
static unsigned long *handles;

enum way {
	AT_ONCE,
	DEFERRED,
	BULK
};

static void *free_all(void *arg)
{
	enum way way = *(enum way *)arg;

	pthread_barrier_wait(&start);
	if (way == BULK)
		zs_free_bulk(pool, handles, OBJECTS);
	for (size_t i = 0; i < OBJECTS && way == AT_ONCE; i++)
		zs_free(pool, handles[i]);
	for (size_t i = 0; i < OBJECTS && way == DEFERRED; i++)
		zs_free_deferred(pool, handles[i]);
	return NULL;
}

/* Two threads free the same objects; what one frees is told of the other. */
static void free_twice(const void *arg)
{
	enum way ways[2];
	pthread_t threads[2];

	memcpy(ways, arg, sizeof(ways));
	CHILD_CHECK(dup2(open("/dev/null", O_WRONLY), STDERR_FILENO) >= 0); /* thousands of lines */
	pool = make_pool((struct zs_pool_options){ .misuse = ZS_MISUSE_COUNT });
	handles = calloc(OBJECTS, sizeof(*handles));
	for (size_t i = 0; i < OBJECTS; i++)
		handles[i] = zs_malloc(pool, SIZE, GFP_KERNEL, NUMA_NO_NODE);
	pthread_barrier_init(&start, NULL, 2);
	for (unsigned int i = 0; i < 2; i++)
		CHILD_CHECK(!pthread_create(&threads[i], NULL, free_all, &ways[i]));
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	zs_free_deferred_flush(pool);
	CHILD_CHECK(misuses_of(pool) == OBJECTS);
	CHILD_CHECK(pool_objects(pool) == 0);
	zs_destroy_pool(pool);
}

static void test_twice(void **state)
{
	const enum way ways[][2] = {
		{ AT_ONCE, AT_ONCE }, { AT_ONCE, DEFERRED }, { AT_ONCE, BULK },
		{ DEFERRED, BULK },   { BULK, BULK },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct child child = run_in_child(free_twice, ways[i]);

		if (!WIFEXITED(child.status) || WEXITSTATUS(child.status))
			fail_msg("ways %d and %d: status %#x, %s", ways[i][0], ways[i][1],
				 (unsigned int)child.status, child.said);
	}
}

static atomic_bool stop;

static void *compact_all_the_time(void *arg)
{
	while (!atomic_load(&stop))
		zs_compact(pool);
	return arg;
}

/* Objects move between the look at their entries and the free. */
static void check_beside_compaction(enum way way)
{
	pthread_t mover;

	pool = zs_create_pool("moving");
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&mover, NULL, compact_all_the_time, NULL), 0);
	for (unsigned int round = 0; round < 20 / TEST_LESS + 2; round++) {
		unsigned long *all = objects_make(pool, SIZE, 2 * OBJECTS);
		unsigned long part[OBJECTS];

		for (size_t i = 0; i < OBJECTS; i++)
			part[i] = all[i * 2 + (i / 64) % 2];
		if (way == BULK)
			zs_free_bulk(pool, part, OBJECTS);
		for (size_t i = 0; i < OBJECTS && way != BULK; i++)
			(way == AT_ONCE ? zs_free : zs_free_deferred)(pool, part[i]);
		for (size_t i = 0; i < OBJECTS; i++) {
			size_t left = i * 2 + 1 - (i / 64) % 2;

			assert_true(object_holds(pool, all[left], SIZE, left));
			zs_free(pool, all[left]);
		}
		free(all);
	}
	atomic_store(&stop, true);
	pthread_join(mover, NULL);
	check_invariants(pool, 0, 0);
	assert_int_equal(misuses_of(pool), 0);
	zs_destroy_pool(pool);
}

static void test_beside_compaction(void **state)
{
	(void)state;
	check_beside_compaction(AT_ONCE);
	check_beside_compaction(DEFERRED);
	check_beside_compaction(BULK);
}

/* A batch frees a name once that it has twice, and tells of the other. */
static void free_in_one_batch(const void *arg)
{
	unsigned long twice[3];

	(void)arg;
	pool = make_pool((struct zs_pool_options){
		.deferred_delay_ms = NEVER_MS,
		.misuse = ZS_MISUSE_COUNT,
	});
	twice[0] = object_make(pool, SIZE, 1);
	twice[1] = object_make(pool, SIZE, 2);
	twice[2] = twice[0];
	for (unsigned int i = 0; i < 3; i++)
		zs_free_deferred(pool, twice[i]);
	zs_free_deferred_flush(pool);
	CHILD_CHECK(misuses_of(pool) == 1);
	CHILD_CHECK(pool_objects(pool) == 0);
	/* The entry came back once: two objects do not get it. */
	twice[0] = zs_malloc(pool, SIZE, GFP_KERNEL, NUMA_NO_NODE);
	for (unsigned int i = 0; i < 1000; i++) {
		unsigned long handle = zs_malloc(pool, SIZE, GFP_KERNEL, NUMA_NO_NODE);

		CHILD_CHECK((u32)handle != (u32)twice[0]);
	}
	zs_destroy_pool(pool);
}

static void test_in_one_batch(void **state)
{
	struct child child = run_in_child(free_in_one_batch, NULL);

	(void)state;
	assert_child_ended_well(&child);
	assert_non_null(strstr(child.said, "pool \"test\": zs_free_deferred: double free"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_beside_compaction),
		cmocka_unit_test(test_in_one_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
