/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The deferred queue: see queue.h. Here are the producer's slow path, the drain's side and the free
 * segments.
 */
#include "queue.h"

#define SEGMENTS_LEAST 8U

/* Returns how many free segments the queue keeps: two for each lane at least. */
static u32 segments_kept(void)
{
	return 2 * port_lanes_used() > SEGMENTS_LEAST ? 2 * port_lanes_used() : SEGMENTS_LEAST;
}

static void segments_free(struct queue *queue, struct segment *segment)
{
	while (segment) {
		struct segment *next = segment->next;

		port_page_free(queue->store, &segment->page);
		segment = next;
	}
}

/* Has the worker drain within the delay. The caller has just queued a handle while it slept. */
void queue_wake(struct queue *queue)
{
	WRITE_ONCE(queue->asleep, 0);
	port_worker_kick(queue->worker, READ_ONCE(queue->delay_ms));
}

/* Takes a new segment, or one of those that are kept, without waiting for anything. */
static struct segment *segment_get(struct queue *queue, enum queue_result *why)
{
	struct segment *segment = (struct segment *)port_page_alloc(queue->store, false);

	*why = QUEUE_CONTENDED;
	if (segment || !port_trylock(&queue->lock))
		return segment;
	segment = queue->free;
	if (segment) {
		queue->free = segment->next;
		WRITE_ONCE(queue->free_count, queue->free_count - 1);
	}
	port_unlock(&queue->lock);
	if (segment)
		segment->next = NULL;
	*why = QUEUE_NO_MEMORY;
	return segment;
}

/* Takes back a segment that is zeroed, but for its next. */
static void segment_put(struct queue *queue, struct segment *segment)
{
	bool keep;

	port_lock(&queue->lock);
	keep = queue->free_count < segments_kept();
	if (keep) {
		segment->next = queue->free;
		queue->free = segment;
		WRITE_ONCE(queue->free_count, queue->free_count + 1);
	}
	port_unlock(&queue->lock);
	if (!keep)
		port_page_free(queue->store, &segment->page);
}

/* Takes back a segment that a drain is done with. */
static void segment_clean(struct queue *queue, struct segment *segment)
{
	memset(segment->cell, 0, SEGMENT_CELLS * sizeof(u64));
	segment->cells_done = 0;
	segment->run_done = 0;
	segment_put(queue, segment);
}

/* Frees all segments, of lanes too, which no thread uses any more; what is queued is lost. */
void queue_destroy(struct queue *queue)
{
	for (u32 i = 0; lanes && i < port_lanes_used(); i++) {
		segments_free(queue, lanes[i].head);
		lanes[i].head = NULL;
	}
	segments_free(queue, queue->free);
	queue->free = NULL;
}

/* Returns 0 or -ENOMEM; then queue_destroy() frees what was made. */
int queue_init(struct queue *queue, struct port_worker *worker, struct port_store *store)
{
	queue->worker = worker;
	queue->store = store;
	queue->asleep = 1;
	port_lock_init(&queue->lock, PORT_RANK_TABLE);
	port_mutex_init(&queue->drain, PORT_RANK_DRAIN);
	while (queue->free_count < segments_kept()) {
		struct port_page *page = port_page_alloc(store, true);

		if (!page)
			return -ENOMEM;
		segment_put(queue, (struct segment *)page);
	}
	return 0;
}

/*
 * Counts what the lane has queued as pending. Returns false, and counts nothing, if the capacity is
 * used up. Kicks the worker when pending comes to half of it.
 */
static bool lane_count(struct queue *queue, struct lane *lane)
{
	u64 capacity = READ_ONCE(queue->capacity), half = (capacity + 1) / 2;
	u64 count = lane->uncounted;
	s64 pending = (s64)atomic64_read(&queue->pending);

	if (pending >= (s64)capacity)
		return false;
	pending = (s64)atomic64_add_return_relaxed(count, &queue->pending);
	smp_store_release(&lane->uncounted, 0); /* pairs with queue_pending() */
	if ((pending >= (s64)half && pending - (s64)count < (s64)half) ||
	    unlikely(!port_worker_there(queue->worker)))
		port_worker_kick(queue->worker, 0);
	return true;
}

/* Opens a segment in the lane, behind the one that is full. */
static void lane_open(struct lane *lane, struct segment *segment)
{
	/* Pairs with the acquires in lane_take(): the drain sees the segment's cells as zeros. */
	if (lane->tail)
		smp_store_release(&lane->tail->next, segment);
	else
		smp_store_release(&lane->head, segment);
	smp_store_release(&lane->tail, segment);
	lane->next = segment->cell;
	lane->left = (u32)SEGMENT_CELLS;
	lane->follow = 0;
}

/*
 * Queues a name: the one way in beside the inline fast path. Returns QUEUE_DONE, or why it is not
 * queued. Does not sleep. Puts a segment back, under queue.lock, if its CPU has changed meanwhile.
 */
enum queue_result queue_put(struct queue *queue, u64 name)
{
	enum queue_result result = QUEUE_CONTENDED;
	struct segment *fresh = NULL;

