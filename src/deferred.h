/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The deferred queue. It knows nothing of zspages: it queues words and hands them out in batches.
 *
 * Words wait in chunks, and a chunk lives in memory that is about to be freed: the owner of a word
 * is asked to host a chunk in what the word stands for. So the queue needs no memory that grows.
 * Each producer (a thread, or in the kernel a CPU) fills a chunk of its own, in its lane, without
 * an atomic operation; a full chunk goes on a list that the drain takes whole.
 *
 * A chunk has cells, a word in each. Words that follow one another, each one more than the last, are a run:
 * of all but the first two only the number is kept, in two cells, the first of which is 0. That is what
 * objects become that are freed in the order in which they were stored.
 */
#ifndef ZS_DEFERRED_H
#define ZS_DEFERRED_H

#include "gate.h"

#define DEFERRED_BATCH 4096 /* words that a drain hands out at once, at most */
#define DEFERRED_ATOMIC 512 /* so many are enough for a drain that may not sleep */
#define DEFERRED_CHUNK 16384 /* words of a chunk, most of them in runs, at most */
#define DEFERRED_CELL 6 /* bytes, of a word: see deferred_write() */
#define DEFERRED_CELL_BITS (8 * DEFERRED_CELL)
#define DEFERRED_SPARES 2 /* of a lane: one that is being drained, one to be filled meanwhile */
#define DEFERRED_SPARE_BYTES 1984 /* of cells in a lane's spare chunk */
#define DEFERRED_SPARE (DEFERRED_SPARE_BYTES / DEFERRED_CELL - 1) /* cells there */
#define DEFERRED_HOST_BYTES 512 /* a host smaller than this is asked only if there is no spare */
#define DEFERRED_HOST_LEAST 64
#define DEFERRED_HOST_SMALL 256 /* a chunk in a smaller one may have no word that may host */
#define DEFERRED_STRIDE (4 * PORT_CACHELINE) /* bytes of a chunk that are fetched at once */
#define DEFERRED_HELP (1U << 18) /* words; with fewer, a helper costs much for what it gains */
#define DEFERRED_FETCHES 3 /* steps in which the next host is fetched */
#define DEFERRED_HOSTS 16 /* words of which one may host, as a rule */
#define DEFERRED_HEIRS 4 /* words of which the one that has most memory is the next host */
#define DEFERRED_PACE 64 /* words of a run from one step to the next */
#define DEFERRED_MORE 1024 /* words for which a chunk takes more credit at once */

enum deferred_result {
	DEFERRED_QUEUED,
	/* The reasons for a fallback. */
	DEFERRED_FULL, /* the capacity is used up */
	DEFERRED_CONTENDED, /* the lanes are busy with other threads */
	DEFERRED_NO_MEMORY, /* nothing to host a chunk */
	DEFERRED_RESULTS,
};

enum deferred_manner {
	DRAIN_ALL,
	DRAIN_POLITELY, /* a batch at least; less than all if others want the CPU */
	DRAIN_SOME, /* about a batch, without sleeping */
};

/* But for free() and unhost() they may be called in a lane: they wait for no lock, and do not come back. */
struct deferred_ops {
	/*
	 * Memory of at least @least bytes in what @word stands for, aligned to a word, and set
	 * *@bytes to how many; or NULL. It stays until unhost(), which is told *@token again.
	 */
	void *(*host)(void *owner, unsigned long word, size_t least, size_t *bytes, u64 *token);
	/*
	 * @word may be asked to host before long: bring what that will touch into the cache. Called
	 * for each @step, from 0 to DEFERRED_FETCHES - 1, when what the last one began has arrived; the
	 * last one, which is for the memory itself, only if it will be asked.
	 */
	void (*fetch)(void *owner, unsigned long word, unsigned int step);
	/* About how many bytes @word would host with; 0 if it can't. Called before the last step. */
	size_t (*weigh)(void *owner, unsigned long word);
	/* The chunk that @word hosted is done with: free @word. Called in no lane. */
	void (*unhost)(void *owner, unsigned long word, u64 token);
	/* Free these, at most DEFERRED_BATCH. @work is the caller's own, zeroed when first used. */
	void (*free)(void *owner, void *work, const unsigned long *words, unsigned int count);
	size_t work_bytes;
	/* Have deferred_try_drain() called within so many milliseconds; see port_worker_kick(). */
	void (*wake)(void *owner, unsigned int delay_ms);
};

