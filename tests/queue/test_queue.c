/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The queue from inside: runs and cells, full segments, passes, lanes that change hands. The worker
 * does nothing here; the test takes names out of the queue by itself. (Reaches inside: src/queue.h.
 * Wraps port_worker_kick().)
 */
#include "helpers.h"
#include "kicks.h"

#include <pthread.h>

#define GEN 7
#define SEGMENT_CELLS ((PORT_PAGE_SIZE - sizeof(struct segment)) / sizeof(u64))
#define MOST 200000U

static u64 taken[MOST];

static u64 name_of(u32 index)
{
	return name_make(GEN, index);
}

/* Queues as zs_free_deferred() does, but names that stand for nothing. */
static void put(u64 name)
{
	if (!queue_append(&runtime.queue, name))
		assert_int_equal(queue_put(&runtime.queue, name), QUEUE_DONE);
}

/* Takes names until a pass has ended that began after the call. Returns how many. */
static u32 take_all(void)
{
	struct queue *queue = &runtime.queue;
	u32 count = 0;
	u64 until;

	port_mutex_lock(&queue->drain);
	until = queue_next_pass(queue);
	while (queue->passes < until && count < MOST)
		count += queue_take(queue, taken + count, MOST - count);
	port_mutex_unlock(&queue->drain);
	atomic64_sub(count, &queue->pending);
	return count;
}

static struct zs_pool *setup(void)
{
	atomic_store(&kicks_pass, false);
	return make_lazy_pool();
}

/* No name may be left: they stand for nothing. */
static void teardown(struct zs_pool *pool)
{
	assert_int_equal(take_all(), 0);
	assert_int_equal(queue_pending(&runtime.queue), 0);
	zs_destroy_pool(pool);
}

static void assert_taken(u32 count, u32 first)
{
	for (u32 i = 0; i < count; i++)
		assert_int_equal(taken[i], name_of(first + i));
}

/* Names that follow one another take one cell for RUN_MAX, and come out one by one, in order. */
static void test_run(void **state)
{
	struct zs_pool *pool = setup();
	const u32 first = 10 * RUN_MAX, count = 1000;

	(void)state;
	for (u32 i = 0; i < count; i++)
		put(name_of(first + i));
	assert_int_equal(lanes[port_lane_claim()].left,
			 SEGMENT_CELLS - DIV_ROUND_UP(count, RUN_MAX));
	assert_int_equal(queue_pending(&runtime.queue), count);
	assert_int_equal(take_all(), count);
	assert_taken(count, first);
	teardown(pool);
}

/* A run goes on in the same cell after a drain has taken its beginning. */
static void test_run_goes_on(void **state)
{
	struct zs_pool *pool = setup();

	(void)state;
	for (u32 i = 0; i < RUN_MAX; i++) {
		put(name_of(RUN_MAX + i));
		assert_int_equal(take_all(), 1);
		assert_taken(1, RUN_MAX + i);
	}
	assert_int_equal(lanes[port_lane_claim()].left, SEGMENT_CELLS - 1);
	assert_int_equal(take_all(), 0);
	teardown(pool);
}

/* Names of other generations and orders take a cell each. */
static void test_no_run(void **state)
{
	struct zs_pool *pool = setup();
	const u64 names[] = { name_of(5), name_of(4), name_make(GEN + 1, 5), name_of(7),
			      name_of(7) };

	(void)state;
	for (u32 i = 0; i < 5; i++)
		put(names[i]);
	assert_int_equal(lanes[port_lane_claim()].left, SEGMENT_CELLS - 5);
	assert_int_equal(take_all(), 5);
	assert_memory_equal(taken, names, sizeof(names));
	teardown(pool);
}

/* Several segments in a lane come out in order, and go back; the last one stays. */
static void test_segments(void **state)
{
	struct zs_pool *pool = setup();
	const u32 count = (u32)SEGMENT_CELLS * 5 / 2;

	(void)state;
	for (u32 round = 0; round < 3; round++) {
		const struct lane *lane;

		for (u32 i = 0; i < count; i++)
			put(name_of(1 + 2 * i));
		lane = &lanes[port_lane_claim()];
		assert_ptr_not_equal(lane->head, lane->tail);
		assert_int_equal(take_all(), count);
		for (u32 i = 0; i < count; i++)
			assert_int_equal(taken[i], name_of(1 + 2 * i));
		assert_ptr_equal(lane->head, lane->tail);
	}
	teardown(pool);
}

