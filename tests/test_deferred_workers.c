/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A drain with much to do takes helpers, as many as the backlog is worth and the option allows, and
 * none outlives it. Each word is freed once, whoever does it; a flush, and the end of a pool, wait for
 * all of them; and who can't be had is not missed. (Reaches inside: src/deferred.h, and src/pool.h.
 * Wraps what gets memory and threads, to have it fail, and pthread_join(), by which a drain that
 * waits for its helpers shows it. Nobody else wants the CPU here: see test_deferred_polite.)
 */
#define OWNER_WORDS 1200000U

#include "fake_owner.h"

#include <pthread.h>
#include <signal.h>

#include "invariants.h"
#include "nomem.h"
#include "pool.h"

#define WORKERS 4U
#define HOST_BYTES 4096
#define MUCH ((WORKERS - 1) * DEFERRED_HELP) /* so much that there are as many as may be */

static atomic_uint joins;

int __real_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result);

int __wrap_pthread_join(pthread_t thread, void **result)
{
	atomic_fetch_add(&joins, 1);
	return __real_pthread_join(thread, result);
}

bool __wrap_port_crowded(void);

bool __wrap_port_crowded(void)
{
	return false;
}

static struct fake_owner *make_owner(unsigned int workers)
{
	return owner_make_workers(4ULL * OWNER_WORDS, HOST_BYTES, workers);
}

static void put_many(struct fake_owner *owner, unsigned int words)
{
	while (words--)
		assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
}

static u64 helpers_of(const struct deferred *queue)
{
	struct deferred_stats stats;

	deferred_stats(queue, &stats);
	return stats.helpers;
}

/* How many helpers a drain of so many words has; all have ended when it has. */
static u64 helpers_for(unsigned int words, unsigned int workers)
{
	struct fake_owner *owner = make_owner(workers);
	u64 helpers;

	put_many(owner, words);
	atomic_store(&joins, 0);
	deferred_flush(&owner->queue);
	assert_int_equal(atomic_load(&owner->freed), words);
	owner_check_empty(owner);
	helpers = helpers_of(&owner->queue);
	assert_int_equal(atomic_load(&joins), helpers);
	owner_destroy(owner);
	return helpers;
}

static void test_grow_with_the_backlog(void **state)
{
	(void)state;
	assert_int_equal(helpers_for(DEFERRED_HELP - 1, WORKERS), 0);
	assert_int_equal(helpers_for(DEFERRED_HELP, WORKERS), 1);
	assert_int_equal(helpers_for(2 * DEFERRED_HELP - 1, WORKERS), 1);
	assert_int_equal(helpers_for(2 * DEFERRED_HELP, WORKERS), 2);
	assert_int_equal(helpers_for(MUCH, WORKERS), WORKERS - 1);
}

static void test_bounded(void **state)
{
	(void)state;
	assert_int_equal(helpers_for(MUCH + DEFERRED_HELP, WORKERS), WORKERS - 1);
	assert_int_equal(helpers_for(MUCH, 2), 1);
	assert_int_equal(helpers_for(MUCH, 1), 0);
}

/* A drain with little to do has no helpers, after one that had. */
static void test_shrink(void **state)
{
	struct fake_owner *owner = make_owner(WORKERS);

	(void)state;
	put_many(owner, MUCH);
	deferred_flush(&owner->queue);
	put_many(owner, 10000);
	deferred_flush(&owner->queue);
	assert_int_equal(helpers_of(&owner->queue), WORKERS - 1);
	assert_int_equal(atomic_load(&owner->freed), MUCH + 10000);
	owner_destroy(owner);
}

static atomic_uint in_first; /* threads that have begun to free their first batch */
static _Thread_local bool met;

static bool all_in_first(void *arg)
{
	(void)arg;
	return atomic_load(&in_first) == WORKERS;
}

/* Whoever drains stays in its first batch until all are there. */
static void meet(struct fake_owner *owner, unsigned int count)
{
	(void)owner;
	(void)count;
	if (met)
		return;
	met = true;
	atomic_fetch_add(&in_first, 1);
	OWNER_CHECK(wait_for(all_in_first, NULL));
}

