/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A program that has locked its memory, and all that will come. A pool is resident by what it
 * stores, not by what it maps, and gives back as else. Beyond the limit there is no memory.
 */
#include "helpers.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <linux/capability.h>

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

static bool may_lock(void)
{
	bool may = mlockall(MCL_FUTURE) == 0;

	munlockall();
	return may;
}

static void test_locked_memory(void **state)
{
	struct child child;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* they map terabytes */
#endif
	if (!may_lock())
		skip();
	child = run_in_child(lives_locked, NULL);
	assert_child_ended_well(&child);
}

/* Stores until the limit of locked memory, and goes on when there is room again. */
static void meets_the_limit(const void *arg)
{
	unsigned long handles[OBJECTS * 4], got = 0;
	struct rlimit limit;
	struct zs_pool *pool;

	(void)arg;
	CHILD_CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	limit.rlim_cur = limit.rlim_max < LIMIT ? limit.rlim_max : LIMIT;
	CHILD_CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	CHILD_CHECK(prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) == 0 || errno == EPERM);
	CHILD_CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHILD_CHECK(mlockall(MCL_FUTURE) == 0);
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
	struct child child;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();
#endif
	if (geteuid() != 0) /* it drops what root may */
		skip();
	child = run_in_child(meets_the_limit, NULL);
	assert_child_ended_well(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_locked_memory),
		cmocka_unit_test(test_limit_of_locked_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