#define DEFERRED_SLACK (sizeof(u64) - DEFERRED_CELL)

struct deferred_chunk {
	struct deferred_chunk *next;
	unsigned long host; /* 0: a lane's spare */
	u64 token; /* the host's owner's */
	u16 done; /* cells that were drained */
	u16 used; /* cells */
	u16 count; /* words, the host and what was drained not included */
	u16 credit; /* what it took of the queue's room, its host included */
	char cell[]; /* and room for DEFERRED_SLACK bytes behind the last */
};

/* What a producer fills. */
struct deferred_lane {
	struct gate gate;
	u64 follow; /* the word with which a run goes on; 0: there is none */
	u64 pause; /* with which it goes on, but not just so */
	char *next; /* the next cell of the open chunk; NULL if there is none */
	char *stop; /* words before it are just written; NULL in a run */
	char *last; /* the cell of the word that fills the chunk */
	struct deferred_chunk *open; /* written in the lane, read without */
	u64 base; /* see lane_queued(); as well */
	u64 total; /* the words ever queued, while these don't belong together: */
	u64 start; /* the words ever queued before those of the open chunk */
	u64 run; /* the first word that the run has no cell for */
	char *room; /* the end of the open chunk's memory */
	u32 moves; /* begun and ended: odd */
	u16 fetches; /* steps that are left to fetch the next host */
	u16 looked; /* cells of the open chunk among whose words heirs were looked for */
	u16 heirs; /* that were found: */
	u16 heir[DEFERRED_HEIRS]; /* the numbers of their cells; first that of the next host, once it is chosen */
	atomic_t spares_used; /* a bit each */
} __attribute__((aligned(2 * PORT_CACHELINE)));

/* A chunk of a lane whose words have no memory to host one. */
struct deferred_spare {
	unsigned long memory[(sizeof(struct deferred_chunk) + DEFERRED_SPARE_BYTES) / sizeof(long)];
};

/* What one who drains has to work with. */
struct deferred_drainer {
	struct deferred *queue;
	struct deferred_drainer *next; /* helper */
	struct port_helper helper;
	enum deferred_manner manner; /* helper */
	u64 words; /* taken in this drain, hosts included */
	u64 looks; /* words after which it looks again whether others want the CPU */
	u32 hosts; /* that were freed, and are not counted yet */
	u32 batched;
	unsigned long batch[DEFERRED_BATCH]; /* words that wait to be handed out */
	unsigned long work[]; /* the owner's, in free() */
};

struct deferred_stats {
	u64 pending;
	u64 capacity;
	u64 queued;
	u64 drained;
	u64 drains;
	u64 helpers;
	u64 longest_ns;
	u64 fallbacks[DEFERRED_RESULTS];
};

struct deferred {
	const struct deferred_ops *ops;
	void *owner;
	u64 capacity;
	unsigned int delay_ms;
	unsigned int workers; /* drain at a time, at most */
	u32 share; /* the most credit that one chunk takes */
	u64 common; /* the bits above DEFERRED_CELL_BITS, which all words have in common */
	struct gates lanes; /* of struct deferred_lane */
	struct deferred_spare *spare; /* DEFERRED_SPARES a lane */

	/*
	 * Written from here on, so not on the line of what every producer reads. First the credit
	 * that chunks hold, of the capacity.
	 */
	atomic64_t taken __attribute__((aligned(PORT_CACHELINE)));
	atomic_t alarm; /* enum deferred_alarm */
	struct deferred_chunk *full; /* closed chunks, newest first */

