/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A program that has locked its memory, and all that will come. A pool is resident by what it
 * stores, not by what it maps, and gives back as else. Beyond the limit there is no memory.
 */
#include "locked.h"

#define OBJECTS 8000
#define SIZE 4000
#define LIMIT (64UL << 20) /* less than the objects */
#define OWN_KIB 4096 /* what the library may have for itself */

static unsigned long before;

static bool most_is_given_back(void *arg)
{
	(void)arg;
	return resident_kib() < before + OWN_KIB + OBJECTS * SIZE / 1024 / 10;
}

static void lives_locked(const void *arg)
{
	struct zs_pool *pool;
	unsigned long *handles;

	(void)arg;
	CHILD_CHECK(mlockall(MCL_FUTURE) == 0);
	before = resident_kib();
	pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });
	handles = objects_make(pool, SIZE, 1);
	CHILD_CHECK(resident_kib() < before + OWN_KIB);
	zs_free(pool, handles[0]);
	free(handles);
	handles = objects_make(pool, SIZE, OBJECTS);
	CHILD_CHECK(resident_kib() < before + OWN_KIB + OBJECTS * 5UL);
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free_deferred(pool, handles[i]);
	CHILD_CHECK(wait_for(most_is_given_back, NULL));
	/* What was given back, and comes again, is zeros for the library's own use. */
	for (size_t i = 0; i < OBJECTS; i++)
		handles[i] = object_make(pool, SIZE, i);
	for (size_t i = 0; i < OBJECTS; i++)
		CHILD_CHECK(object_holds(pool, handles[i], SIZE, i));
	zs_destroy_pool(pool);
}

static void test_locked_memory(void **state)
{
	(void)state;
	run_locked(lives_locked);
}

/* Stores until the limit of locked memory, and goes on when there is room again. */
static void meets_the_limit(const void *arg)
{
	unsigned long handles[OBJECTS * 4], got = 0;
	struct zs_pool *pool;

	(void)arg;
	lock_up_to(LIMIT);
	pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });
	while (got < OBJECTS * 4) {
		unsigned long handle = zs_malloc(pool, SIZE, GFP_KERNEL, NUMA_NO_NODE);

		if (zs_is_err(handle)) {
			CHILD_CHECK(zs_err(handle) == -ENOMEM);
			break;
		}
		object_fill(pool, handle, SIZE, got);
		handles[got++] = handle;
	}
	CHILD_CHECK(got > 0 && got < OBJECTS * 4);
	for (size_t i = 0; i < got; i++)
		CHILD_CHECK(object_holds(pool, handles[i], SIZE, i));
	for (size_t i = 0; i < got / 2; i++)
		zs_free(pool, handles[i]);
	for (size_t i = 0; i < got / 2; i++)
		handles[i] = object_make(pool, SIZE, i);
	zs_destroy_pool(pool);
}

static void test_limit_of_locked_memory(void **state)
{
	(void)state;
	run_limited(meets_the_limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_locked_memory),
		cmocka_unit_test(test_limit_of_locked_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
