/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zs_free_deferred_flush() waits for a running drain, then drains the rest: on return every handle
 * that was queued before is free. Producers cannot keep it from returning. (Reaches inside for the
 * order of events, with an owner of its own: src/deferred.h. Wraps nanosleep(), by which a flush that
 * waits for a producer shows it.)
 */
#include "fake_owner.h"

#include <pthread.h>
#include <semaphore.h>

static sem_t in_drain, drain_on;

/* The first batch of a drain stops until it is told to go on. */
static void stop_drain(struct fake_owner *owner, unsigned int count)
{
	(void)count;
	owner->in_free = NULL;
	sem_post(&in_drain);
	while (sem_wait(&drain_on))
		;
}

static void *drain(void *arg)
{
	struct fake_owner *owner = arg;
	u64 drained;

	return deferred_try_drain(&owner->queue, DRAIN_POLITELY, &drained) ? owner : NULL;
}

static _Thread_local bool is_flush;
static atomic_uint pauses; /* of flushes */

int __real_nanosleep(const struct timespec *time, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);

int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
	if (is_flush)
		atomic_fetch_add(&pauses, 1);
	return __real_nanosleep(time, rest);
}

struct flush {
	pthread_t thread;
	struct fake_owner *owner;
	atomic_uint freed; /* words that were free when the flush returned */
	atomic_bool returned;
};

static void *flush(void *arg)
{
	struct flush *flush = arg;

	is_flush = true;
	deferred_flush(&flush->owner->queue);
	atomic_store(&flush->freed, atomic_load(&flush->owner->freed));
	atomic_store(&flush->returned, true);
	return NULL;
}

static bool waits_or_returned(void *arg)
{
	struct flush *flush = arg;

	return atomic_read(&flush->owner->queue.flushers) || atomic_load(&flush->returned);
}

static void test_waits_for_drain(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);
	struct flush flushing = { .owner = owner };
	pthread_t drainer;
	void *drained;
	u64 none;

	(void)state;
	sem_init(&in_drain, 0, 0);
	sem_init(&drain_on, 0, 0);
	for (unsigned int i = 0; i < 1000; i++)
		owner_put(owner);
	owner->in_free = stop_drain;
	assert_int_equal(pthread_create(&drainer, NULL, drain, owner), 0);
	while (sem_wait(&in_drain))
		;
	assert_true(atomic_load(&owner->freed) < 1000);
	for (unsigned int i = 0; i < 500; i++)
		owner_put(owner);
	/* Another drain does not wait: it has nothing to promise. */
	assert_false(deferred_try_drain(&owner->queue, DRAIN_POLITELY, &none));
	assert_int_equal(pthread_create(&flushing.thread, NULL, flush, &flushing), 0);
	assert_true(wait_for(waits_or_returned, &flushing));
	sem_post(&drain_on);
	pthread_join(flushing.thread, NULL);
	pthread_join(drainer, &drained);
	assert_non_null(drained);
	assert_int_equal(atomic_load(&flushing.freed), 1500);
	owner_destroy(owner);
}

static struct flush flush_meanwhile;

static bool pauses_or_returned(void *arg)
{
	struct flush *flush = arg;

	return atomic_load(&pauses) || atomic_load(&flush->returned);
}

/* In the middle of a put, which has its lane to itself, another thread flushes. */
static void flush_in_put(struct fake_owner *owner, unsigned int delay_ms)
{
	(void)delay_ms;
	owner->in_wake = NULL;
	atomic_store(&pauses, 0);
	assert_int_equal(pthread_create(&flush_meanwhile.thread, NULL, flush, &flush_meanwhile), 0);
	assert_true(wait_for(pauses_or_returned, &flush_meanwhile));
	assert_false(atomic_load(&flush_meanwhile.returned));
}

static void test_waits_for_put(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);

	(void)state;
	flush_meanwhile.owner = owner;
	owner->in_wake = flush_in_put;
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	assert_int_equal(pthread_join(flush_meanwhile.thread, NULL), 0);
	assert_int_equal(atomic_load(&flush_meanwhile.freed), 1);
	owner_destroy(owner);
}

/* For each word that is freed another is put, as long as there are any. */
static void put_as_many(struct fake_owner *owner, unsigned int count)
{
	for (unsigned int i = 0; i < count && owner->put < OWNER_WORDS; i++)
		owner_put(owner);
}

static void test_endless_producer(void **state)
{
	struct fake_owner *owner = owner_make(1U << 20, 600);

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		owner_put(owner);
	owner->in_free = put_as_many;
	deferred_flush(&owner->queue);
	assert_in_range(atomic_load(&owner->freed), 1000, 2000);
	assert_true(deferred_pending(&owner->queue) > 0);
	owner->in_free = NULL;
	owner_destroy(owner);
}

struct producer {
	pthread_t thread;
	struct zs_pool *pool;
	atomic_bool stop;
};

static void *produce(void *arg)
{
	struct producer *producer = arg;

	while (!atomic_load(&producer->stop)) {
		unsigned long handle = zs_malloc(producer->pool, 700, GFP_KERNEL, NUMA_NO_NODE);

		zs_free_deferred(producer->pool, handle);
	}
	return NULL;
}

/* What this thread has queued is free when its flush returns, whatever the others are at. */
static void test_pool(void **state)
{
	struct producer producers[3];
	struct zs_pool *pool =
		make_pool((struct zs_pool_options){ .deferred_budget = 1000 * page_size() });

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		producers[i].pool = pool;
		atomic_store(&producers[i].stop, false);
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
				 0);
	}
	for (unsigned int round = 0; round < 20; round++) {
		const size_t size = page_size(); /* a class of its own */
		unsigned long *handles = objects_make(pool, size, 16);
		char *table, row[64];

		for (unsigned int i = 0; i < 16; i++)
			zs_free_deferred(pool, handles[i]);
		zs_free_deferred_flush(pool);
		table = text_of(pool, zs_stats_classes);
		snprintf(row, sizeof(row), " %5u %5zu      0      0      0      0      0      0",
			 zs_lookup_class_index(pool, (unsigned int)size), size);
		assert_non_null(strstr(table, row));
		free(table);
		free(handles);
	}
	for (unsigned int i = 0; i < 3; i++) {
		atomic_store(&producers[i].stop, true);
		pthread_join(producers[i].thread, NULL);
	}
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "pending"), 0);
	assert_int_equal(zs_get_total_pages(pool), 0);
	zs_destroy_pool(pool);
}

/* There is nothing to wait for. */
static void test_empty(void **state)
{
	struct zs_pool *pool = make_lazy_pool();

	(void)state;
	zs_free_deferred_flush(pool);
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "drained"), 0);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_for_drain),
		cmocka_unit_test(test_waits_for_put),
		cmocka_unit_test(test_endless_producer),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
