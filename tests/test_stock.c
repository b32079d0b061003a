/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Each who stores and frees has a stock of free entries to itself: what is stored one after the other has handles
 * that follow one another, what came back last is given out next, and no entry is ever given out twice or lost,
 * whoever takes stocks away meanwhile. (Reaches inside: src/handle.h.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "handle.h"

#define ENTRIES 100000U /* more than any of these tests has */

static struct handles *handles;
static atomic_uchar given[ENTRIES];

static u32 get(void)
{
	u32 index = handle_get(handles, GFP_KERNEL);

	CHILD_CHECK(index >= HANDLE_BLOCK && index < ENTRIES); /* in threads, too */
	CHILD_CHECK(!atomic_exchange(&given[index], 1));
	return index;
}

static void put(u32 index)
{
	CHILD_CHECK(atomic_exchange(&given[index], 0));
	handle_put(handles, index);
}

static int setup(void **state)
{
	(void)state;
	handles = calloc(1, sizeof(*handles));
	assert_non_null(handles);
	memset(given, 0, sizeof(given));
	return handles_init(handles);
}

static int teardown(void **state)
{
	(void)state;
	handles_destroy(handles);
	free(handles);
	return 0;
}

static struct handle_lane *lane_of(unsigned int index)
{
	return gates_lane(&handles->lanes, index);
}

static struct handle_lane *own(void)
{
	return handle_own(handles, port_lane_claim());
}

/* How many entries are in stock, of all that are not given out. */
static u64 stocked(void)
{
	u64 count = 0;

	for (unsigned int i = 0; i < handles->lanes.count; i++)
		count += hweight64(lane_of(i)->stock.free) + hweight64(lane_of(i)->freed.free);
	return count;
}

/* How many are free and can be had by everybody. */
static u64 available(void)
{
	u64 count = 0;

	for (u32 number = 1; number < handles->next_block; number++)
		count += hweight64((u64)atomic64_read(&handle_block_at(handles, number)->free));
	return count;
}

/* All entries that were ever taken are in one of these places, or given out. */
static void assert_none_lost(u64 given_out)
{
	assert_int_equal(stocked() + available() + given_out,
			 (handles->next_block - 1ULL) * HANDLE_BLOCK);
}

static void test_one_after_the_other(void **state)
{
	u32 first = get();

	(void)state;
	for (u32 i = 1; i < 1000; i++)
		assert_int_equal(get(), first + i);
	assert_none_lost(1000);
}

/* Whatever its size, and however it was with others in between. */
static void test_any_size(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	uint64_t seed = random_seed();
	unsigned long handle[1000];

	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		handle[i] = object_alloc(pool, next_random(&seed) % page_size() + 1);
		if (i)
			assert_int_equal(handle[i], handle[i - 1] + 1);
	}
	zs_free_bulk(pool, handle, 1000);
	zs_destroy_pool(pool);
}

static void *flush_and_tell(void *arg)
{
	zs_free_deferred_flush(arg);
	return (void *)(uintptr_t)port_lane_own;
}

/* Who only drains has no lane: these are for those who store and free. */
static void test_none_for_drains(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *objects = objects_make(pool, 1000, 1000);
	pthread_t thread;
	void *lane;

	(void)state;
	for (unsigned int i = 1000; i-- > 0;) /* so that they take room, and some of them host */
		zs_free_deferred(pool, objects[i]);
	assert_int_equal(pthread_create(&thread, NULL, flush_and_tell, pool), 0);
	assert_int_equal(pthread_join(thread, &lane), 0);
	assert_int_equal((uintptr_t)lane, 0);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(objects);
	zs_destroy_pool(pool);
}

static void test_last_comes_first(void **state)
{
	u32 index[HANDLE_BLOCK];

	(void)state;
	for (u32 i = 0; i < HANDLE_BLOCK; i++)
		index[i] = get();
	put(index[7]);
	assert_int_equal(get(), index[7]);
	put(index[9]);
	put(index[8]);
	assert_int_equal(get(), index[8]);
	assert_int_equal(get(), index[9]);
	assert_int_equal(handles->next_block, 2);
	assert_none_lost(HANDLE_BLOCK);
}

