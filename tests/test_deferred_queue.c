/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The deferred queue alone: whatever its owner's words can host, every word comes out exactly once,
 * a host when its chunk is done with, and all credit returns. (Reaches inside, with an owner of
 * its own: src/deferred.h. Wraps port_cpus(), for a queue of one lane.)
 */
#include "fake_owner.h"

#include <pthread.h>
#include <semaphore.h>

static unsigned int forced_cpus;

unsigned int __real_port_cpus(void);
unsigned int __wrap_port_cpus(void);

unsigned int __wrap_port_cpus(void)
{
	return forced_cpus ? forced_cpus : __real_port_cpus();
}

/* Put so many words; what the queue does not take is the caller's to free. */
static unsigned int put_many(struct fake_owner *owner, unsigned int count)
{
	unsigned int refused = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (owner_put(owner) == DEFERRED_QUEUED)
			continue;
		owner_lose(owner, owner->put);
		refused++;
	}
	return refused;
}

static void assert_balance(struct fake_owner *owner, unsigned int refused)
{
	struct deferred_stats stats;
	u64 fallbacks = 0;

	deferred_flush(&owner->queue);
	owner_check_empty(owner);
	assert_int_equal(atomic_load(&owner->freed), owner->put);
	deferred_stats(&owner->queue, &stats);
	for (unsigned int i = 0; i < DEFERRED_RESULTS; i++)
		fallbacks += stats.fallbacks[i];
	assert_int_equal(fallbacks, refused);
	assert_int_equal(stats.queued + fallbacks, owner->put);
}

static void test_every_size_of_host(void **state)
{
	(void)state;
	for (size_t bytes = 0; bytes <= 1024; bytes += 8) {
		for (u64 capacity = 1; capacity <= 4096; capacity *= 4) {
			struct fake_owner *owner = owner_make(capacity, bytes);
			unsigned int refused = 0;

			for (unsigned int round = 0; round < 5; round++) {
				refused += put_many(owner, 1 + 50 * round);
				deferred_flush(&owner->queue);
			}
			assert_balance(owner, refused);
			owner_destroy(owner);
		}
	}
}

static void vary_host(struct fake_owner *owner, unsigned int count)
{
	(void)count;
	owner->bytes = owner->bytes * 7 % 2003;
}

/* Hosts of all sizes, mixed, now and then drained. */
static void test_random(void **state)
{
	uint64_t seed = random_seed();
	struct fake_owner *owner = owner_make(3000, 1000);
	unsigned int refused = 0;

	(void)state;
	while (owner->put < OWNER_WORDS - 5000) {
		u64 drained;

		owner->bytes = next_random(&seed) % 2000;
		refused += put_many(owner, next_random(&seed) % 200 + 1);
		if (next_random(&seed) % 8 == 0)
			assert_true(deferred_try_drain(&owner->queue, false, &drained));
	}
	owner->in_free = vary_host;
	assert_balance(owner, refused);
	assert_true(refused > 0);
	owner_destroy(owner);
}

/* The spare chunk takes its words, and takes them again once it has been drained. */
static void test_spare(void **state)
{
	struct fake_owner *owner = owner_make(32768, 0);
	unsigned int refused = 0;

	(void)state;
	forced_cpus = 0;
	stay_on_cpu();
	for (unsigned int round = 0; round < 3; round++) {
		assert_int_equal(put_many(owner, DEFERRED_SPARE), 0);
		assert_int_equal(owner_put(owner), DEFERRED_NO_MEMORY);
		owner_lose(owner, owner->put);
		refused++;
		deferred_flush(&owner->queue);
	}
	assert_int_equal(atomic_load(&owner->hosted), 0);
	assert_balance(owner, refused);
	owner_destroy(owner);
}