static void test_all_at_a_time(void **state)
{
	struct fake_owner *owner = make_owner(WORKERS);

	(void)state;
	put_many(owner, MUCH);
	owner->in_free = meet;
	deferred_flush(&owner->queue);
	assert_int_equal(atomic_load(&in_first), WORKERS);
	assert_int_equal(atomic_load(&owner->freed), MUCH);
	owner_destroy(owner);
}

static pthread_t flusher;
static atomic_bool helper_held, returned;

static bool is_joining_or_returned(void *arg)
{
	(void)arg;
	return atomic_load(&joins) || atomic_load(&returned);
}

static bool is_held(void *arg)
{
	(void)arg;
	return atomic_load(&helper_held);
}

/* A helper stays in its first batch until it is waited for, or nobody waits for it. */
static void hold_helper(struct fake_owner *owner, unsigned int count)
{
	sigset_t blocked;

	(void)owner;
	(void)count;
	if (pthread_equal(pthread_self(), flusher)) {
		OWNER_CHECK(wait_for(is_held, NULL));
		return;
	}
	if (atomic_exchange(&helper_held, true))
		return;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked); /* it takes none of the program's signals */
	OWNER_CHECK(sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGCHLD) == 1);
	OWNER_CHECK(wait_for(is_joining_or_returned, NULL));
}

static void test_flush_waits(void **state)
{
	struct fake_owner *owner = make_owner(WORKERS);
	unsigned int freed;

	(void)state;
	put_many(owner, MUCH);
	flusher = pthread_self();
	atomic_store(&joins, 0);
	owner->in_free = hold_helper;
	deferred_flush(&owner->queue);
	freed = atomic_load(&owner->freed);
	atomic_store(&returned, true);
	assert_int_equal(freed, MUCH);
	owner_check_empty(owner);
	owner_destroy(owner);
}

/* Who may not sleep waits for nobody, and frees some. */
static void test_none_where_none_may_sleep(void **state)
{
	const unsigned int words = MUCH + DEFERRED_HELP;
	struct fake_owner *owner = make_owner(WORKERS);
	u64 drained;

	(void)state;
	put_many(owner, words);
	assert_true(deferred_try_drain(&owner->queue, DRAIN_SOME, &drained));
	assert_in_range(drained, DEFERRED_ATOMIC, words - MUCH);
	assert_int_equal(atomic_load(&owner->freed), drained);
	assert_int_equal(helpers_of(&owner->queue), 0);
	assert_true(deferred_try_drain(&owner->queue, DRAIN_POLITELY, &drained));
	assert_int_equal(atomic_load(&owner->freed), words);
	assert_int_equal(helpers_of(&owner->queue), WORKERS - 1);
	owner_destroy(owner);
}

/* What a drain asks for, in this order, for each helper: memory and a thread. */
static void drain_with_failure(long which, bool and_all_that_follow)
{
	struct fake_owner *owner = make_owner(WORKERS);
	long before;

	put_many(owner, MUCH);
	before = atomic_load(&mapped);
	fail_from(which, and_all_that_follow);
	deferred_flush(&owner->queue);
	assert_true(atomic_load(&nr_failed) > 0);
	fail_no_more();
	assert_int_equal(helpers_of(&owner->queue), which / 2);
	assert_int_equal(atomic_load(&mapped), before);
	assert_int_equal(atomic_load(&owner->freed), MUCH);
	owner_destroy(owner);
}

static void test_without_memory_or_threads(void **state)
{
	(void)state;
	for (long which = 0; which < 2 * (WORKERS - 1); which++) {
		drain_with_failure(which, false);
		drain_with_failure(which, true);
	}
}

static struct zs_pool *make_workers_pool(void)
{
	return make_pool((struct zs_pool_options){
		.deferred_delay_ms = NEVER_MS,
		.deferred_budget = SIZE_MAX,
		.misuse = ZS_MISUSE_COUNT,
		.drain_workers = WORKERS,
	});
}