/* A drain that takes little at a time takes the same. */
static void test_small_batches(void **state)
{
	struct zs_pool *pool = setup();
	struct queue *queue = &runtime.queue;
	u32 count = 0;
	u64 until;

	(void)state;
	for (u32 i = 0; i < 5000; i++)
		put(name_of(i % 3 ? 100000 + i : 2 * i + 1));
	port_mutex_lock(&queue->drain);
	until = queue_next_pass(queue);
	while (queue->passes < until)
		count += queue_take(queue, taken + count, 7);
	port_mutex_unlock(&queue->drain);
	atomic64_sub(count, &queue->pending);
	assert_int_equal(count, 5000);
	for (u32 i = 0; i < 5000; i++)
		assert_int_equal(taken[i], name_of(i % 3 ? 100000 + i : 2 * i + 1));
	teardown(pool);
}

static void *put_some(void *arg)
{
	const u32 *first = arg;

	for (u32 i = 0; i < 100; i++)
		put(name_of(*first + i));
	return NULL;
}

/* What a thread that has ended left is not lost, and the next one goes on in its lane. */
static void test_lane_changes_hands(void **state)
{
	struct zs_pool *pool = setup();
	unsigned int end = 0;

	(void)state;
	for (u32 round = 0; round < 20; round++) {
		u32 first = round * 1000;
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, put_some, &first), 0);
		pthread_join(thread, NULL);
		if (!end)
			end = port_lanes_used();
		assert_int_equal(port_lanes_used(), end);
	}
	assert_int_equal(take_all(), 2000);
	teardown(pool);
}

struct endless {
	pthread_t thread;
	_Atomic(bool) stop;
	u32 put;
};

static void *put_endlessly(void *arg)
{
	struct endless *endless = arg;

	while (!atomic_load(&endless->stop)) {
		u64 name = name_of(1 + 2 * endless->put);

		if (queue_append(&runtime.queue, name) ||
		    queue_put(&runtime.queue, name) == QUEUE_DONE)
			endless->put++;
	}
	return NULL;
}

/*
 * A pass ends beside a producer that never does; and no name is lost, taken twice, or out of order.
 */
static void test_pass_ends(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = 20000 * page_size(),
		.deferred_delay_ms = NEVER_MS,
	});
	struct endless endless = { .put = 0 };
	struct queue *queue = &runtime.queue;
	u32 next = 0;

	(void)state;
	assert_int_equal(pthread_create(&endless.thread, NULL, put_endlessly, &endless), 0);
	for (u32 pass = 0; pass < 200; pass++) {
		u64 passes = queue->passes;

		while (queue->passes == passes) {
			u32 count;

			port_mutex_lock(&queue->drain);
			count = queue_take(queue, taken, 1000);
			port_mutex_unlock(&queue->drain);
			atomic64_sub(count, &queue->pending);
			for (u32 i = 0; i < count; i++)
				assert_int_equal(taken[i], name_of(1 + 2 * next++));
		}
		sched_yield();
	}
	atomic_store(&endless.stop, true);
	pthread_join(endless.thread, NULL);
	for (u32 count; (count = take_all()) > 0;)
		next += count;
	assert_int_equal(next, endless.put);
	teardown(pool);
}

/* The free segments that are kept serve when the store has no page at hand. */
static void test_kept_segments(void **state)
{
	struct zs_pool *pool = setup();
	struct port_lock *lock = &runtime.zspages.store.lock;
	u32 kept, count = 0;

	(void)state;
	put(name_of(1));
	kept = runtime.queue.free_count;
	assert_true(kept > 0);
	while (!port_lock_try(lock)) /* as another thread does: the producer's try fails */
		sched_yield();
	for (u64 name = name_of(3);; name += 2, count++)
		if (!queue_append(&runtime.queue, name) &&
		    queue_put(&runtime.queue, name) != QUEUE_DONE)
			break;
	atomic_xchg_release(&lock->state, PORT_LOCK_FREE);
	assert_int_equal(runtime.queue.free_count, 0);
	assert_in_range(count, kept * SEGMENT_CELLS, (kept + 1) * SEGMENT_CELLS);
	assert_int_equal(deferred_stat(pool, "fallbacks_no_memory"), 1);
	assert_int_equal(take_all(), count + 1);
	assert_true(runtime.queue.free_count > 0); /* they came back */
	teardown(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),	      cmocka_unit_test(test_run_goes_on),
		cmocka_unit_test(test_no_run),	      cmocka_unit_test(test_segments),
		cmocka_unit_test(test_small_batches), cmocka_unit_test(test_lane_changes_hands),
		cmocka_unit_test(test_pass_ends),     cmocka_unit_test(test_kept_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
