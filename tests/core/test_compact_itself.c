/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A pool that has become sparse compacts by itself, beside who uses it, unless it is told not to.
 * No object is lost or changed. (Reaches inside: src/pool.h, to see what could be freed. Wraps
 * port_now(), to have time pass, and to stop the worker.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "pool.h"

#define OBJECTS 20000
#define KEEP_EVERY 5
#define ENOUGH (4UL << 20) /* bytes that may stay, as src/compact.c has it */

static const size_t sizes[] = { 700, 1700, 2500, 3300 };

static _Thread_local u64 slow_time; /* if not 0: the time, which every look at it takes on */

/* Whether the worker shall stop while it compacts a pool, which is under the registry mutex. */
static enum stop {
	GO_ON,
	SHALL_STOP,
	STOPPED
} _Atomic stop;
static pthread_t tester;

u64 __real_port_now(void);
u64 __wrap_port_now(void);

u64 __wrap_port_now(void)
{
	if (atomic_load(&stop) == SHALL_STOP && !pthread_equal(pthread_self(), tester) &&
	    atomic_read(&runtime.registry.lock.state)) {
		atomic_store(&stop, STOPPED);
		while (atomic_load(&stop) == STOPPED)
			usleep(1000);
	}
	if (!slow_time)
		return __real_port_now();
	slow_time += 1000000;
	return slow_time;
}

static size_t size_of(unsigned int object)
{
	return sizes[object % (sizeof(sizes) / sizeof(sizes[0]))];
}

static unsigned long *make_objects(struct zs_pool *pool)
{
	unsigned long *handles = calloc(OBJECTS, sizeof(*handles));

	assert_non_null(handles);
	for (unsigned int i = 0; i < OBJECTS; i++)
		handles[i] = object_make(pool, size_of(i), i);
	return handles;
}

static void free_most(struct zs_pool *pool, const unsigned long *handles,
		      void (*free_one)(struct zs_pool *pool, unsigned long handle))
{
	for (unsigned int i = 0; i < OBJECTS; i++)
		if (i % KEEP_EVERY)
			free_one(pool, handles[i]);
}

static void check_and_free_rest(struct zs_pool *pool, unsigned long *handles)
{
	for (unsigned int i = 0; i < OBJECTS; i += KEEP_EVERY) {
		assert_true(object_holds(pool, handles[i], size_of(i), i));
		zs_free(pool, handles[i]);
	}
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static bool is_dense(void *pool)
{
	return pool_reclaimable(pool) * page_size() < ENOUGH;
}

/* What a moment's compaction freed is counted at its end. */
static bool has_compacted(void *pool)
{
	struct zs_pool_stats stats;

	zs_pool_stats(pool, &stats);
	return stats.pages_compacted > 0;
}

/* Whichever way they are freed: the pool is dense before long, without a call for it. */
static void check_dense(void (*free_one)(struct zs_pool *pool, unsigned long handle))
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .compact_share = 100 });
	unsigned long *handles = make_objects(pool);

	free_most(pool, handles, free_one);
	zs_free_deferred_flush(pool);
	assert_true(wait_for(is_dense, pool));
	assert_true(wait_for(has_compacted, pool));
	check_and_free_rest(pool, handles);
}

static void test_freed_at_once(void **state)
{
	(void)state;
	check_dense(zs_free);
}

static void test_freed_deferred(void **state)
{
	(void)state;
	check_dense(zs_free_deferred);
}

/* Returns how many zspages there are, of all pools. */
static unsigned int zspages_live(void)
{
	unsigned int live = 0;

	for (u32 number = 1; number < zspages_end(&runtime.zspages); number++)
		live += !!(smp_load_acquire(&zspage_ref(&runtime.zspages, number)->where) &
			   WHERE_LIVE);
	return live;
}

static bool has_stopped(void *unused)
{
	(void)unused;
	return atomic_load(&stop) == STOPPED;
}

static void *destroy(void *pool)
{
	zs_destroy_pool(pool);
	return NULL;
}

/*
 * A pool is destroyed while the worker compacts it: its zspages stay until the worker is done. Else
 * the worker would put one into a group that is done with, and it would be left behind.
 */
