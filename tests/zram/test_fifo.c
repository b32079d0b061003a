/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A thread of the class SCHED_FIFO meets a normal one on the same CPU, and goes on. They use the
 * same pages, the same pool, and the same pages of a cache. If it spun, the normal thread would
 * never run.
 *
 * Skipped where the system does not allow SCHED_FIFO.
 */
#include "slow_store.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define PAGES 4
#define ROUNDS (2000 / TEST_LESS)

static struct zram *store;
static struct zram_cache *cache;
static struct zram_area *area;
static atomic_bool ends;

/* On the first CPU that this process may use, in a class. Returns whether that may be. */
static bool become(int policy)
{
	const struct sched_param urgent = { .sched_priority = policy == SCHED_FIFO };
	cpu_set_t all, one;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(all), &all))
		return false;
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return !pthread_setaffinity_np(pthread_self(), sizeof(one), &one) &&
	       !pthread_setschedparam(pthread_self(), policy, &urgent);
}

/* Has pages of the cache written, replaced in the slower store, read there, and freed. */
static void use_cache(uint64_t i)
{
	assert_int_equal(cache_write(area, i % PAGES, TEXT(i)), 0);
	zram_cache_shrink(cache, 1);
	cache_reads(area, (i + 1) % PAGES, 0);
	cache_write(area, (i + 1) % PAGES, HUGE_SEED(i));
	zram_cache_free(area, (i + 2) % PAGES, 1);
}

/* Reads, writes, defers and compacts all the time. */
static void *use_normally(void *arg)
{
	char *page = malloc(page_size());

	assert_true(become(SCHED_OTHER));
	assert_non_null(page);
	for (uint64_t i = 0; !atomic_load(&ends); i++) {
		zram_read_page(store, i % PAGES, page);
		make_text_page(page, i);
		zram_write_page(store, i % PAGES, page);
		zram_slot_free_notify(store, (i + 1) % PAGES);
		zs_compact(zram_get_pool(store));
		use_cache(i);
	}
	free(page);
	return arg;
}

static void *use_urgently(void *arg)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	char *page = malloc(page_size());

	assert_non_null(page);
	for (uint64_t i = 0; i < ROUNDS; i++) {
		nanosleep(&pause, NULL); /* wakes up wherever the other thread is */
		make_text_page(page, i);
		zram_write_page(store, i % PAGES, page);
		zram_read_page(store, i % PAGES, page);
		zram_slot_free_notify(store, i % PAGES);
		zs_free_deferred_flush(zram_get_pool(store));
		use_cache(i);
	}
	free(page);
	return arg;
}

static void *try_urgently(void *arg)
{
	bool may = become(SCHED_FIFO);

	return may ? use_urgently(arg) : NULL;
}

static void test_urgent_thread_goes_on(void **state)
{
	struct slow_store *slow = slow_create();
	pthread_t normal, urgent;
	void *may;

	(void)state;
	cache = make_cache((struct zram_cache_options){ .limit = 1 << 20 });
	area = attach(cache, slow);
	store = create_store(PAGES, (struct zram_options){ .algorithm = "lz4" });
	atomic_store(&ends, false);
	assert_int_equal(pthread_create(&normal, NULL, use_normally, NULL), 0);
	assert_int_equal(pthread_create(&urgent, NULL, try_urgently, store), 0);
	pthread_join(urgent, &may);
	atomic_store(&ends, true);
	pthread_join(normal, NULL);
	zram_destroy(store);
	zram_cache_destroy(cache);
	slow_destroy(slow);
	if (!may)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urgent_thread_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
