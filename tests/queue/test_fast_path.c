/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 2: zs_free_deferred() makes no system call after the first handle and takes none of
 * the allocator's locks. It may be called under any lock of the caller's. (Reaches inside for the
 * locks: src/pool.h.)
 */
#include "helpers.h"

#include <pthread.h>

#include "pool.h"
#include "syscall_filter.h"

#define OBJECTS 15000 /* fewer than half the capacity, where the worker is woken */
#define THREADS 4

static size_t size_of(size_t i)
{
	return 200 + i * 37 % 3800;
}

static void queue_filtered(const void *arg)
{
	struct zs_pool *pool = make_lazy_pool();
	static unsigned long handles[OBJECTS];

	(void)arg;
	for (size_t i = 0; i < OBJECTS; i++)
		handles[i] = object_alloc(pool, size_of(i));
	zs_free_deferred(pool, handles[0]);
	CHILD_CHECK(filter_syscalls(NULL, 0));
	for (size_t i = 1; i < OBJECTS; i++)
		zs_free_deferred(pool, handles[i * 7 % OBJECTS]); /* runs, and none */
	CHILD_CHECK(queue_pending(&runtime.queue) == OBJECTS);
}

static void test_no_system_call(void **state)
{
	struct child child;

	(void)state;
	if (!FILTER_POSSIBLE)
		skip();
	child = run_in_child(queue_filtered, NULL);
	assert_child_ended_well(&child);
}

/*
 * With all locks held by another thread for ever, a drain's too, handles are queued nevertheless.
 */
static void test_no_lock(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *handles = objects_make(pool, 1000, OBJECTS);
	struct port_lock *locks[] = {
		&runtime.registry.lock, &runtime.queue.drain.lock,
		&runtime.handles.lock,	&runtime.handles.entries.lock,
		&runtime.zspages.lock,	&runtime.zspages.store.lock,
	};

	(void)state;
	alarm(WAIT_SECONDS); /* where there would be a deadlock */
	for (unsigned int i = 0; i < sizeof(locks) / sizeof(locks[0]); i++)
		assert_true(port_lock_try(locks[i]));
	for (unsigned int i = 0; i < ZS_LOCKS; i++)
		assert_true(port_lock_try(class_lock_at((u8)i)));
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free_deferred(pool, handles[i]);
	assert_int_equal(queue_pending(&runtime.queue), OBJECTS);
	for (unsigned int i = 0; i < ZS_LOCKS; i++)
		atomic_xchg_release(&class_lock_at((u8)i)->state, PORT_LOCK_FREE);
	for (unsigned int i = 0; i < sizeof(locks) / sizeof(locks[0]); i++)
		atomic_xchg_release(&locks[i]->state, PORT_LOCK_FREE);
	alarm(0);
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static pthread_mutex_t callers = PTHREAD_MUTEX_INITIALIZER;

struct job {
	pthread_t thread;
	struct zs_pool *pool;
	unsigned long *handles;
};

static void *queue_under_lock(void *arg)
{
	struct job *job = arg;

	for (size_t i = 0; i < OBJECTS; i++) {
		pthread_mutex_lock(&callers);
		zs_free_deferred(job->pool, job->handles[i]);
		pthread_mutex_unlock(&callers);
	}
	return NULL;
}

/* Threads that share a lock of their own, while others flush and compact. */
static void test_under_callers_lock(void **state)
{
	struct zs_pool *pool = zs_create_pool("locked");
	struct job jobs[THREADS];

	(void)state;
	for (unsigned int i = 0; i < THREADS; i++)
		jobs[i] = (struct job){ .pool = pool, .handles = objects_make(pool, 300, OBJECTS) };
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, queue_under_lock, &jobs[i]),
				 0);
	for (unsigned int i = 0; i < 20; i++) {
		pthread_mutex_lock(&callers);
		zs_free_deferred_flush(pool);
		pthread_mutex_unlock(&callers);
		zs_compact(pool);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(jobs[i].thread, NULL);
		free(jobs[i].handles);
	}
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	assert_int_equal(misuses_of(pool), 0);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_system_call),
		cmocka_unit_test(test_no_lock),
		cmocka_unit_test(test_under_callers_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
