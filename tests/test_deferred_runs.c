/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Runs in the deferred queue: words that follow one another, as do the handles of objects that are freed in the
 * order in which they were stored, take next to no memory, and each still comes out once, and counts. (Reaches
 * inside, with an owner of its own: src/deferred.h.)
 */
#include "fake_owner.h"

#define RUN_CELLS 4 /* two words, and two cells that say how many follow */

static struct fake_owner *make_owner(u64 capacity)
{
	struct fake_owner *owner = owner_make(capacity, 2048);

	owner->step = 1;
	return owner;
}

static void put_words(struct fake_owner *owner, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(owner_put(owner), DEFERRED_QUEUED);
}

/* Leave a word out, which is freed elsewhere. */
static void skip_word(struct fake_owner *owner)
{
	owner_lose(owner, ++owner->put);
}

/* The cells in use of a chunk whose first run has begun, if it begins with @first: as soon as there is an heir. */
static long cells_to_run(struct fake_owner *owner, unsigned long first)
{
	return (long)(owner_next_heir(owner, first) - first) + RUN_CELLS;
}

/* The cells in use of the lane's open chunk. */
static long cells(struct fake_owner *owner)
{
	struct deferred_lane *lane = lane_own(&owner->queue);

	return (lane->next - lane->open->cell) / DEFERRED_CELL;
}

static void end(struct fake_owner *owner)
{
	deferred_flush(&owner->queue);
	owner_check_empty(owner);
	assert_int_equal(atomic_load(&owner->freed), owner->put);
	owner_destroy(owner);
}

static void test_takes_no_memory(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);

	(void)state;
	put_words(owner, 1); /* the host, and what has a cell anyway */
	while (!lane_own(&owner->queue)->follow) {
		assert_int_equal(cells(owner), owner->put - 1);
		put_words(owner, 1);
	}
	assert_int_equal(cells(owner), cells_to_run(owner, 2));
	put_words(owner, DEFERRED_CHUNK / 2);
	assert_int_equal(cells(owner), cells_to_run(owner, 2));
	assert_int_equal(atomic_load(&owner->hosted), 1);
	end(owner);
}

/* Each word counts as soon as it is queued. */
static void test_pending(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);

	(void)state;
	for (unsigned int i = 0; i < 3 * DEFERRED_CHUNK; i++) {
		put_words(owner, 1);
		assert_int_equal(deferred_pending(&owner->queue), i + 1);
	}
	end(owner);
}

/* Whoever reads the counts while a run begins or ends sees no nonsense. */
static void test_pending_while_moving(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);
	struct deferred_lane *own = lane_own(&owner->queue);
	u64 follow;

	(void)state;
	put_words(owner, 100);
	follow = own->follow;
	own->total = 100;
	own->moves++; /* it has begun, */
	assert_int_equal(deferred_pending(&owner->queue), 100);
	own->follow = 0; /* and is half done */
	assert_int_equal(deferred_pending(&owner->queue), 100);
	own->follow = follow;
	own->moves++;
	assert_int_equal(deferred_pending(&owner->queue), 100);
	end(owner);
}

/* A run ends where the next word is another one, and the next begins there. */
static void test_one_after_the_other(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);

	(void)state;
	put_words(owner, 1 + 100);
	for (unsigned int i = 1; i <= 10; i++) {
		skip_word(owner);
		put_words(owner, 100);
		assert_int_equal(cells(owner), cells_to_run(owner, 2) + i * RUN_CELLS);
	}
	assert_int_equal(deferred_pending(&owner->queue), 1 + 11 * 100);
	end(owner);
}

/* Two words that follow one another are no run, however many there are. */
static void test_pairs(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);

	(void)state;
	for (unsigned int i = 0; i < 3000; i++) {
		put_words(owner, 2);
		skip_word(owner);
		assert_int_equal(lane_own(&owner->queue)->follow, 0);
	}
	end(owner);
}

static unsigned int drained;

static void count_drained(struct fake_owner *owner, unsigned int count)
{
	(void)owner;
	drained += count;
}

