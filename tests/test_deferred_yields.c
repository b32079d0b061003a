/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A drain yields: it works in bounded batches, lets others run between them, and holds no lock then.
 * (Reaches inside, with an owner of its own: src/deferred.h. Wraps sched_yield(), which is how a
 * process lets others run.)
 */
#include "fake_owner.h"

#include <pthread.h>

static unsigned int yields;
static void (*in_yield)(void);

int __wrap_sched_yield(void);

int __wrap_sched_yield(void)
{
	yields++;
	if (in_yield)
		in_yield();
	return 0;
}

static void test_bounded_batches(void **state)
{
	const size_t hosts[] = { 0, DEFERRED_HOST_LEAST, 600, 4096, 65536 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct fake_owner *owner = owner_make(OWNER_WORDS * 2, hosts[i]);
		unsigned int queued = 0, batches;

		for (unsigned int j = 0; j < 20000; j++)
			queued += owner_put(owner) == DEFERRED_QUEUED;
		yields = 0;
		deferred_flush(&owner->queue);
		assert_int_equal(atomic_load(&owner->freed), queued);
		batches = atomic_load(&owner->batches);
		assert_in_range(atomic_load(&owner->largest), 1, DEFERRED_BATCH);
		assert_true(yields >= batches);
		owner_destroy(owner);
	}
}

/* While a batch is being freed others queue, at once. */
static void *put_some(void *arg)
{
	struct fake_owner *owner = arg;

	for (unsigned int i = 0; i < 10; i++)
		if (owner_put(owner) != DEFERRED_QUEUED)
			return NULL;
	return owner;
}

static void put_in_thread(struct fake_owner *owner, unsigned int count)
{
	pthread_t thread;
	void *done;

	(void)count;
	if (owner->put >= 15000)
		return;
	assert_int_equal(put_some(owner), owner);
	assert_int_equal(pthread_create(&thread, NULL, put_some, owner), 0);
	assert_int_equal(pthread_join(thread, &done), 0);
	assert_int_equal(done, owner);
}

static void test_producers_go_on(void **state)
{
	struct fake_owner *owner = owner_make(OWNER_WORDS * 2, 600);

	(void)state;
	for (unsigned int i = 0; i < 10000; i++)
		assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	owner->in_free = put_in_thread;
	deferred_flush(&owner->queue);
	assert_true(owner->put > 10000);
	owner->in_free = NULL;
	owner_destroy(owner);
}

static struct zs_pool *pool;
static unsigned long kept;

/* What would deadlock if the drain still held a lock that these need. */
static void use_pool(void)
{
	unsigned long handle = object_make(pool, 700, 1);

	assert_true(object_holds(pool, kept, 700, 7));
	zs_free(pool, handle);
	zs_free_deferred(pool, object_make(pool, 700, 2));
}

static void test_pool(void **state)
{
	unsigned long *handles;

	(void)state;
	pool = make_lazy_pool();
	handles = objects_make(pool, 700, 10000);
	kept = object_make(pool, 700, 7);
	for (unsigned int i = 0; i < 10000; i++)
		zs_free_deferred(pool, handles[i]);
	yields = 0;
	in_yield = use_pool;
	alarm(WAIT_SECONDS); /* where there would be a deadlock */
	zs_free_deferred_flush(pool);
	alarm(0);
	in_yield = NULL;
	assert_true(yields >= 10000 / DEFERRED_BATCH);
	zs_free_deferred_flush(pool);
	zs_free(pool, kept);
	assert_int_equal(zs_get_total_pages(pool), 0);
	free(handles);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounded_batches),
		cmocka_unit_test(test_producers_go_on),
		cmocka_unit_test(test_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
