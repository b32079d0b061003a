/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * fork(): the child goes on with every pool, and so does its parent. Reaches inside: src/queue.h
 * and src/lane.h, to stop a thread in the middle of its lane.
 */
#include "no_worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdatomic.h>

#include "invariants.h"
#include "pool.h"

#define OBJECTS 500
#define SIZE 700
#define LOADED_FORKS 500 /* by each thread */
#define LOADED_THREADS 4

static struct zs_pool *make_counting_pool(unsigned int delay_ms)
{
	return make_pool((struct zs_pool_options){
		.deferred_delay_ms = delay_ms,
		.misuse = ZS_MISUSE_COUNT,
	});
}

/* In a child: what a program does with a pool, on objects of its own. */
static void child_uses(struct zs_pool *pool)
{
	unsigned long handles[OBJECTS];

	for (size_t i = 0; i < OBJECTS; i++) {
		handles[i] = zs_malloc(pool, SIZE, GFP_KERNEL, NUMA_NO_NODE);
		CHILD_CHECK(!zs_is_err(handles[i]));
		object_fill(pool, handles[i], SIZE, i);
	}
	for (size_t i = 0; i < OBJECTS; i++)
		CHILD_CHECK(object_holds(pool, handles[i], SIZE, i));
	for (size_t i = 0; i < OBJECTS; i += 2)
		zs_free(pool, handles[i]);
	for (size_t i = 1; i < OBJECTS; i += 4)
		zs_free_deferred(pool, handles[i]);
	zs_compact(pool);
	for (size_t i = 3; i < OBJECTS; i += 4) {
		CHILD_CHECK(object_holds(pool, handles[i], SIZE, i));
		zs_free_deferred(pool, handles[i]);
	}
	zs_free_deferred_flush(pool);
	CHILD_CHECK(deferred_stat(pool, "pending") == 0);
}

struct family {
	struct zs_pool *pool;
	unsigned long *handles;
	bool is_shared; /* other threads have objects in the pool, too */
};

static void child_goes_on(const void *arg)
{
	const struct family *family = arg;

	for (size_t i = 0; i < OBJECTS; i++)
		CHILD_CHECK(object_holds(family->pool, family->handles[i], SIZE, i));
	child_uses(family->pool);
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free(family->pool, family->handles[i]);
	CHILD_CHECK(family->is_shared || pool_objects(family->pool) == 0);
	CHILD_CHECK(misuses_of(family->pool) == 0);
	zs_destroy_pool(family->pool);
}

static struct family family_make(unsigned int delay_ms)
{
	struct family family = { .pool = make_counting_pool(delay_ms) };

	family.handles = objects_make(family.pool, SIZE, OBJECTS);
	return family;
}

static void family_end(struct family *family)
{
	assert_int_equal(misuses_of(family->pool), 0);
	zs_destroy_pool(family->pool);
	free(family->handles);
}

/* The child reads what was there, stores, frees, defers, flushes, compacts, destroys. */
static void test_child_goes_on(void **state)
{
	struct family family = family_make(1);
	struct child child = run_in_child(child_goes_on, &family);

	(void)state;
	assert_child_ended_well(&child);
	for (size_t i = 0; i < OBJECTS; i++)
		assert_true(object_holds(family.pool, family.handles[i], SIZE, i));
	family_end(&family);
}

static void child_forks(const void *arg)
{
	struct child child = run_in_child(child_goes_on, arg);

	CHILD_CHECK(child.status == 0);
	child_goes_on(arg);
}

static void test_fork_in_fork(void **state)
{
	struct family family = family_make(1);
	struct child child = run_in_child(child_forks, &family);

	(void)state;
	assert_child_ended_well(&child);
	family_end(&family);
}

static void child_flushes(const void *arg)
{
	const struct family *family = arg;

	CHILD_CHECK(deferred_stat(family->pool, "pending") == OBJECTS / 2);
	zs_free_deferred_flush(family->pool);
	CHILD_CHECK(deferred_stat(family->pool, "pending") == 0);
	CHILD_CHECK(pool_objects(family->pool) == OBJECTS - OBJECTS / 2);
}

/* What is pending at the fork is freed in both. */
static void test_pending_is_freed_in_both(void **state)
{
	struct family family = family_make(NEVER_MS);
	struct child child;

	(void)state;
	for (size_t i = 0; i < OBJECTS / 2; i++)
		zs_free_deferred(family.pool, family.handles[i]);
	child = run_in_child(child_flushes, &family);
	assert_child_ended_well(&child);
	assert_int_equal(deferred_stat(family.pool, "pending"), OBJECTS / 2);
	zs_free_deferred_flush(family.pool);
	assert_int_equal(pool_objects(family.pool), OBJECTS - OBJECTS / 2);
	family_end(&family);
}