	for (;;) {
		struct lane *lane = lane_claim();
		bool counts, done = false;

		if (!lane)
			break;
		counts = lane->uncounted < QUEUE_LAG || lane_count(queue, lane);
		if (counts && !lane->left && fresh) {
			lane_open(lane, fresh);
			fresh = NULL;
		}
		if (counts)
			done = lane_append(lane, name);
		lane_leave(lane);
		result = done ? QUEUE_DONE : QUEUE_FULL;
		if (done || !counts)
			break;
		fresh = segment_get(queue, &result);
		if (!fresh)
			break;
	}
	if (fresh)
		segment_put(queue, fresh);
	/* The worker's heavy fence covers this look behind the lane, too. */
	if (result == QUEUE_DONE && READ_ONCE(queue->asleep))
		queue_wake(queue);
	else if (result != QUEUE_DONE)
		atomic64_add(1, &queue->fallbacks[result]);
	return result;
}

/* Takes names out of a segment, at most @most. Returns how many. */
static u32 segment_take(struct segment *segment, u64 *names, u32 most)
{
	u32 count = 0;

	while (count < most && segment->cells_done < SEGMENT_CELLS) {
		/* Pairs with the releases in lane_append(): what the names stand for is there. */
		u64 cell = smp_load_acquire(&segment->cell[segment->cells_done]);
		u32 run = (u32)(cell >> CELL_COUNT_SHIFT);
		u64 name = cell & (CELL_ONE - 1);

		while (segment->run_done < run && count < most)
			names[count++] = name + segment->run_done++;
		/* The last cell may still grow, until there is another. */
		if (segment->run_done < run || segment->cells_done + 1 == SEGMENT_CELLS ||
		    !smp_load_acquire(&segment->cell[segment->cells_done + 1]))
			break;
		if (smp_load_acquire(&segment->cell[segment->cells_done]) != cell)
			continue;
		segment->cells_done++;
		segment->run_done = 0;
	}
	return count;
}

/*
 * Takes names out of the lane that the pass is at. Returns how many; fewer than @most if the lane
 * has no more, up to the segment that was its tail when the pass came.
 */
static u32 lane_take(struct queue *queue, struct lane *lane, u64 *names, u32 most)
{
	u32 count = 0;

	for (;;) {
		struct segment *segment = smp_load_acquire(&lane->head); /* with lane_open() */
		struct segment *next;
		bool last = segment == queue->stop;

		if (!segment)
			return count;
		/* With lane_open(): behind a next one the owner writes no more to this one. */
		next = smp_load_acquire(&segment->next);
		count += segment_take(segment, names + count, most - count);
		if (count == most || !next)
			return count;
		WRITE_ONCE(lane->head, next);
		segment_clean(queue, segment);
		if (last)
			return count;
	}
}

/*
 * Takes at most @most names out of the queue. Returns how many; fewer only where a pass ends.
 * - Under the drain mutex.
 */
u32 queue_take(struct queue *queue, u64 *names, u32 most)
{
	u32 count = 0;

	for (;;) {
		if (queue->lane && queue->stop)
			count += lane_take(queue, &lanes[queue->lane], names + count, most - count);
		if (count == most)
			return count;
		if (++queue->lane >= port_lanes_used())
			break;
		queue->stop = smp_load_acquire(&lanes[queue->lane].tail); /* with lane_open() */
	}
	queue->lane = 0;
	WRITE_ONCE(queue->passes, queue->passes + 1);
	return count;
}

/* Returns what passes come to once all that is queued now was taken. Under the drain mutex. */
u64 queue_next_pass(const struct queue *queue)
{
	return queue->passes + (queue->lane ? 2 : 1);
}

/*
 * Returns how many handles wait: too many rather than too few while producers are at work. While
 * asleep is set that is 0, even if a handle has just come. Looks at each lane.
 */
u64 queue_pending(const struct queue *queue)
{
	u32 end = port_lanes_used();
	s64 pending = 0;

	if (READ_ONCE(queue->asleep))
		return 0;
	for (u32 i = 1; i < end; i++) {
		/* Before uncounted, into which lane_append() moves the cell's count. */
		pending += (s64)(smp_load_acquire(&lanes[i].cell) >> CELL_COUNT_SHIFT);
		/* With the release in lane_count(): what left the lane is in queue.pending. */
		pending += smp_load_acquire(&lanes[i].uncounted);
	}
	pending += (s64)atomic64_read_acquire(&queue->pending);
	return pending > 0 ? (u64)pending : 0;
}

#define FEW_LANES 64 /* that are looked at one by one */

/*
 * Returns how many handles may wait, for a caller that asks often: with many lanes by at most
 * QUEUE_LAG_MOST a lane too many.
 */
u64 queue_pending_most(const struct queue *queue)
{
	u32 end = port_lanes_used();

	if (end <= FEW_LANES || READ_ONCE(queue->asleep))
		return queue_pending(queue);
	return (u64)atomic64_read_acquire(&queue->pending) + (u64)end * QUEUE_LAG_MOST;
}