/* A run may be longer than a batch, and than a chunk. */
static void test_long(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);

	(void)state;
	drained = 0;
	owner->in_free = count_drained;
	put_words(owner, 10); /* so that batches end in the midst of runs */
	skip_word(owner);
	put_words(owner, 100000);
	deferred_flush(&owner->queue);
	assert_int_equal(drained + atomic_load(&owner->hosted), 100010);
	assert_int_equal(atomic_load(&owner->largest), DEFERRED_BATCH);
	end(owner);
}

/* A drain that may not sleep frees about a batch, however much memory more would not take. */
static void test_atomic_drain(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);
	u64 some;

	(void)state;
	for (unsigned int i = 0; i < 2 * DEFERRED_CHUNK;
	     i += 1000) { /* drains end in the midst of runs, */
		put_words(owner, 1000);
		skip_word(owner); /* or between two */
	}
	while (deferred_pending(&owner->queue)) {
		unsigned int freed = atomic_load(&owner->freed);

		assert_true(deferred_try_drain(&owner->queue, DRAIN_SOME, &some));
		assert_in_range(some, 1, DEFERRED_BATCH + 1);
		assert_int_equal(atomic_load(&owner->freed) - freed, some);
	}
	end(owner);
}

/* What a chunk has no cells for it takes credit for only as it comes. */
static void test_credit(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);
	u64 room = (owner->bytes - sizeof(struct deferred_chunk)) / DEFERRED_CELL + 1;

	(void)state;
	for (unsigned int i = 0; i < DEFERRED_CHUNK / 2; i++) {
		put_words(owner, 1);
		assert_in_range(atomic64_read(&owner->queue.taken), 1,
				i + 2 < room ? room : i + 1 + DEFERRED_MORE);
	}
	end(owner);
}

/* The queue is as large as it is said to be, and half full when the worker is called. */
static void test_capacity(void **state)
{
	const unsigned int capacities[] = { 1, 2, 3, 4, 5, 8, 64, 500, 3001, 32768, 60000 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(capacities) / sizeof(*capacities); i++) {
		struct fake_owner *owner = make_owner(capacities[i]);

		for (unsigned int round = 0; round < 2; round++) {
			unsigned int first = owner->put;

			while (owner->put - first < capacities[i] / 2)
				put_words(owner, 1);
			if (capacities[i] > 1) {
				assert_int_equal(atomic_load(&owner->wake_delay), 0);
				assert_int_equal(atomic_load(&owner->words_at_wake), owner->put);
			}
			put_words(owner, capacities[i] - capacities[i] / 2);
			assert_int_equal(owner_put(owner), DEFERRED_FULL);
			owner_lose(owner, owner->put);
			deferred_flush(&owner->queue);
		}
		end(owner);
	}
}

/* The host of the next chunk is a word that a long run can do without; it was fetched. */
static void test_heir(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);

	(void)state;
	put_words(owner, DEFERRED_CHUNK - DEFERRED_MORE);
	assert_int_equal(lane_own(&owner->queue)->open->host, 1);
	while (lane_own(&owner->queue)->open->host == 1)
		put_words(owner, 1);
	assert_int_equal(lane_own(&owner->queue)->open->host, owner_next_heir(owner, 2));
	for (unsigned int step = 0; step < DEFERRED_FETCHES; step++)
		assert_int_equal(atomic_load(&owner->fetched[step]), 1);
	end(owner);
}

/* A word from which a run could go on does not host: if no other may, the run begins behind it. */
static void test_no_heir_of_a_run(void **state)
{
	struct fake_owner *owner = make_owner(1U << 20);
	unsigned long heir = owner_next_heir(owner, 8);

	(void)state;
	put_words(owner, 1);
	while (owner->put < heir - 2)
		skip_word(owner);
	put_words(owner, 3);
	assert_int_equal(lane_own(&owner->queue)->follow, 0);
	put_words(owner, 1);
	assert_int_equal(cells(owner), cells_to_run(owner, heir - 1));
	while (lane_own(&owner->queue)->open->host == 1)
		put_words(owner, 1);
	assert_int_equal(lane_own(&owner->queue)->open->host, heir);
	end(owner);
}

