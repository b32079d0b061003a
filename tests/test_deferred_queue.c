/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The deferred queue alone: whatever its owner's words can host, every word comes out exactly once,
 * a host when its chunk is done with, and all credit returns. (Reaches inside, with an owner of
 * its own: src/deferred.h.)
 */
#include "fake_owner.h"

#include <pthread.h>
#include <semaphore.h>

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

static void check_every_size_of_host(unsigned long step)
{
	for (size_t bytes = 0; bytes <= 1024; bytes += 8) {
		for (u64 capacity = 1; capacity <= 4096; capacity *= 4) {
			struct fake_owner *owner = owner_make(capacity, bytes);
			unsigned int refused = 0;

			owner->step = step;
			for (unsigned int round = 0; round < 5; round++) {
				refused += put_many(owner, 1 + 50 * round);
				deferred_flush(&owner->queue);
			}
			assert_balance(owner, refused);
			owner_destroy(owner);
		}
	}
}

static void test_every_size_of_host(void **state)
{
	(void)state;
	check_every_size_of_host(2);
	check_every_size_of_host(1); /* the words are runs */
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
			assert_true(deferred_try_drain(&owner->queue, DRAIN_SOME, &drained));
	}
	owner->in_free = vary_host;
	assert_balance(owner, refused);
	assert_true(refused > 0);
	owner_destroy(owner);
}

/* The spare chunks take their words, and take them again once they have been drained. */
static void test_spare(void **state)
{
	struct fake_owner *owner = owner_make(32768, 0);
	unsigned int refused = 0;

	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		assert_int_equal(put_many(owner, DEFERRED_SPARES * DEFERRED_SPARE), 0);
		assert_int_equal(owner_put(owner), DEFERRED_NO_MEMORY);
		owner_lose(owner, owner->put);
		refused++;
		deferred_flush(&owner->queue);
	}
	assert_int_equal(atomic_load(&owner->hosted), 0);
	assert_balance(owner, refused);
	owner_destroy(owner);
}

/* One spare chunk is filled while another is drained, and each takes its words once. */
static void test_spares_in_turn(void **state)
{
	struct fake_owner *owner = owner_make(32768, 0);
	struct deferred_lane *own = lane_own(&owner->queue);

	(void)state;
	for (unsigned int round = 0; round < 5; round++) {
		assert_int_equal(put_many(owner, DEFERRED_SPARE + 1), 0);
		assert_int_equal(atomic_read(&own->spares_used), 3);
		deferred_flush(&owner->queue);
		assert_int_equal(atomic_read(&own->spares_used), 0);
	}
	assert_balance(owner, 0);
	owner_destroy(owner);
}

/* A small host is asked only when there is no spare chunk. */
static void test_spare_first(void **state)
{
	struct fake_owner *owner = owner_make(32768, DEFERRED_HOST_LEAST);

	(void)state;
	assert_int_equal(put_many(owner, DEFERRED_SPARES * DEFERRED_SPARE - 1), 0);
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

/* One who comes in the middle of a put does not wait for it: an interrupt takes the shared lane. */
static void test_contended(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);

	(void)state;
	owner->in_wake = put_in_wake;
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	assert_int_equal(nested_result, DEFERRED_QUEUED);
	assert_balance(owner, 0);
	owner_destroy(owner);

	/* And if somebody is in that too, none. */
	owner = owner_make(32768, 600);
	owner->in_wake = put_in_wake;
	shared_lanes_hold(&owner->queue, true);
	assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
	assert_int_equal(nested_result, DEFERRED_CONTENDED);
	shared_lanes_hold(&owner->queue, false);
	assert_balance(owner, 1);
	owner_destroy(owner);
}

/* A lane that a drain is closing is not entered; its owner goes on in the shared one. */
static void test_closing(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);
	struct deferred_lane *own = lane_own(&owner->queue);

	(void)state;
	assert_true(own != lane_shared(&owner->queue));
	put_many(owner, 10);
	assert_null(lane_shared(&owner->queue)->open);
	atomic_set(&own->gate.guard, GUARD_CLOSING);
	put_many(owner, 10);
	assert_int_equal(own->next - own->open->cell, 9 * DEFERRED_CELL);
	assert_non_null(lane_shared(&owner->queue)->open);
	atomic_set(&own->gate.guard, 0);
	put_many(owner, 10);
	assert_int_equal(own->next - own->open->cell, 19 * DEFERRED_CELL);
	assert_balance(owner, 0);
	owner_destroy(owner);
}

