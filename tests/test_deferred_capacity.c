/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The capacity: the budget in bytes over the page size, 32,768 handles by default at 4 KiB and 8,192
 * at 16 KiB; the queue takes exactly so many. (Reaches inside, to hold up drains and for the page
 * size: src/pool.h.)
 */
#include "helpers.h"

#include <pthread.h>

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

/* While no drain may run the queue takes so many handles, and not one more. */
static void check_exact(size_t size, size_t capacity)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = capacity * page_size(),
		.deferred_delay_ms = NEVER_MS,
	});
	unsigned long *handles = objects_make(pool, size, capacity + 10);

	port_mutex_lock(&pool->deferred.drain);
	for (size_t i = 0; i < capacity; i++) {
		zs_free_deferred(pool, handles[i]);
		assert_int_equal(deferred_pending(&pool->deferred), i + 1);
	}
	for (size_t i = capacity; i < capacity + 10; i++)
		zs_free_deferred(pool, handles[i]);
	assert_int_equal(deferred_stat(pool, "pending"), capacity);
	port_mutex_unlock(&pool->deferred.drain); /* and the worker, which was woken, may drain */
	assert_int_equal(deferred_stat(pool, "fallbacks_full"), 10);
	assert_int_equal(deferred_stat(pool, "fallbacks_contended"), 0);
	assert_int_equal(deferred_stat(pool, "fallbacks_no_memory"), 0);
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "pending"), 0);
	assert_int_equal(zs_get_total_pages(pool), 0);
	assert_int_equal(misuses_of(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_exact(void **state)
{
	const size_t capacities[] = { 1, 2, 3, 15, 16, 17, 100, 1000, 5001, 32768 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		check_exact(100, capacities[i]);
		check_exact(700, capacities[i]);
	}
	check_exact(page_size(), 2000);
}

#define PRODUCERS 40

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
	pthread_barrier_wait(&all_deferred);
	return NULL;
}

/* That many have a chunk each that is nearly empty keeps no more than a part of the capacity from the others. */
static void test_many_producers(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_budget = 128UL << 20,
		.deferred_delay_ms = NEVER_MS,
	});
	struct producer producer[PRODUCERS];

	(void)state;
	assert_int_equal(pthread_barrier_init(&all_deferred, NULL, PRODUCERS), 0);
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		producer[i] =
			(struct producer){ .pool = pool, .handle = object_make(pool, 1000, i) };
		assert_int_equal(pthread_create(&producer[i].thread, NULL, defer_one, &producer[i]),
				 0);
	}
	for (unsigned int i = 0; i < PRODUCERS; i++)
		pthread_join(producer[i].thread, NULL);
	assert_int_equal(deferred_stat(pool, "pending"), PRODUCERS);
	assert_int_equal(deferred_stat(pool, "fallbacks_full"), 0);
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
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
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_many_producers),
		cmocka_unit_test(test_lifted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