/* Without a worker, what must be done by and by is done by the calls. */
static void child_without_worker(const void *arg)
{
	const struct family *family = arg;

	threads_refused = true;
	for (size_t i = 0; i < OBJECTS / 2; i++)
		zs_free_deferred(family->pool, family->handles[i]);
	CHILD_CHECK(deferred_stat(family->pool, "pending") > 0);
	child_uses(family->pool);
	CHILD_CHECK(pool_objects(family->pool) == OBJECTS / 2);
#ifndef __SANITIZE_THREAD__
	threads_refused = false;
	for (size_t i = OBJECTS / 2; i < OBJECTS; i++)
		zs_free_deferred(family->pool, family->handles[i]);
	CHILD_CHECK(wait_for(nothing_is_pending, family->pool));
#endif
}

static void test_child_is_refused_a_worker(void **state)
{
	struct family family = family_make(1);
	struct child child = run_in_child(child_without_worker, &family);

	(void)state;
	assert_child_ended_well(&child);
	family_end(&family);
}

/* Nothing but the worker drains: first what was pending at the fork, then what the child defers. */
static void child_waits(const void *arg)
{
	const struct family *family = arg;

	CHILD_CHECK(wait_for(nothing_is_pending, family->pool));
	CHILD_CHECK(pool_objects(family->pool) == OBJECTS / 2);
	for (size_t i = OBJECTS / 2; i < OBJECTS; i++)
		zs_free_deferred(family->pool, family->handles[i]);
	CHILD_CHECK(wait_for(nothing_is_pending, family->pool));
	CHILD_CHECK(pool_objects(family->pool) == 0);
}

static void test_worker_drains_in_the_child(void **state)
{
	struct family family;
	struct child child;

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip();
#endif
	family = family_make(20);
	for (size_t i = 0; i < OBJECTS / 2; i++)
		zs_free_deferred(family.pool, family.handles[i]);
	child = run_in_child(child_waits, &family);
	assert_child_ended_well(&child);
	family_end(&family);
}

static void becomes_daemon(const void *arg)
{
	const struct family *family = arg;

	CHILD_CHECK(daemon(1, 1) == 0);
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free_deferred(family->pool, family->handles[i]);
	CHILD_CHECK(threads_refused || wait_for(nothing_is_pending, family->pool));
	child_uses(family->pool);
	dprintf(STDERR_FILENO, "well");
}

/* A pool that is made before daemon() works after it. */
static void test_daemon(void **state)
{
	struct family family = family_make(1);
	struct child child = run_in_child(becomes_daemon, &family);

	(void)state;
	assert_child_ended_well(&child);
	assert_string_equal(child.said, "well");
	family_end(&family);
}

