/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The deferred queue. It knows nothing of zspages: it queues names and hands them out.
 *
 * Each lane has a queue of segments, pages of cells, with one producer and one consumer:
 *
 *   lane.head ─> segment ── next ─> segment ── next ─> segment <── lane.tail
 *                [####....]         [########]         [#####   ]
 *                 ^ the drain                                ^ the owner
 *
 *   cell   count 16 | generation 16 | index 32
 *
 * A cell is a run: this number of names, each one more than the last. Objects that are freed in the
 * order in which they were stored become one cell for 64. The owner publishes a cell by a release
 * store; 0 is "not yet". It publishes a segment by one to the next of the segment before. A drain
 * reads both by acquire, and keeps in the segment how far it came. It frees a segment once the
 * owner has another, so the owner's tail is always there.
 *
 * A drain goes round the lanes in passes. In each lane a pass ends with the segment that is the
 * tail when it comes. So a pass ends, however fast producers are. It misses nothing that was queued
 * before it began.
 */
#ifndef ZS_QUEUE_H
#define ZS_QUEUE_H

#include "lane.h"

#define RUN_MAX 64 /* a run ends at multiples of that */
#define CELL_COUNT_SHIFT 48
#define CELL_ONE (1ULL << CELL_COUNT_SHIFT)
#define QUEUE_LAG 64 /* a lane adds as many uncounted handles to pending */
#define QUEUE_LAG_MOST (QUEUE_LAG + 2 * RUN_MAX - 1) /* the most that a lane leaves uncounted */

/* How a handle was queued, or why it was not. */
enum queue_result {
	QUEUE_DONE,
	QUEUE_FULL, /* the capacity is used up */
	QUEUE_CONTENDED, /* the caller has no lane, or the lock of the free segments is taken */
	QUEUE_NO_MEMORY, /* there is no free segment */
	QUEUE_RESULTS,
};

struct segment {
	struct port_page page;
	struct segment *next; /* the owner sets it when the segment is full */
	u32 cells_done; /* cells that a drain is done with; the drain's */
	u32 run_done; /* names of the next cell that a drain is done with; the drain's */
	u64 cell[];
};

#define SEGMENT_CELLS ((PORT_PAGE_SIZE - sizeof(struct segment)) / sizeof(u64))

struct queue {
	u64 capacity; /* handles; written under the registry mutex, read without */
	unsigned int delay_ms; /* to a drain, and between two; written as capacity is */
	struct port_worker *worker;
	struct port_store *store; /* where segments come from */
	u32 asleep; /* the worker sleeps, and the next handle wakes it */
	u64 seen; /* handles ever queued, when the worker looked last; its own, as is the next */
	bool grows; /* more had come since it looked before */

	atomic64_t pending __attribute__((aligned(PORT_CACHELINE))); /* see QUEUE_LAG */
	atomic64_t fallbacks[QUEUE_RESULTS]; /* by reason */
	struct port_lock lock; /* of the free segments; segment_get() only tries it */
	struct segment *free; /* kept for when the store has none: zeroed, and in memory */
	u32 free_count;

	bool wanted; /* a caller waits for the mutex: the worker pauses */
	struct port_mutex drain; /* protects what follows, and the drain's side of lanes */
	u32 lane; /* the one that the pass is at; 0 between passes */
	const struct segment *stop; /* its tail when the pass came to it */
	u64 passes; /* ended ones; these figures are read without the mutex */
	u64 drained; /* handles */
	u64 drains;
	u64 longest_ns;
};

int queue_init(struct queue *queue, struct port_worker *worker, struct port_store *store);
void queue_destroy(struct queue *queue);
enum queue_result queue_put(struct queue *queue, u64 name);
u32 queue_take(struct queue *queue, u64 *names, u32 most);
u64 queue_next_pass(const struct queue *queue);
u64 queue_pending(const struct queue *queue);
u64 queue_pending_most(const struct queue *queue);
void queue_wake(struct queue *queue);

/*
 * Appends a name to the lane: the owner's side, the whole fast path. Returns false if that needs
 * queue_put().
 */
static inline bool lane_append(struct lane *lane, u64 name)
{
	port_assert(lane->busy);
	if (likely(name == lane->follow && name % RUN_MAX)) {
		WRITE_ONCE(lane->cell, lane->cell + CELL_ONE);
		smp_store_release(&lane->next[-1], lane->cell); /* pairs with segment_take() */
	} else {
		if (unlikely(!lane->left || lane->uncounted >= QUEUE_LAG))
			return false;
		lane->left--;
		WRITE_ONCE(lane->uncounted,
			   lane->uncounted + (u32)(lane->cell >> CELL_COUNT_SHIFT));
		smp_store_release(&lane->cell, CELL_ONE | name); /* with queue_pending() */
		smp_store_release(lane->next++, lane->cell); /* as above */
	}
	lane->follow = name + 1;
	return true;
}

/* Queues a name if that is a matter of a few instructions; else the caller goes to queue_put(). */
static inline bool queue_append(struct queue *queue, u64 name)
{
	struct lane *lane = lane_enter();
	bool done, wake;

	if (unlikely(!lane))
		return false;
	done = lane_append(lane, name);
	port_fence_light(); /* with the heavy one in the worker: it sees the cell, or is woken */
	wake = READ_ONCE(queue->asleep);
	lane_leave(lane);
	if (unlikely(wake))
		queue_wake(queue);
	return done;
}

#endif /* ZS_QUEUE_H */