static void test_destroyed_while_it_compacts(void **state)
{
	struct zs_pool *keeper = make_pool((struct zs_pool_options){ 0 });
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .compact_share = 100 });
	unsigned long *handles = make_objects(pool);
	pthread_t thread;
	unsigned int live;

	(void)state;
	tester = pthread_self();
	atomic_store(&stop, SHALL_STOP);
	free_most(pool, handles, zs_free);
	free(handles);
	assert_true(wait_for(has_stopped, NULL));
	live = zspages_live();
	assert_true(live > 0);
	assert_int_equal(pthread_create(&thread, NULL, destroy, pool), 0);
	for (unsigned int ms = 0; ms < 100; ms++) {
		assert_int_equal(zspages_live(), live);
		usleep(1000);
	}
	atomic_store(&stop, GO_ON);
	pthread_join(thread, NULL);
	assert_int_equal(zspages_live(), 0);
	zs_destroy_pool(keeper);
}

#define KINDS 60 /* of objects, by their size; most have a size class of their own */
#define EACH 150 /* objects of a kind, of which the last is kept */

/* The worker may stop at what is below a MiB and a page for each object. */
static bool holds_little(void *pool)
{
	return zs_get_total_pages(pool) < KINDS + (1UL << 20) / page_size();
}

/*
 * Few objects are left, each at the end of a long zspage that it has for itself: the pages before
 * it go back.
 */
static void test_few_left(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .compact_share = 100 });
	unsigned long *handles = calloc(KINDS * EACH, sizeof(*handles));

	(void)state;
	assert_non_null(handles);
	for (unsigned int i = 0; i < KINDS * EACH; i++)
		handles[i] = object_make(pool, 64 * (i / EACH) + 64, i);
	for (unsigned int i = 0; i < KINDS * EACH; i++)
		if (i % EACH != EACH - 1)
			zs_free(pool, handles[i]);
	assert_true(wait_for(holds_little, pool));
	for (unsigned int i = EACH - 1; i < KINDS * EACH; i += EACH) {
		assert_true(object_holds(pool, handles[i], 64 * (i / EACH) + 64, i));
		zs_free(pool, handles[i]);
	}
	free(handles);
	zs_destroy_pool(pool);
}

static void do_nothing(void)
{
}

/* Has the worker do nothing, so that the test can do its work. */
static void worker_replace(void)
{
	port_worker_stop(&runtime.worker);
	memset(&runtime.worker, 0, sizeof(runtime.worker));
	assert_int_equal(port_worker_init(&runtime.worker, do_nothing), 0);
}

/* A pool that is told not to stays as it is, although its worker runs. */
static void test_never(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.compact_share = ZS_COMPACT_NEVER,
	});
	unsigned long *handles = make_objects(pool);
	struct zs_pool_stats stats;

	(void)state;
	free_most(pool, handles, zs_free_deferred);
	zs_free_deferred_flush(pool);
	worker_replace();
	assert_int_equal(compact_work(), -1);
	assert_false(is_dense(pool));
	zs_pool_stats(pool, &stats);
	assert_int_equal(stats.pages_compacted, 0);
	check_and_free_rest(pool, handles);
}

/* It works for a moment, and then pauses so long that it has had no more than its share. */
static void test_share(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.compact_share = ZS_COMPACT_NEVER,
	});
	unsigned long *handles = make_objects(pool);
	unsigned int pauses = 0;

	(void)state;
	free_most(pool, handles, zs_free_deferred);
	zs_free_deferred_flush(pool);
	worker_replace();
	pool->compact_share = 1;
	compact_notice(pool);
	compact_work(); /* the first look */
	slow_time = 1;
	for (;; pauses++) {
		u64 start = port_now();
		int pause = compact_work();
		u64 took = port_now() - start;

		if (pause < 0)
			break;
		assert_in_range(pause, 99 * 2, took * 99 / 1000000 + 1);
	}
	slow_time = 0;
	assert_true(pauses > 0);
	assert_true(is_dense(pool));
	pool->compact_share = 0;
	check_and_free_rest(pool, handles);
}

static void test_options(void **state)
{
	struct zs_pool_options options = { .size = sizeof(options), .compact_share = 101 };

	(void)state;
	assert_null(zs_create_pool_with("wrong", &options));
	assert_int_equal(errno, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freed_at_once),
		cmocka_unit_test(test_freed_deferred),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_few_left),
		cmocka_unit_test(test_destroyed_while_it_compacts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