/* A small host is asked only when there is no spare chunk. */
static void test_spare_first(void **state)
{
	struct fake_owner *owner = owner_make(32768, DEFERRED_HOST_LEAST);

	(void)state;
	stay_on_cpu();
	assert_int_equal(put_many(owner, DEFERRED_SPARE), 0);
	assert_int_equal(atomic_load(&owner->hosted), 0);
	assert_int_equal(put_many(owner, 1), 0);
	assert_int_equal(atomic_load(&owner->hosted), 1);
	deferred_flush(&owner->queue);
	owner->bytes = DEFERRED_HOST_BYTES;
	assert_int_equal(put_many(owner, 1), 0);
	assert_int_equal(atomic_load(&owner->hosted), 2);
	assert_balance(owner, 0);
	owner_destroy(owner);
}

static void test_full(void **state)
{
	struct fake_owner *owner = owner_make(500, 600);
	unsigned int refused = 0;

	(void)state;
	stay_on_cpu();
	for (unsigned int round = 0; round < 3; round++) {
		assert_int_equal(put_many(owner, 500), 0);
		assert_int_equal(deferred_pending(&owner->queue), 500);
		assert_int_equal(owner_put(owner), DEFERRED_FULL);
		assert_int_equal(atomic_load(&owner->wake_delay), 0);
		owner_lose(owner, owner->put);
		refused++;
		deferred_flush(&owner->queue);
	}
	assert_balance(owner, refused);
	owner_destroy(owner);
}

static enum deferred_result nested_result;

static void put_in_wake(struct fake_owner *owner, unsigned int delay_ms)
{
	(void)delay_ms;
	owner->in_wake = NULL;
	nested_result = owner_put(owner);
	if (nested_result != DEFERRED_QUEUED)
		owner_lose(owner, owner->put);
}

/* One who comes in the middle of another's put does not wait for it. */
static void test_contended(void **state)
{
	struct fake_owner *owner;

	(void)state;
	forced_cpus = 1;
	owner = owner_make(32768, 600);
	owner->in_wake = put_in_wake;
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	assert_int_equal(nested_result, DEFERRED_CONTENDED);
	assert_balance(owner, 1);
	owner_destroy(owner);

	/* With a second lane it goes there. */
	forced_cpus = 2;
	owner = owner_make(32768, 600);
	owner->in_wake = put_in_wake;
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	assert_int_equal(nested_result, DEFERRED_QUEUED);
	assert_balance(owner, 0);
	owner_destroy(owner);
	forced_cpus = 0;
}

static sem_t lane_held, lane_let_go;

static void hold_lane(struct fake_owner *owner, unsigned int delay_ms)
{
	(void)delay_ms;
	owner->in_wake = NULL;
	sem_post(&lane_held);
	while (sem_wait(&lane_let_go))
		;
}

static void *put_other(void *arg)
{
	struct fake_owner *owner = arg;

	return deferred_put(&owner->queue, 2) == DEFERRED_QUEUED ? owner : NULL;
}

static pthread_t other;

/* While the first word is asked to host, another thread takes the only lane, and keeps it. */
static void lose_lane(struct fake_owner *owner, unsigned long word)
{
	if (word != 1)
		return;
	owner->in_wake = hold_lane;
	assert_int_equal(pthread_create(&other, NULL, put_other, owner), 0);
	while (sem_wait(&lane_held))
		;
}

/* A host whose lane is taken meanwhile is no longer its caller's to free, and is freed. */
static void test_contended_host(void **state)
{
	struct fake_owner *owner;
	void *queued;

	(void)state;
	sem_init(&lane_held, 0, 0);
	sem_init(&lane_let_go, 0, 0);
	forced_cpus = 1;
	owner = owner_make(32768, 600);
	owner->in_host = lose_lane;
	assert_int_equal(deferred_put(&owner->queue, 1), DEFERRED_QUEUED);
	assert_int_equal(atomic_load(&owner->freed), 1);
	sem_post(&lane_let_go);
	pthread_join(other, &queued);
	assert_non_null(queued);
	owner->put = 2;
	assert_balance(owner, 1);
	owner_destroy(owner);
	forced_cpus = 0;
}

static atomic_bool put_second;

static void *put_second_word(void *arg)
{
	struct fake_owner *owner = arg;
	bool queued = deferred_put(&owner->queue, 2) == DEFERRED_QUEUED;

	atomic_store_explicit(&put_second, true, memory_order_relaxed);
	return queued ? owner : NULL;
}

