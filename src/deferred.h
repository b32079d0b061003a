/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The deferred queue. It knows nothing of zspages: it queues words and hands them out in batches.
 *
 * Words wait in chunks, and a chunk lives in memory that is about to be freed: the owner of a word
 * is asked to host a chunk in what the word stands for. So the queue needs no memory that grows.
 * Each CPU fills a chunk of its own, in its lane; a full chunk goes on a list that the drain takes
 * whole.
 */
#ifndef ZS_DEFERRED_H
#define ZS_DEFERRED_H

#include "port.h"

#define DEFERRED_BATCH 1024 /* words that a drain hands out at once, at most */
#define DEFERRED_SPARE 504 /* words in a lane's spare chunk */
#define DEFERRED_HOST_BYTES 512 /* a host smaller than this is asked only if there is no spare */
#define DEFERRED_HOST_LEAST 64
#define DEFERRED_AHEAD (4 * PORT_CACHELINE) /* how far ahead of its words a chunk is fetched */

enum deferred_result {
	DEFERRED_QUEUED,
	/* The reasons for a fallback. */
	DEFERRED_FULL, /* the capacity is used up */
	DEFERRED_CONTENDED, /* the lanes are busy with other threads */
	DEFERRED_NO_MEMORY, /* nothing to host a chunk */
	DEFERRED_RESULTS,
};

struct deferred_ops {
	/*
	 * Memory of at least @least bytes in what @word stands for, aligned to a word, and set
	 * *@bytes to how many; or NULL. It stays until unhost(). Called with no lock of the queue.
	 */
	void *(*host)(void *owner, unsigned long word, size_t least, size_t *bytes);
	/* The chunk that @word hosted is done with: free @word. */
	void (*unhost)(void *owner, unsigned long word);
	/* Free these, at most DEFERRED_BATCH. */
	void (*free)(void *owner, const unsigned long *words, unsigned int count);
	/* Have deferred_try_drain() called within so many milliseconds; see port_worker_kick(). */
	void (*wake)(void *owner, unsigned int delay_ms);
};

struct deferred_chunk {
	struct deferred_chunk *next;
	unsigned long host; /* 0: a lane's spare */
	u32 count;
	u32 credit; /* what it took of the queue's room, its host included */
	unsigned long word[];
};

/* What a CPU's producers fill. */
struct deferred_lane {
	atomic_t busy; /* the lock */
	atomic_t spare_used;
	unsigned long *next; /* where the next word goes in the open chunk, and its end; equal if */
	unsigned long *end; /* there is none */
	struct deferred_chunk *open;
	u64 queued; /* written under the lock, read without */
	union {
		struct deferred_chunk spare;
		unsigned long
			spare_words[DEFERRED_SPARE + sizeof(struct deferred_chunk) / sizeof(long)];
	};
} __attribute__((aligned(PORT_CACHELINE)));

struct deferred_stats {
	u64 pending;
	u64 capacity;
	u64 queued;
	u64 drained;
	u64 drains;
	u64 longest_ns;
	u64 fallbacks[DEFERRED_RESULTS];
};

struct deferred {
	const struct deferred_ops *ops;
	void *owner;
	u64 capacity;
	unsigned int delay_ms;
	unsigned int lanes;
	u32 share; /* the most credit that one chunk takes */
	struct deferred_lane *lane;

	/*
	 * Written from here on, so not on the line of what every producer reads. First the credit
	 * that chunks hold, of the capacity.
	 */
	atomic64_t taken __attribute__((aligned(PORT_CACHELINE)));
	atomic_t alarm; /* enum deferred_alarm */
	struct deferred_chunk *full; /* closed chunks, newest first */

	struct port_mutex drain; /* one drain at a time; protects what follows */
	unsigned long *batch; /* words that wait to be handed out */
	u32 batched;
	u64 batch_credit; /* of the chunks whose last words are among these */
	atomic64_t drained;
	atomic64_t drains;
	atomic64_t longest_ns;

	atomic_t flushers; /* waiting for the mutex: the worker steps back */
	atomic64_t fallbacks[DEFERRED_RESULTS];
};

int deferred_init(struct deferred *queue, const struct deferred_ops *ops, void *owner, u64 capacity,
		  unsigned int delay_ms);
void deferred_destroy(struct deferred *queue);
enum deferred_result deferred_put_slow(struct deferred *queue, unsigned long word);
void deferred_flush(struct deferred *queue);
bool deferred_try_drain(struct deferred *queue, bool may_sleep, u64 *drained);
u64 deferred_pending(const struct deferred *queue);
void deferred_stats(const struct deferred *queue, struct deferred_stats *stats);

static inline bool deferred_trylock(struct deferred_lane *lane)
{
	if (unlikely(atomic_read(&lane->busy)))
		return false;
	preempt_disable(); /* in the kernel, the drain spins until the holder is done */
	if (likely(!atomic_xchg_acquire(&lane->busy, 1))) /* pairs with deferred_unlock() */
		return true;
	preempt_enable();
	return false;
}

static inline void deferred_unlock(struct deferred_lane *lane)
{
	atomic_set_release(&lane->busy, 0); /* pairs with deferred_trylock() */
	preempt_enable();
}

/* Add a word to the open chunk, which has room. Under the lane's lock. */
static inline void deferred_append(struct deferred_lane *lane, unsigned long word)
{
	unsigned long *next = lane->next;

	*next++ = word;
	lane->next = next;
	WRITE_ONCE(lane->queued, lane->queued + 1);
	/*
	 * The chunk's memory is as cold as what is freed, and the next atomic operation waits for
	 * this store: have the lines here before they are written.
	 */
	if (!((uintptr_t)next % PORT_CACHELINE))
		prefetchw((char *)next + DEFERRED_AHEAD);
}

/**
 * deferred_put() - queue a word.
 * @queue: the queue
 * @word: not 0
 *
 * Context: Any. Takes no lock that is not free, allocates nothing.
 * Return: DEFERRED_QUEUED, or why the word was not taken.
 */
static inline enum deferred_result deferred_put(struct deferred *queue, unsigned long word)
{
	unsigned int cpu = port_cpu();
	struct deferred_lane *lane;

	if (unlikely(cpu >= queue->lanes)) /* a CPU that was added since */
		return deferred_put_slow(queue, word);
	lane = &queue->lane[cpu];
	if (unlikely(!deferred_trylock(lane)))
		return deferred_put_slow(queue, word);
	if (likely(lane->end - lane->next > 1)) { /* the last word closes the chunk */
		deferred_append(lane, word);
		deferred_unlock(lane);
		return DEFERRED_QUEUED;
	}
	deferred_unlock(lane);
	return deferred_put_slow(queue, word);
}

#endif /* ZS_DEFERRED_H */