/* Where the light fence is none, the owner of a lane makes a full one, and has its lane still. */
static void test_guarded(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);
	struct deferred_lane *own = lane_own(&owner->queue);

	(void)state;
	atomic_set(&own->gate.guard, GUARD_FENCE);
	put_many(owner, 100);
	assert_null(lane_shared(&owner->queue)->open);
	deferred_flush(&owner->queue);
	assert_int_equal(atomic_read(&own->gate.guard), GUARD_FENCE);
	put_many(owner, 100);
	assert_balance(owner, 0);
	owner_destroy(owner);
}

/*
 * The host of a chunk is the one with the most memory of the first words of the one before that may host. These
 * were fetched step by step, and at last that of the host.
 */
static void test_fetched(void **state)
{
	struct fake_owner *owner = owner_make(32768, 2048);
	unsigned long number = 1, best = 0;
	unsigned int heirs;

	(void)state;
	/* So that the first word may host, and others of the first ones. */
	while (owner_next_heir(owner, 2) > 2 ||
	       owner_next_heir(owner, 3) > DEFERRED_STRIDE / DEFERRED_CELL / 2)
		owner->step++;
	while (!atomic_load(&owner->fetched[0]))
		put_many(owner, 1);
	heirs = lane_own(&owner->queue)->heirs;
	assert_in_range(heirs, 2, DEFERRED_HEIRS);
	for (unsigned int i = 0; i < heirs; i++) {
		number = owner_next_heir(owner, number + 1);
		if (!best || owner_weigh(owner, number * owner->step) >
				     owner_weigh(owner, best * owner->step))
			best = number;
	}
	while (lane_own(&owner->queue)->open->host == owner->step)
		put_many(owner, 1);
	assert_int_equal(lane_own(&owner->queue)->open->host, best * owner->step);
	for (unsigned int step = 0; step < DEFERRED_FETCHES - 1; step++)
		assert_int_equal(atomic_load(&owner->fetched[step]), heirs);
	assert_int_equal(atomic_load(&owner->fetched[DEFERRED_FETCHES - 1]), 1);
	assert_balance(owner, 0);
	owner_destroy(owner);
}

/* If the heir that was chosen can't host after all, another does. */
static void test_other_heir(void **state)
{
	struct fake_owner *owner = owner_make(32768, 2048);
	struct deferred_lane *own = lane_own(&owner->queue);

	(void)state;
	put_many(owner, 1);
	while (own->next < own->last)
		put_many(owner, 1);
	assert_in_range(own->heirs, 2, DEFERRED_HEIRS);
	owner->refusals = own->heirs - 1U;
	assert_int_equal(put_many(owner, 1), 0);
	assert_int_equal(owner->refusals, 0);
	assert_non_null(own->open);
	assert_int_not_equal(own->open->host, owner->step);
	assert_balance(owner, 0);
	owner_destroy(owner);
}

/* Few words may host; there is always one of them when one is needed. */
static void test_few_host(void **state)
{
	uint64_t seed = random_seed();

	(void)state;
	for (unsigned long step = 1; step < 10; step++) {
		struct fake_owner *owner = owner_make(OWNER_WORDS, DEFERRED_HOST_BYTES);
		unsigned int drains = 0;

		owner->step = step;
		owner->few_host = true;
		while (owner->put < 30000) {
			u64 drained;

			owner->bytes = DEFERRED_HOST_BYTES + next_random(&seed) % 3000;
			assert_int_equal(put_many(owner, next_random(&seed) % 2000 + 1), 0);
			drains += deferred_try_drain(&owner->queue, DRAIN_ALL, &drained);
		}
		assert_true(drains > 10);
		assert_true(step == 1 || atomic_load(&owner->hosted) > 0); /* runs may need none */
		assert_balance(owner, 0);
		owner_destroy(owner);
	}
}

