/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 4, the capacity: the budget in bytes over the page size. The queue takes as many
 * handles, and a lane's lag more. (Reaches inside, to hold up drains and for the page size:
 * src/pool.h.)
 */
#include "helpers.h"

#include <pthread.h>
#include <semaphore.h>

#include "invariants.h"
#include "pool.h"

static unsigned long long capacity_of(size_t budget)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .deferred_budget = budget });
	unsigned long long capacity = deferred_stat(pool, "capacity");

	zs_destroy_pool(pool);
	return capacity;
}

static void test_number(void **state)
{
	const unsigned int shift = port_page_shift;

	(void)state;
	for (port_page_shift = 12; port_page_shift <= 16; port_page_shift += 2) {
		assert_int_equal(capacity_of(0), (16UL << 30) >> port_page_shift);
		assert_int_equal(capacity_of(128UL << 20), (128UL << 20) >> port_page_shift);
		assert_int_equal(capacity_of(64UL << 20), (64UL << 20) >> port_page_shift);
		assert_int_equal(capacity_of(10 * PORT_PAGE_SIZE + 1), 10);
		assert_int_equal(capacity_of(PORT_PAGE_SIZE), 1);
		assert_int_equal(capacity_of(1), 1);
		assert_int_equal(capacity_of(SIZE_MAX), SIZE_MAX >> port_page_shift);
	}
	port_page_shift = 12;
	assert_int_equal(capacity_of(128UL << 20), 32768);
	assert_int_equal(capacity_of(0), 4194304);
	port_page_shift = 14;
	assert_int_equal(capacity_of(128UL << 20), 8192);
	assert_int_equal(capacity_of(0), 1048576);
	port_page_shift = shift;
}

/* What is queued beyond a bound, at most: as a lane comes to count, and until it does again. */
#define LAG (2 * QUEUE_LAG_MOST)

/* While no drain may run the queue takes as many handles, and some that a lane has not counted. */
static void check_bound(size_t size, size_t capacity, size_t step)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = capacity * page_size(),
		.deferred_delay_ms = NEVER_MS,
	});
	const size_t count = capacity + 2 * LAG;
	unsigned long *handles = objects_make(pool, size, count * step);
	unsigned long long pending;

	port_mutex_lock(&runtime.queue.drain);
	for (size_t i = 0; i < count; i++)
		zs_free_deferred(pool, handles[i * step]);
	pending = deferred_stat(pool, "pending");
	assert_in_range(pending, capacity, capacity + LAG);
	port_mutex_unlock(&runtime.queue.drain); /* and the worker, which was woken, may drain */
	assert_int_equal(deferred_stat(pool, "fallbacks_full"), count - pending);
	assert_int_equal(deferred_stat(pool, "fallbacks_contended"), 0);
	assert_int_equal(deferred_stat(pool, "fallbacks_no_memory"), 0);
	check_invariants(pool, count * (step - 1), 0);
	assert_int_equal(misuses_of(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_bound(void **state)
{
	const size_t capacities[] = { 1, 17, 100, 5001, 32768 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		check_bound(100, capacities[i], 1);
		check_bound(700, capacities[i], 2);
	}
}

/* The queue has the largest capacity of its pools. */
static void test_largest(void **state)
{
	struct zs_pool *small = make_pool((struct zs_pool_options){ .deferred_budget = 1 << 20 });
	struct zs_pool *large = make_pool((struct zs_pool_options){ .deferred_budget = 1 << 30 });

	(void)state;
	assert_int_equal(deferred_stat(small, "capacity"), (1U << 30) / page_size());
	assert_int_equal(deferred_stat(large, "capacity"), (1U << 30) / page_size());
	zs_destroy_pool(large);
	zs_destroy_pool(small);
}

#define PRODUCERS 40

static sem_t deferred; /* one more producer has, and keeps its segment */
static pthread_barrier_t all_deferred;

struct producer {
	pthread_t thread;
	struct zs_pool *pool;
	unsigned long handle;
};

static void *defer_one(void *arg)
{
	const struct producer *producer = arg;

	zs_free_deferred(producer->pool, producer->handle);
	sem_post(&deferred);
	pthread_barrier_wait(&all_deferred);
	return NULL;
}

/* Segments of many producers that are nearly empty keep no capacity from the others. */
static void test_many_producers(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = 128UL << 20,
		.deferred_delay_ms = NEVER_MS,
	});
	struct producer producer[PRODUCERS];

	(void)state;
	assert_int_equal(pthread_barrier_init(&all_deferred, NULL, PRODUCERS), 0);
	assert_int_equal(sem_init(&deferred, 0, 0), 0);
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		producer[i] =
			(struct producer){ .pool = pool, .handle = object_make(pool, 1000, i) };
		assert_int_equal(pthread_create(&producer[i].thread, NULL, defer_one, &producer[i]),
				 0);
		/* Two at once might meet at the lock of the segments, and one would fall back. */
		sem_wait(&deferred);
	}
	for (unsigned int i = 0; i < PRODUCERS; i++)
		pthread_join(producer[i].thread, NULL);
	assert_int_equal(deferred_stat(pool, "pending"), PRODUCERS);
	assert_int_equal(deferred_stat(pool, "fallbacks_full"), 0);
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	sem_destroy(&deferred);
	pthread_barrier_destroy(&all_deferred);
	zs_destroy_pool(pool);
}

/* Once lifted, the budget is no limit: many times the default capacity waits. */
static void test_lifted(void **state)
{
	const size_t count = 100000;
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = SIZE_MAX,
		.deferred_delay_ms = NEVER_MS,
	});
	unsigned long *handles = objects_make(pool, 600, count);

	(void)state;
	for (size_t i = 0; i < count; i++)
		zs_free_deferred(pool, handles[i]);
	assert_int_equal(deferred_stat(pool, "pending"), count);
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),	cmocka_unit_test(test_bound),
		cmocka_unit_test(test_largest), cmocka_unit_test(test_many_producers),
		cmocka_unit_test(test_lifted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