/* What comes back of many blocks goes to these, but for the last one. */
static void test_blocks(void **state)
{
	u32 index[4 * HANDLE_BLOCK];

	(void)state;
	for (u32 i = 0; i < 4 * HANDLE_BLOCK; i++)
		index[i] = get();
	for (u32 i = 0; i < 4 * HANDLE_BLOCK; i++)
		put(index[i]);
	assert_int_equal(hweight64(own()->freed.free), HANDLE_BLOCK);
	assert_int_equal(available(), 3 * HANDLE_BLOCK);
	assert_none_lost(0);
}

/* Who comes in the midst of it, as an interrupt does, has another lane; and does without, if there is none. */
static void test_interrupted(void **state)
{
	u32 index[300];

	(void)state;
	put(get());
	for (unsigned int shared = 0; shared < 2; shared++) {
		atomic_set(&own()->gate.busy, 1);
		for (unsigned int i = 0; i < GATES_SHARED; i++)
			atomic_set(&lane_of(i)->gate.busy, (int)shared);
		for (unsigned int i = 0; i < 300; i++)
			index[i] = get();
		for (unsigned int i = 0; i < 300; i++)
			put(index[i]);
		for (unsigned int i = 0; i < GATES_SHARED; i++)
			atomic_set(&lane_of(i)->gate.busy, 0);
		atomic_set(&own()->gate.busy, 0);
		assert_none_lost(0);
	}
}

#define THREADS (PORT_LANES + 8)

static pthread_barrier_t all;

static void *take_and_wait(void *arg)
{
	u32 index = get();

	(void)arg;
	put(get());
	pthread_barrier_wait(&all); /* all have taken some, */
	pthread_barrier_wait(&all); /* which were taken away */
	put(index);
	pthread_barrier_wait(&all);
	return NULL;
}

/* Whoever takes all stocks away has those of every thread, also of those that share a lane. */
static void test_destock(void **state)
{
	pthread_t thread[THREADS];

	(void)state;
	assert_int_equal(pthread_barrier_init(&all, NULL, THREADS + 1), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_and_wait, NULL), 0);
	pthread_barrier_wait(&all);
	assert_true(stocked() > 0);
	handles_destock(handles);
	assert_int_equal(stocked(), 0);
	assert_none_lost(THREADS);
	for (unsigned int i = 0; i < handles->lanes.count; i++)
		assert_int_equal(atomic_read(&lane_of(i)->gate.guard), 0);
	pthread_barrier_wait(&all);
	pthread_barrier_wait(&all);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_none_lost(0);
	pthread_barrier_destroy(&all);
}

#define WORKERS 4
#define TURNS 20000
#define HELD 100

static atomic_uint at_work;

static void *get_and_put(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	u32 held[HELD] = { 0 };

	for (unsigned int i = 0; i < TURNS; i++) {
		u32 *place = &held[next_random(&seed) % HELD];

		if (*place)
			put(*place);
		*place = *place ? 0 : get();
	}
	for (unsigned int i = 0; i < HELD; i++)
		if (held[i])
			put(held[i]);
	atomic_fetch_sub(&at_work, 1);
	return NULL;
}

static void *destock(void *arg)
{
	(void)arg;
	while (atomic_load(&at_work)) {
		handles_destock(handles);
		sched_yield();
	}
	return NULL;
}

static void test_threads(void **state)
{
	uint64_t seed[WORKERS], first = random_seed();
	pthread_t thread[WORKERS + 2];

	(void)state;
	atomic_store(&at_work, WORKERS);
	for (unsigned int i = 0; i < WORKERS + 2; i++) {
		if (i < WORKERS)
			seed[i] = next_random(&first);
		assert_int_equal(pthread_create(&thread[i], NULL,
						i < WORKERS ? get_and_put : destock,
						i < WORKERS ? &seed[i] : NULL),
				 0);
	}
	for (unsigned int i = 0; i < WORKERS + 2; i++)
		pthread_join(thread[i], NULL);
	assert_none_lost(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_after_the_other, setup, teardown),
		cmocka_unit_test(test_any_size),
		cmocka_unit_test(test_none_for_drains),
		cmocka_unit_test_setup_teardown(test_last_comes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
