/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A storm of deferred frees in one pool does not hold up another. Its reads and stores wait for no
 * drain; a store that needs a new zspage frees a few handles. The worker compacts it after a slice
 * of the storm. (Reaches inside: src/pool.h, to do the worker's work step by step. Wraps
 * port_now(), to have time pass.)
 */
#include "helpers.h"

#include "pool.h"

#define STORM 100000
#define OBJECTS 20000
#define SIZE 1500
#define GROWTH_MOST (8 * 128) /* handles that a store frees before its pool grows */

static bool slow; /* every look at the time takes a millisecond */

u64 __real_port_now(void);
u64 __wrap_port_now(void);

u64 __wrap_port_now(void)
{
	static _Thread_local u64 time = 1;

	if (!READ_ONCE(slow))
		return __real_port_now();
	time += 1000000;
	return time;
}

static void do_nothing(void)
{
}

static u64 drained(void)
{
	return READ_ONCE(runtime.queue.drained);
}

static u64 pending(void)
{
	return queue_pending(&runtime.queue);
}

struct storm {
	struct zs_pool *stormy, *calm;
	unsigned long *handles;
};

/* What waits is of the one pool, and every second object of the other one is free. */
static struct storm storm_make(void)
{
	struct storm storm = { .stormy = make_lazy_pool(), .calm = make_lazy_pool() };
	unsigned long *handles = objects_make(storm.stormy, 40, STORM);

	storm.handles = objects_make(storm.calm, SIZE, OBJECTS);
	port_worker_stop(&runtime.worker);
	memset(&runtime.worker, 0, sizeof(runtime.worker));
	assert_int_equal(port_worker_init(&runtime.worker, do_nothing), 0);
	for (size_t i = 0; i < STORM; i++)
		zs_free_deferred(storm.stormy, handles[i]);
	for (size_t i = 0; i < OBJECTS; i += 2)
		zs_free(storm.calm, storm.handles[i]);
	assert_true(pending() > STORM / 2);
	free(handles);
	return storm;
}

static void storm_end(struct storm *storm)
{
	zs_free_deferred_flush(storm->calm);
	assert_int_equal(pending(), 0);
	assert_int_equal(zs_get_total_pages(storm->stormy), 0);
	free(storm->handles);
	zs_destroy_pool(storm->stormy);
	zs_destroy_pool(storm->calm);
}

static void test_reads_and_stores(void **state)
{
	struct storm storm = storm_make();
	u64 before = drained();

	(void)state;
	for (size_t i = 1; i < OBJECTS; i += 2)
		assert_true(object_holds(storm.calm, storm.handles[i], SIZE, i));
	for (size_t i = 0; i < OBJECTS; i += 2)
		storm.handles[i] = object_make(storm.calm, SIZE, i);
	assert_int_equal(drained(), before);
	for (size_t i = 0; i < OBJECTS; i += 2) {
		before = drained();
		object_make(storm.calm, SIZE, i);
		assert_in_range(drained() - before, 0, GROWTH_MOST);
	}
	storm_end(&storm);
}

static void test_compaction(void **state)
{
	struct storm storm = storm_make();
	u64 objects = pool_objects(storm.calm), sparse = pool_reclaimable(storm.calm);

	(void)state;
	assert_true(sparse > 0);
	WRITE_ONCE(slow, true);
	for (unsigned int turn = 0; pool_reclaimable(storm.calm) > sparse / 2; turn++) {
		u64 before = drained();

		assert_in_range(turn, 0, 1000);
		if (turn == 0) /* then the storm rests, so that it lasts */
			assert_true(drain_work() >= 0);
		assert_in_range(drained() - before, 0, FREE_BATCH);
		compact_work();
	}
	WRITE_ONCE(slow, false);
	assert_true(pending() > STORM / 2);
	assert_int_equal(pool_objects(storm.calm), objects);
	for (size_t i = 1; i < OBJECTS; i += 2)
		assert_true(object_holds(storm.calm, storm.handles[i], SIZE, i));
	storm_end(&storm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_and_stores),
		cmocka_unit_test(test_compaction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