	struct port_mutex drain; /* one drain at a time; protects what follows */
	struct deferred_drainer *drainer; /* of who has the mutex */
	struct port_lock chunks; /* protects: */
	struct deferred_chunk *collected; /* what is left for this drain, oldest first */
	atomic64_t drained;
	atomic64_t drains;
	atomic64_t helpers; /* that have helped, in all drains */
	atomic64_t longest_ns;

	atomic_t flushers; /* waiting for the mutex: the worker steps back */
	atomic64_t fallbacks[DEFERRED_RESULTS];
};

int deferred_init(struct deferred *queue, const struct deferred_ops *ops, void *owner, u64 common,
		  u64 capacity, unsigned int delay_ms, unsigned int workers);
void deferred_destroy(struct deferred *queue);
enum deferred_result deferred_put(struct deferred *queue, unsigned long word);
void deferred_flush(struct deferred *queue);
bool deferred_try_drain(struct deferred *queue, enum deferred_manner manner, u64 *drained);
u64 deferred_pending(const struct deferred *queue);
void deferred_stats(const struct deferred *queue, struct deferred_stats *stats);

/*
 * Whether a word may host, whatever it stands for: one in DEFERRED_HOSTS, and about as many of those that come in
 * any regular order. Others may be asked as well, when there is none; an owner that wants to be safe from that says
 * no. The factors are the golden ratio's part of 2^32, and one of MurmurHash3's.
 */
static inline bool deferred_may_host(unsigned long word)
{
	u32 mixed = (u32)word * 0x9e3779b1U;

	mixed ^= mixed >> 15;
	return mixed * 0x85ebca6bU < ~0U / DEFERRED_HOSTS;
}

/*
 * Write a word into the next cell. In the lane.
 *
 * What words have in common is left out, so that they touch less memory, which is cold: the bytes written
 * beyond the word are those of the next one, or slack.
 */
static inline void deferred_write(struct deferred_lane *lane, u64 word)
{
	char *next = lane->next;

	put_unaligned_le64(word, next);
	WRITE_ONCE(lane->next, next + DEFERRED_CELL);
}

/* Whether this can be a word: it has what all have in common, and something else. */
static inline bool deferred_is_word(const struct deferred *queue, u64 word)
{
	return word - queue->common - 1 < (1ULL << DEFERRED_CELL_BITS) - 1;
}

/* Add a word to the open chunk, if it is one and that is all there is to do. In the lane. */
static inline bool deferred_append(const struct deferred *queue, struct deferred_lane *lane,
				   u64 word)
{
	if (likely(word == lane->follow) && likely(word != lane->pause)) {
		WRITE_ONCE(lane->follow, word + 1);
		return true;
	}
	if (unlikely(!deferred_is_word(queue, word) || lane->next >= lane->stop))
		return false;
	deferred_write(lane, word);
	return true;
}

/* The lane of the owner @number, above 0. */
static inline struct deferred_lane *deferred_own(const struct deferred *queue, unsigned int number)
{
	return (struct deferred_lane *)queue->lanes.lane + gates_own(number);
}

/**
 * deferred_put_fast() - queue a word where that takes but a few stores.
 * @queue: the queue
 * @word: anything, but see deferred_is_word()
 *
 * Context: Any.
 * Return: true if the word was queued; else there is deferred_put().
 */
static inline bool deferred_put_fast(struct deferred *queue, unsigned long word)
{
	unsigned int number = port_lane_get();
	struct deferred_lane *lane = deferred_own(queue, number);
	bool done = false;

	if (likely(number && gate_enter(&lane->gate, false))) {
		done = deferred_append(queue, lane, word);
		gate_leave(&lane->gate);
	}
	port_lane_put();
	return done;
}

#endif /* ZS_DEFERRED_H */