static void test_spawn_and_vfork(void **state)
{
	char *const args[] = { "true", NULL };
	struct family family = family_make(1);

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		int status;
		pid_t pid;

		zs_free_deferred(family.pool, object_make(family.pool, SIZE, i));
		if (i % 2) {
			assert_int_equal(posix_spawnp(&pid, "true", NULL, NULL, args, NULL), 0);
		} else {
			pid = vfork();
			if (!pid)
				_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	zs_free_deferred_flush(family.pool);
	assert_int_equal(pool_objects(family.pool), OBJECTS);
	family_end(&family);
}

/* How far a thread was in its lane when the child was made. */
enum stopped {
	STOPPED_ENTERED,
	STOPPED_RUN_COUNTED, /* the run's new count was not published yet */
	STOPPED_CELL_COUNTED, /* the cell's place is taken, and the cell is not there */
	STOPPED_CELL_WRITTEN, /* the cell is there, and its place is not taken */
	STOPPED_LINKED, /* a segment is linked, and is not the tail yet */
	STOPPED_ALL,
};

struct stop {
	struct family *family;
	enum stopped where;
	sem_t inside;
	sem_t go_on;
	struct segment *segment;
};

/* Goes on half a step in the lane, as lane_append() and lane_open() have it, or takes that back. */
static void half_step(struct stop *stop, struct lane *lane, bool back)
{
	u64 name = handle_name(stop->family->handles[100]);

	switch (stop->where) {
	case STOPPED_RUN_COUNTED:
		WRITE_ONCE(lane->cell, back ? lane->cell - CELL_ONE : lane->cell + CELL_ONE);
		break;
	case STOPPED_CELL_COUNTED:
		lane->left += back ? 1U : -1U;
		lane->next += back ? -1 : 1;
		break;
	case STOPPED_CELL_WRITTEN:
		WRITE_ONCE(*lane->next, back ? 0 : CELL_ONE | name);
		break;
	case STOPPED_LINKED:
		smp_store_release(&lane->tail->next, back ? NULL : stop->segment);
		break;
	default:
		break;
	}
}

/* Queues some handles, and stops in the middle of the next one. */
static void *stop_inside(void *arg)
{
	struct stop *stop = arg;
	struct lane *lane;

	for (size_t i = 0; i < 100; i++)
		zs_free_deferred(stop->family->pool, stop->family->handles[i]);
	stop->segment = (struct segment *)port_page_alloc(&runtime.zspages.store, true);
	lane = lane_claim();
	half_step(stop, lane, false);
	sem_post(&stop->inside);
	sem_wait(&stop->go_on);
	half_step(stop, lane, true);
	lane_leave(lane);
	port_page_free(&runtime.zspages.store, &stop->segment->page);
	return NULL;
}

/* In the child, this thread is given one lane after the other, that of the stopped thread too. */
static void child_repairs(const void *arg)
{
	const struct stop *stop = arg;
	const struct family *family = stop->family;
	bool freed = stop->where == STOPPED_CELL_WRITTEN; /* the object of the handle is */

	threads_refused = true;
	CHILD_CHECK(deferred_stat(family->pool, "pending") == 100U + freed);
	for (size_t i = 101; i < OBJECTS; i++) {
		if (i % 50 == 0)
			port_lane_own = 0;
		zs_free_deferred(family->pool, family->handles[i]);
	}
	CHILD_CHECK(deferred_stat(family->pool, "fallbacks_contended") == 0);
	zs_free_deferred_flush(family->pool);
	CHILD_CHECK(deferred_stat(family->pool, "pending") == 0);
	CHILD_CHECK(pool_objects(family->pool) == 1U - freed);
	CHILD_CHECK(misuses_of(family->pool) == 0);
}

/* A thread that is stopped in its lane, anywhere, leaves the child a lane that works. */
static void test_lane_of_a_stopped_thread(void **state)
{
	(void)state;
	for (enum stopped where = STOPPED_ENTERED; where < STOPPED_ALL; where++) {
		struct family family = family_make(NEVER_MS);
		struct stop stop = { .family = &family, .where = where };
		struct child child;
		pthread_t thread;

		sem_init(&stop.inside, 0, 0);
		sem_init(&stop.go_on, 0, 0);
		assert_int_equal(pthread_create(&thread, NULL, stop_inside, &stop), 0);
		sem_wait(&stop.inside);
		child = run_in_child(child_repairs, &stop);
		sem_post(&stop.go_on);
		pthread_join(thread, NULL);
		assert_child_ended_well(&child);
		zs_free_deferred_flush(family.pool);
		assert_int_equal(pool_objects(family.pool), OBJECTS - 100);
		family_end(&family);
	}
}

static atomic_bool load_ends;

/* A pool that comes and goes, is compacted and drained, while others fork. */
static void *load(void *arg)
{
	(void)arg;
	while (!atomic_load(&load_ends)) {
		struct zs_pool *pool = make_counting_pool(1);
		unsigned long *handles = objects_make(pool, SIZE, OBJECTS);

		for (size_t i = 0; i < OBJECTS; i++)
			if (i % 5)
				zs_free_deferred(pool, handles[i]);
		zs_compact(pool);
		zs_destroy_pool(pool);
		free(handles);
	}
	return NULL;
}

static void *fork_often(void *arg)
{
	const struct family *shared = arg;

	for (unsigned int i = 0; i < LOADED_FORKS / TEST_LESS; i++) {
		struct family family = *shared;
		struct child child;

		if (i % 2) /* a pool of this thread's own, with frees that are pending */
			family = family_make(1);
		for (size_t k = 0; k < OBJECTS; k++)
			zs_free_deferred(family.pool, object_make(family.pool, SIZE, k));
		child = run_in_child(child_goes_on, &family);
		assert_child_ended_well(&child);
		if (i % 2)
			family_end(&family);
	}
	return NULL;
}

/* Threads that use pools all the time fork 2,000 children, each of which goes on. */
static void test_fork_under_load(void **state)
{
	struct family family = family_make(1);
	pthread_t loader, threads[LOADED_THREADS];

	(void)state;
	family.is_shared = true;
	atomic_store(&load_ends, false);
	assert_int_equal(pthread_create(&loader, NULL, load, NULL), 0);
	for (unsigned int i = 0; i < LOADED_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fork_often, &family), 0);
	for (unsigned int i = 0; i < LOADED_THREADS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&load_ends, true);
	pthread_join(loader, NULL);
	zs_free_deferred_flush(family.pool);
	assert_int_equal(pool_objects(family.pool), OBJECTS);
	family_end(&family);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_goes_on),
		cmocka_unit_test(test_fork_in_fork),
		cmocka_unit_test(test_pending_is_freed_in_both),
		cmocka_unit_test(test_child_is_refused_a_worker),
		cmocka_unit_test(test_worker_drains_in_the_child),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_spawn_and_vfork),
		cmocka_unit_test(test_lane_of_a_stopped_thread),
		cmocka_unit_test(test_fork_under_load),
	};

	refuse_threads_in_children();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
