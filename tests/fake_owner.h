/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * An owner for a deferred queue that is tested alone (it reaches inside: src/deferred.h): what is to be freed
 * are things numbered from 1, each with memory that may host a chunk. The queue's words are multiples of these
 * numbers, so that none follows another, unless a test wants that. It notes what happens to each word,
 * and at once ends the program if one is freed twice, as a word and as a host, or while it hosts. A
 * host's memory goes with it, so that a sanitizer sees if its chunk is still used.
 */
#ifndef TEST_FAKE_OWNER_H
#define TEST_FAKE_OWNER_H

#include "helpers.h"

#include <stdatomic.h>

#include "deferred.h"

#ifndef OWNER_WORDS
#define OWNER_WORDS 200000U
#endif

struct fake_owner {
	struct deferred queue;
	unsigned long step; /* from word to word */
	size_t bytes; /* of memory that each word has to host a chunk; 0 for none */
	bool few_host; /* of the words only those that may, whatever they stand for */
	unsigned int refusals; /* to host that are still to come */
	atomic_uint freed; /* words, hosts included */
	atomic_uint hosts; /* that host now */
	atomic_uint hosted; /* ever */
	atomic_uint fetched[DEFERRED_FETCHES]; /* for, by step */
	atomic_uint batches;
	atomic_uint largest; /* batch */
	atomic_uint wakes;
	atomic_uint wake_delay; /* of the last */
	atomic_uint words_at_wake; /* put when the last wake came */
	unsigned int put;
	/* What a test does in the middle of things; may be NULL. */
	void (*in_host)(struct fake_owner *owner, unsigned long number);
	void (*in_free)(struct fake_owner *owner, unsigned int count);
	void (*in_wake)(struct fake_owner *owner, unsigned int delay_ms);
	_Atomic(void *) memory[OWNER_WORDS + 1]; /* of hosts */
	atomic_uchar gone[OWNER_WORDS + 1];
};

#define OWNER_CHECK(condition)                                                                     \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline void owner_lose(struct fake_owner *owner, unsigned long number)
{
	OWNER_CHECK(number >= 1 && number <= OWNER_WORDS);
	OWNER_CHECK(atomic_exchange(&owner->gone[number], 1) == 0);
	atomic_fetch_add(&owner->freed, 1);
}

static inline unsigned long owner_number(const struct fake_owner *owner, unsigned long word)
{
	OWNER_CHECK(word % owner->step == 0);
	return word / owner->step;
}

static inline void *owner_host(void *arg, unsigned long word, size_t least, size_t *bytes,
			       u64 *token)
{
	struct fake_owner *owner = arg;
	unsigned long number = owner_number(owner, word);
	void *memory;

	if (owner->bytes < least || (owner->few_host && !deferred_may_host(word)))
		return NULL;
	if (owner->refusals) {
		owner->refusals--;
		return NULL;
	}
	memory = malloc(owner->bytes);
	OWNER_CHECK(memory && !atomic_load(&owner->gone[number]));
	OWNER_CHECK(!atomic_exchange(&owner->memory[number], memory));
	atomic_fetch_add(&owner->hosts, 1);
	atomic_fetch_add(&owner->hosted, 1);
	*bytes = owner->bytes;
	*token = ~word;
	if (owner->in_host)
		owner->in_host(owner, number);
	return memory;
}

/* Steps follow one another, for a word that waits. */
static inline void owner_fetch(void *arg, unsigned long word, unsigned int step)
{
	struct fake_owner *owner = arg;
	unsigned long number = owner_number(owner, word);

	OWNER_CHECK(!atomic_load(&owner->gone[number]) && !atomic_load(&owner->memory[number]));
	OWNER_CHECK(step < DEFERRED_FETCHES);
	atomic_fetch_add(&owner->fetched[step], 1);
}

/* Each a little different, so that any of those that are looked at may be the heir. */
static inline size_t owner_weigh(void *arg, unsigned long word)
{
	struct fake_owner *owner = arg;
	unsigned long number = owner_number(owner, word);

	OWNER_CHECK(!atomic_load(&owner->gone[number]) && !atomic_load(&owner->memory[number]));
	return owner->bytes ? owner->bytes + number % 5 : 0;
}

/* The number of the first word from @number on that may host, whatever it stands for. */
static inline unsigned long owner_next_heir(const struct fake_owner *owner, unsigned long number)
{
	while (!deferred_may_host(number * owner->step))
		number++;
	return number;
}