/* Nor does one from which a run has gone on that is over. */
static void test_no_heir_of_a_past_run(void **state)
{
	(void)state;
	for (unsigned long from = 10; from < 500; from += 10) {
		struct fake_owner *owner = make_owner(1U << 20);
		unsigned long first = owner_next_heir(owner, from);
		unsigned long second = owner_next_heir(owner, first + 2);

		put_words(owner, 1);
		while (owner->put < first - 1)
			skip_word(owner);
		put_words(owner, 1);
		while (owner->put < second - 2)
			skip_word(owner);
		put_words(owner, 4);
		assert_int_equal(lane_own(&owner->queue)->follow, owner->put + 1);
		while (lane_own(&owner->queue)->open->host == 1) {
			skip_word(owner);
			put_words(owner, 2);
		}
		assert_int_not_equal(lane_own(&owner->queue)->open->host, second);
		end(owner);
	}
}

/* Runs follow one another until the chunk's memory ends, wherever the first one begins. */
static void test_at_the_end(void **state)
{
	(void)state;
	for (size_t bytes = 300; bytes < 400; bytes++) {
		struct fake_owner *owner = make_owner(1U << 20);
		struct deferred_lane *own = lane_own(&owner->queue);

		owner->bytes = bytes;
		atomic_set(&own->spares_used, ~0); /* or they would be used */
		for (unsigned int before = 0; before < 2 * RUN_CELLS; before++) {
			for (unsigned int i = 0; i <= before; i++) {
				put_words(owner, 1);
				skip_word(owner);
			}
			for (unsigned int i = 0; i < bytes / DEFERRED_CELL / RUN_CELLS; i++) {
				/* Whether the next chunk has a host or not. */
				owner->refusals = before % 2 && own->open ? own->heirs : 0;
				for (unsigned int word = 0; word < 5; word++)
					if (owner_put(owner) != DEFERRED_QUEUED)
						owner_lose(owner, owner->put);
				skip_word(owner);
			}
			owner->refusals = 0;
			deferred_flush(&owner->queue);
		}
		atomic_set(&own->spares_used, 0);
		end(owner);
	}
}

/* However little memory a chunk has, runs and words in it end where that does. */
static void test_little_memory(void **state)
{
	uint64_t seed = random_seed();

	(void)state;
	for (size_t bytes = DEFERRED_HOST_LEAST; bytes < 200; bytes++) {
		struct fake_owner *owner = make_owner(50000);
		struct deferred_lane *own = lane_own(&owner->queue);

		owner->bytes = bytes;
		atomic_set(&own->spares_used, ~0); /* or they would be used */
		for (unsigned int i = 0; i < 200; i++) {
			put_words(owner, (unsigned int)(next_random(&seed) % 6 + 1));
			skip_word(owner);
		}
		atomic_set(&own->spares_used, 0);
		end(owner);
	}
}

/* Runs of all lengths, forwards from anywhere, drained now and then in the midst of them. */
static void test_random(void **state)
{
	uint64_t seed = random_seed();
	struct fake_owner *owner = make_owner(50000);

	(void)state;
	while (owner->put < OWNER_WORDS - 5000) {
		unsigned int longest = 1U << next_random(&seed) % 13;
		u64 some;

		owner->bytes = next_random(&seed) % 3000;
		for (unsigned int i = next_random(&seed) % longest + 1; i > 0; i--)
			if (owner_put(owner) != DEFERRED_QUEUED)
				owner_lose(owner, owner->put);
		if (next_random(&seed) % 2)
			skip_word(owner);
		if (next_random(&seed) % 64 == 0)
			assert_true(deferred_try_drain(&owner->queue, DRAIN_SOME, &some));
		if (next_random(&seed) % 512 == 0)
			deferred_flush(&owner->queue);
	}
	end(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes_no_memory),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_pending_while_moving),
		cmocka_unit_test(test_one_after_the_other),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_atomic_drain),
		cmocka_unit_test(test_credit),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_heir),
		cmocka_unit_test(test_no_heir_of_a_run),
		cmocka_unit_test(test_no_heir_of_a_past_run),
		cmocka_unit_test(test_at_the_end),
		cmocka_unit_test(test_little_memory),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