/* Where many share a small capacity, a chunk takes little credit at a time, and yet its memory is used. */
static void test_small_share(void **state)
{
	(void)state;
	for (unsigned long step = 1; step < 10; step++) {
		struct fake_owner *owner = owner_make(32768, 2048);

		owner->queue.share = 16;
		owner->step = step;
		owner->few_host = true;
		assert_int_equal(put_many(owner, 16000), 0);
		assert_int_equal(atomic_load(&owner->wakes), 1); /* within the drain delay */
		assert_balance(owner, 0);
		owner_destroy(owner);
	}
}

/* However regular words are, so many as a spare chunk takes have one that may host. */
static void test_some_may_host(void **state)
{
	(void)state;
	for (unsigned long stride = 1; stride < 5000; stride++) {
		unsigned int gap = 0;

		for (unsigned long i = 1; i < 2000; i++) {
			gap = deferred_may_host(i * stride) ? 0 : gap + 1;
			assert_true(gap < DEFERRED_SPARE);
		}
	}
}

/* Put words until the open chunk has another host. Returns the number of the word that it begins with. */
static unsigned long put_to_next_chunk(struct fake_owner *owner)
{
	unsigned long host = lane_own(&owner->queue)->open->host;

	while (lane_own(&owner->queue)->open->host == host)
		put_many(owner, 1);
	return owner->put + 1;
}

/* A chunk that is full before an heir was chosen has the first that may host, whatever the last one had. */
static void test_too_small_to_choose(void **state)
{
	struct fake_owner *owner = owner_make(32768, 2048);
	unsigned long first;

	(void)state;
	put_many(owner, 1);
	first = put_to_next_chunk(owner);
	owner->bytes = DEFERRED_HOST_BYTES; /* two strides: too few for all steps */
	put_to_next_chunk(owner);
	assert_int_not_equal(lane_own(&owner->queue)->open->host,
			     owner_next_heir(owner, first) * owner->step);
	for (unsigned int i = 0; i < 3; i++) {
		first = owner->put + 1;
		put_to_next_chunk(owner);
		assert_int_equal(lane_own(&owner->queue)->open->host,
				 owner_next_heir(owner, first) * owner->step);
	}
	assert_balance(owner, 0);
	owner_destroy(owner);
}

static atomic_bool put_second;

static void *put_second_word(void *arg)
{
	struct fake_owner *owner = arg;
	bool queued;

	port_lane_own = -1; /* as for a thread too many */
	queued = deferred_put(&owner->queue, 2 * owner->step) == DEFERRED_QUEUED;

	atomic_store_explicit(&put_second, true, memory_order_relaxed);
	return queued ? owner : NULL;
}

static void *put_third_word(void *arg)
{
	struct fake_owner *owner = arg;

	port_lane_own = -1;
	while (!atomic_load_explicit(&put_second, memory_order_relaxed))
		sched_yield();
	return deferred_put(&owner->queue, 3 * owner->step) == DEFERRED_QUEUED ? owner : NULL;
}

/*
 * Threads use the shared lane, one after the other, and nothing but its lock orders what they do to it: ThreadSanitizer sees if that does not.
 */
static void test_lane_handed_over(void **state)
{
	struct fake_owner *owner;
	pthread_t second, third;
	int own = port_lane_own;
	void *queued;

	(void)state;
	port_lane_own = -1;
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
	port_lane_own = own;
}

/* A drain that finds a flush waiting leaves the work to it. */
static void test_steps_back(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);
	u64 drained;

	(void)state;
	put_many(owner, 100);
	atomic_inc(&owner->queue.flushers);
	assert_false(deferred_try_drain(&owner->queue, DRAIN_POLITELY, &drained));
	assert_int_equal(drained, 0);
	assert_int_equal(deferred_pending(&owner->queue), 100);
	atomic_fetch_sub_release(1, &owner->queue.flushers);
	assert_true(deferred_try_drain(&owner->queue, DRAIN_POLITELY, &drained));
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
		if (owner_put_number(owner, producer->first + i) != DEFERRED_QUEUED)
			owner_lose(owner, producer->first + i);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

#define MANY_PRODUCED 50