static inline void owner_unhost(void *arg, unsigned long word, u64 token)
{
	struct fake_owner *owner = arg;
	unsigned long number = owner_number(owner, word);
	struct deferred_chunk *chunk = atomic_exchange(&owner->memory[number], NULL);

	OWNER_CHECK(chunk && token == ~word);
	atomic_fetch_sub(&owner->hosts, 1);
	owner_lose(owner, number);
	free(chunk);
}

static inline void owner_free(void *arg, void *work, const unsigned long *words, unsigned int count)
{
	struct fake_owner *owner = arg;

	(void)work;
	OWNER_CHECK(count);
	atomic_fetch_add(&owner->batches, 1);
	if (count > atomic_load(&owner->largest))
		atomic_store(&owner->largest, count);
	if (owner->in_free)
		owner->in_free(owner, count);
	for (unsigned int i = 0; i < count; i++) {
		unsigned long number = owner_number(owner, words[i]);

		OWNER_CHECK(!atomic_load(&owner->memory[number]));
		owner_lose(owner, number);
	}
}

static inline void owner_wake(void *arg, unsigned int delay_ms)
{
	struct fake_owner *owner = arg;

	atomic_store(&owner->wake_delay, delay_ms);
	atomic_fetch_add(&owner->wakes, 1);
	atomic_store(&owner->words_at_wake, owner->put);
	if (owner->in_wake)
		owner->in_wake(owner, delay_ms);
}

static const struct deferred_ops owner_ops = {
	.host = owner_host,
	.fetch = owner_fetch,
	.weigh = owner_weigh,
	.unhost = owner_unhost,
	.free = owner_free,
	.wake = owner_wake,
};

static inline struct fake_owner *owner_make_workers(uint64_t capacity, size_t bytes,
						    unsigned int workers)
{
	struct fake_owner *owner = calloc(1, sizeof(*owner));

	assert_non_null(owner);
	owner->bytes = bytes;
	owner->step = 2;
	assert_int_equal(
		deferred_init(&owner->queue, &owner_ops, owner, 0, capacity, 1234, workers), 0);
	return owner;
}

/* Whose drains take no helpers. */
static inline struct fake_owner *owner_make(uint64_t capacity, size_t bytes)
{
	return owner_make_workers(capacity, bytes, 1);
}

/* Queue what has a number, as a pool does it. */
static inline enum deferred_result owner_put_number(struct fake_owner *owner, unsigned long number)
{
	unsigned long word = number * owner->step;

	return deferred_put_fast(&owner->queue, word) ? DEFERRED_QUEUED :
							deferred_put(&owner->queue, word);
}

static inline struct deferred_lane *lane_at(struct deferred *queue, unsigned int index)
{
	return gates_lane(&queue->lanes, index);
}

/* Be in all shared lanes, or no longer. */
static inline void shared_lanes_hold(struct deferred *queue, bool hold)
{
	for (unsigned int i = 0; i < GATES_SHARED; i++)
		atomic_set(&lane_at(queue, i)->gate.busy, hold);
}

/* The lane of the calling thread, and the one where it goes when it can't use that. */
static inline struct deferred_lane *lane_own(struct deferred *queue)
{
	return deferred_own(queue, port_lane_claim());
}

static inline struct deferred_lane *lane_shared(struct deferred *queue)
{
	return lane_at(queue, port_lane_claim() % GATES_SHARED);
}

/* Put the next word. For a single producer. */
static inline enum deferred_result owner_put(struct fake_owner *owner)
{
	return owner_put_number(owner, ++owner->put);
}

/* Everything that was queued is freed, once, and the queue holds nothing. */
static inline void owner_check_empty(struct fake_owner *owner)
{
	struct deferred_stats stats;

	deferred_stats(&owner->queue, &stats);
	assert_int_equal(stats.pending, 0);
	assert_int_equal(stats.queued, stats.drained);
	assert_int_equal(atomic64_read(&owner->queue.taken), 0);
	assert_int_equal(atomic_load(&owner->hosts), 0);
}

static inline void owner_destroy(struct fake_owner *owner)
{
	deferred_flush(&owner->queue);
	owner_check_empty(owner);
	deferred_destroy(&owner->queue);
	free(owner);
}

#endif /* TEST_FAKE_OWNER_H */