static void *put_third_word(void *arg)
{
	struct fake_owner *owner = arg;

	while (!atomic_load_explicit(&put_second, memory_order_relaxed))
		sched_yield();
	return deferred_put(&owner->queue, 3) == DEFERRED_QUEUED ? owner : NULL;
}

/*
 * Two threads use one lane, one after the other, and nothing but the lane's lock orders what they do
 * to it: ThreadSanitizer sees if that does not.
 */
static void test_lane_handed_over(void **state)
{
	struct fake_owner *owner;
	pthread_t second, third;
	void *queued;

	(void)state;
	forced_cpus = 1;
	owner = owner_make(32768, 600);
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	atomic_store(&put_second, false);
	assert_int_equal(pthread_create(&third, NULL, put_third_word, owner), 0);
	assert_int_equal(pthread_create(&second, NULL, put_second_word, owner), 0);
	assert_int_equal(pthread_join(second, &queued), 0);
	assert_non_null(queued);
	assert_int_equal(pthread_join(third, &queued), 0);
	assert_non_null(queued);
	owner->put = 3;
	assert_balance(owner, 0);
	owner_destroy(owner);
	forced_cpus = 0;
}

/* A drain that finds a flush waiting leaves the work to it. */
static void test_steps_back(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);
	u64 drained;

	(void)state;
	put_many(owner, 100);
	atomic_fetch_add_acquire(1, &owner->queue.flushers);
	assert_false(deferred_try_drain(&owner->queue, true, &drained));
	assert_int_equal(drained, 0);
	assert_int_equal(deferred_pending(&owner->queue), 100);
	atomic_fetch_sub_release(1, &owner->queue.flushers);
	assert_true(deferred_try_drain(&owner->queue, true, &drained));
	assert_int_equal(drained, 100);
	owner_destroy(owner);
}

#define PRODUCERS 4
#define PRODUCED 40000

struct producer {
	pthread_t thread;
	struct fake_owner *owner;
	unsigned long first;
};

static atomic_uint running;

static void *produce(void *arg)
{
	struct producer *producer = arg;
	struct fake_owner *owner = producer->owner;

	for (unsigned long i = 0; i < PRODUCED; i++)
		if (deferred_put(&owner->queue, producer->first + i) != DEFERRED_QUEUED)
			owner_lose(owner, producer->first + i);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void check_threads(u64 capacity, size_t bytes)
{
	struct fake_owner *owner = owner_make(capacity, bytes);
	struct producer producers[PRODUCERS];
	struct deferred_stats stats;
	u64 drained, fallbacks = 0;

	atomic_store(&running, PRODUCERS);
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){ .owner = owner, .first = 1 + i * PRODUCED };
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
				 0);
	}
	while (atomic_load(&running)) {
		deferred_try_drain(&owner->queue, true, &drained);
		deferred_flush(&owner->queue);
	}
	for (unsigned int i = 0; i < PRODUCERS; i++)
		pthread_join(producers[i].thread, NULL);
	deferred_flush(&owner->queue);
	owner_check_empty(owner);
	assert_int_equal(atomic_load(&owner->freed), PRODUCERS * PRODUCED);
	deferred_stats(&owner->queue, &stats);
	for (unsigned int i = 0; i < DEFERRED_RESULTS; i++)
		fallbacks += stats.fallbacks[i];
	assert_int_equal(stats.queued + fallbacks, PRODUCERS * PRODUCED);
	owner_destroy(owner);
}

static void test_threads(void **state)
{
	(void)state;
	check_threads(32768, 600);
	check_threads(100, 600);
	check_threads(1000, DEFERRED_HOST_LEAST);
	check_threads(1000, 0);
	check_threads(1, 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads), /* first: some of the others stay on a CPU */
		cmocka_unit_test(test_every_size_of_host),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_spare),
		cmocka_unit_test(test_spare_first),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_contended),
		cmocka_unit_test(test_contended_host),
		cmocka_unit_test(test_lane_handed_over),
		cmocka_unit_test(test_steps_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