/* Queues some, and ends when all have. */
static void *produce_few(void *arg)
{
	struct producer *producer = arg;
	struct fake_owner *owner = producer->owner;

	for (unsigned long i = 0; i < MANY_PRODUCED; i++)
		if (owner_put_number(owner, producer->first + i) != DEFERRED_QUEUED)
			owner_lose(owner, producer->first + i);
	atomic_fetch_sub(&running, 1);
	while (atomic_load(&running))
		sched_yield();
	return NULL;
}

static void check_threads(u64 capacity, size_t bytes, unsigned long step)
{
	struct fake_owner *owner = owner_make(capacity, bytes);
	struct producer producers[PRODUCERS];
	struct deferred_stats stats;
	u64 drained, fallbacks = 0;

	owner->step = step;
	atomic_store(&running, PRODUCERS);
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){ .owner = owner, .first = 1 + i * PRODUCED };
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
				 0);
	}
	while (atomic_load(&running)) {
		deferred_try_drain(&owner->queue, DRAIN_POLITELY, &drained);
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
	for (unsigned long step = 2; step > 0; step--) { /* at last the words are runs */
		check_threads(32768, 600, step);
		check_threads(100, 600, step);
		check_threads(1000, DEFERRED_HOST_LEAST, step);
		check_threads(1000, 0, step);
		check_threads(1, 600, step);
	}
}

/* Whoever reads the counts while a lane goes from chunk to chunk sees no nonsense. */
static void test_counts_while_moving(void **state)
{
	struct fake_owner *owner = owner_make(32768, 600);
	struct deferred_lane *own = lane_own(&owner->queue);
	char *next;

	(void)state;
	put_many(owner, 10);
	next = own->next;
	own->total = 10;
	own->moves++; /* it has begun, */
	assert_int_equal(deferred_pending(&owner->queue), 10);
	own->next = NULL; /* and is half done */
	assert_int_equal(deferred_pending(&owner->queue), 10);
	own->next = next;
	own->moves++;
	assert_int_equal(deferred_pending(&owner->queue), 10);
	assert_balance(owner, 0);
	owner_destroy(owner);
}

static void *claim_lane(void *arg)
{
	(void)arg;
	return (void *)(uintptr_t)port_lane_claim();
}

/* A thread that ends leaves its lane to another. */
static void test_lanes_given_back(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2 * PORT_LANES; i++) {
		pthread_t thread;
		void *lane;

		assert_int_equal(pthread_create(&thread, NULL, claim_lane, NULL), 0);
		assert_int_equal(pthread_join(thread, &lane), 0);
		assert_int_not_equal((uintptr_t)lane, 0);
	}
}

/* More threads than there are lanes, all alive at once: those without one share. */
static void test_many_threads(void **state)
{
	enum {
		THREADS = PORT_LANES + 8
	};
	struct fake_owner *owner = owner_make(1U << 20, 600);
	struct producer producers[THREADS];

	(void)state;
	atomic_store(&running, THREADS);
	for (unsigned int i = 0; i < THREADS; i++) {
		producers[i] = (struct producer){ .owner = owner, .first = 1 + i * MANY_PRODUCED };
		assert_int_equal(
			pthread_create(&producers[i].thread, NULL, produce_few, &producers[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(producers[i].thread, NULL);
	assert_non_null(lane_at(&owner->queue, 0)->open);
	deferred_flush(&owner->queue);
	owner_check_empty(owner);
	assert_int_equal(atomic_load(&owner->freed), THREADS * MANY_PRODUCED);
	owner_destroy(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_counts_while_moving),
		cmocka_unit_test(test_lanes_given_back),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_every_size_of_host),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_spare),
		cmocka_unit_test(test_spares_in_turn),
		cmocka_unit_test(test_spare_first),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_contended),
		cmocka_unit_test(test_closing),
		cmocka_unit_test(test_guarded),
		cmocka_unit_test(test_fetched),
		cmocka_unit_test(test_other_heir),
		cmocka_unit_test(test_few_host),
		cmocka_unit_test(test_small_share),
		cmocka_unit_test(test_some_may_host),
		cmocka_unit_test(test_too_small_to_choose),
		cmocka_unit_test(test_lane_handed_over),
		cmocka_unit_test(test_steps_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