/* So many objects, that nobody writes, wait to be freed. */
static void free_many(struct zs_pool *pool, size_t count)
{
	unsigned long *handles = calloc(count, sizeof(*handles));

	assert_non_null(handles);
	for (size_t i = 0; i < count; i++)
		handles[i] = object_alloc(pool, 600 + i % 7 * 100);
	for (size_t i = 0; i < count; i++)
		zs_free_deferred(pool, handles[i]);
	free(handles);
}

static void test_pool(void **state)
{
	struct zs_pool *pool = make_workers_pool();
	unsigned long kept = object_make(pool, 700, 1);
	unsigned long twice = object_make(pool, 700, 2);

	(void)state;
	zs_free_deferred(pool, twice);
	free_many(pool, MUCH);
	zs_free_deferred(pool, twice);
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "pending"), 0);
	assert_int_equal(deferred_stat(pool, "helpers"), WORKERS - 1);
	assert_int_equal(misuses_of(pool), 1);
	assert_true(object_holds(pool, kept, 700, 1));
	check_invariants(pool, 1, 0);
	zs_free(pool, kept);
	check_empty(pool);
	zs_destroy_pool(pool);
}

static void test_destroy(void **state)
{
	struct zs_pool *pool = make_workers_pool();

	(void)state;
	free_many(pool, 2 * DEFERRED_HELP);
	atomic_store(&joins, 0);
	zs_destroy_pool(pool);
	assert_int_equal(atomic_load(&joins), 2 + 1); /* the pool's worker is one */
}

static atomic_bool stop;

/* Objects come and go, by both ways. */
static void *come_and_go(void *arg)
{
	struct zs_pool *pool = arg;

	for (uint64_t key = 0; !atomic_load(&stop); key++) {
		unsigned long handle = object_make(pool, 500, key);

		if (!object_holds(pool, handle, 500, key))
			return NULL;
		if (key % 2)
			zs_free(pool, handle);
		else
			zs_free_deferred(pool, handle);
	}
	return pool;
}

static void *compact(void *arg)
{
	while (!atomic_load(&stop))
		zs_compact(arg);
	return arg;
}

struct reading {
	struct zs_pool *pool;
	const unsigned long *handles;
	size_t count;
};

static void *read_all(void *arg)
{
	struct reading *reading = arg;

	while (!atomic_load(&stop))
		for (size_t i = 0; i < reading->count; i++)
			if (!object_holds(reading->pool, reading->handles[i], 700, i))
				return NULL;
	return arg;
}

static void test_beside_all_others(void **state)
{
	enum {
		KEPT = 500,
		THREADS = 4
	};
	struct zs_pool *pool = make_workers_pool();
	unsigned long *kept = objects_make(pool, 700, KEPT);
	struct reading reading = { .pool = pool, .handles = kept, .count = KEPT };
	void *(*const run[THREADS])(void *arg) = { come_and_go, come_and_go, compact, read_all };
	void *const arg[THREADS] = { pool, pool, pool, &reading };
	pthread_t thread[THREADS];

	(void)state;
	free_many(pool, MUCH);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run[i], arg[i]), 0);
	zs_free_deferred_flush(pool);
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < THREADS; i++) {
		void *well;

		assert_int_equal(pthread_join(thread[i], &well), 0);
		assert_non_null(well);
	}
	assert_true(deferred_stat(pool, "helpers") >= WORKERS - 1);
	assert_int_equal(misuses_of(pool), 0);
	check_invariants(pool, KEPT, 0);
	free(kept);
	zs_destroy_pool(pool);
}

/* Half the CPUs: others need some, too. */
static void test_default(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	long half = sysconf(_SC_NPROCESSORS_CONF) / 2;

	(void)state;
	assert_int_equal(pool->deferred.workers, half < 1 ? 1 : half > 64 ? 64 : half);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow_with_the_backlog),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_shrink),
		cmocka_unit_test(test_all_at_a_time),
		cmocka_unit_test(test_flush_waits),
		cmocka_unit_test(test_none_where_none_may_sleep),
		cmocka_unit_test(test_without_memory_or_threads),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_beside_all_others),
		cmocka_unit_test(test_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
