/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A program that filters system calls once it has a pool. Each call that the library may make from
 * then on is refused in turn. What is stored is whole, frees are done, and locks are waited for. A
 * store works, or is ENOMEM. The same holds in a child of fork(), which may get no worker, and for
 * the next first pool. Reaches inside: src/pool.h.
 */
#include "refusals.h"

#include <pthread.h>
#include <stdatomic.h>

#include "pool.h"

#define OBJECTS 3000
#define SIZE 1500

static const struct call calls[] = { ZSMALLOC_CALLS };
static const size_t calls_count = sizeof(calls) / sizeof(calls[0]);

/* Asks inside: the text of the statistics takes memory, which may be refused. */
static bool queue_is_empty(void *arg)
{
	(void)arg;
	return queue_pending(&runtime.queue) == 0;
}

/* Stores another object, or has none. */
static unsigned long try_store(struct zs_pool *pool, uint64_t key)
{
	unsigned long handle = zs_malloc(pool, SIZE, GFP_KERNEL, NUMA_NO_NODE);

	if (zs_is_err(handle)) {
		CHILD_CHECK(zs_err(handle) == -ENOMEM);
		return 0;
	}
	object_fill(pool, handle, SIZE, key);
	CHILD_CHECK(object_holds(pool, handle, SIZE, key));
	return handle;
}

/* Uses a pool in which every second object of @handles is left. */
static void use(struct zs_pool *pool, const unsigned long *handles)
{
	unsigned long more[OBJECTS];

	zs_compact(pool);
	for (size_t i = 0; i < OBJECTS; i++)
		more[i] = try_store(pool, i);
	for (size_t i = 1; i < OBJECTS; i += 2)
		CHILD_CHECK(object_holds(pool, handles[i], SIZE, i));
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free(pool, more[i]);
	zs_free_deferred_flush(pool);
	CHILD_CHECK(queue_is_empty(NULL));
	zs_free(pool, handles[0]);
	CHILD_CHECK(atomic64_read(&pool->misuses) == 1);
}

/* Makes another pool, if that is possible, and ends both. Then no thread is left. */
static void end(struct zs_pool *pool)
{
	struct zs_pool *other = zs_create_pool("other");

	CHILD_CHECK(other || errno == ENOMEM);
	if (other)
		zs_destroy_pool(other);
	zs_destroy_pool(pool);
	CHILD_CHECK(!port_worker_there(&runtime.worker));
}

static void goes_on(const void *arg)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_delay_ms = 1,
		.misuse = ZS_MISUSE_COUNT,
	});
	unsigned long *handles = objects_make(pool, SIZE, OBJECTS);

	refuse(arg);
	for (size_t i = 0; i < OBJECTS; i += 2)
		zs_free_deferred(pool, handles[i]);
	CHILD_CHECK(wait_by_poll(queue_is_empty, NULL));
	use(pool, handles);
	end(pool);
	/* The next pool needs another worker. */
	pool = zs_create_pool("next");
	CHILD_CHECK(pool || errno == ENOMEM);
	if (pool)
		zs_destroy_pool(pool);
}

static void test_each_call_refused(void **state)
{
	(void)state;
	refuse_each(calls, calls_count, goes_on);
}

/* Made before the fork(). */
static struct zs_pool *inherited;
static unsigned long *inherited_handles;

static void child_goes_on(const void *arg)
{
	refuse(arg);
	for (size_t i = 0; i < OBJECTS; i += 2)
		zs_free_deferred(inherited, inherited_handles[i]);
	use(inherited, inherited_handles);
	end(inherited);
}

static void test_each_call_refused_in_a_child(void **state)
{
	(void)state;
	inherited = make_pool((struct zs_pool_options){
		.deferred_delay_ms = 1,
		.misuse = ZS_MISUSE_COUNT,
	});
	inherited_handles = objects_make(inherited, SIZE, OBJECTS);
	refuse_each(calls, calls_count, child_goes_on);
	zs_destroy_pool(inherited);
	free(inherited_handles);
}

static struct zs_pool *shared;
static atomic_bool begun, begin;
static atomic_bool done;

static void *store_once(void *arg)
{
	atomic_store(&begun, true);
	while (!atomic_load(&begin))
		poll(NULL, 0, 1);
	zs_free(shared, zs_malloc(shared, SIZE, GFP_KERNEL, NUMA_NO_NODE));
	atomic_store(&done, true);
	return arg;
}

static bool is_set(void *flag)
{
	return atomic_load((atomic_bool *)flag);
}

/* No join: without futex() that of glibc ends the program. */
static void waits_for_a_lock(const void *arg)
{
	struct port_lock *lock;
	pthread_t thread;

	shared = make_lazy_pool();
	zs_free(shared, object_make(shared, SIZE, 0));
	lock = shared->class[zs_lookup_class_index(shared, SIZE)].lock;
	CHILD_CHECK(pthread_create(&thread, NULL, store_once, NULL) == 0);
	CHILD_CHECK(wait_by_poll(is_set, &begun));
	refuse(arg);
	port_lock(lock);
	atomic_store(&begin, true);
	while (atomic_read(&lock->state) != PORT_LOCK_WANTED)
		poll(NULL, 0, 1);
	poll(NULL, 0, 10);
	CHILD_CHECK(!atomic_load(&done));
	port_unlock(lock);
	CHILD_CHECK(wait_by_poll(is_set, &done));
}

static void test_a_lock_is_waited_for(void **state)
{
	(void)state;
	refuse_each(calls, calls_count, waits_for_a_lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_call_refused),
		cmocka_unit_test(test_each_call_refused_in_a_child),
		cmocka_unit_test(test_a_lock_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
