/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Drains: a batch, all of it, and the worker's.
 *
 * The worker drains a pass at a time, and comes again after the drain delay as long as it finds
 * something. Then it goes to sleep, which takes a protocol: it says so, passes the heavy fence, and
 * looks once more. A producer queues its handle, passes the light fence, and looks whether the
 * worker sleeps. So either the worker finds the handle, or the producer wakes the worker.
 */
#include "pool.h"

#define DRAIN_SOME 128U /* handles that a caller of pool_malloc() frees before its pool grows */
#define DRAIN_SLICE_NS 1000000 /* after which the worker does other work in between */
#define DRAIN_PAUSE_MS 5 /* for producers on a crowded CPU, or others that want the drain mutex */

/*
 * Frees a batch of what is queued. Returns how many handles: fewer than @most only where a pass
 * ends.
 * - Under the drain mutex.
 */
u32 drain_batch(u32 most)
{
	struct queue *queue = &runtime.queue;
	struct free_batch *batch = runtime.batch;
	u64 start, took;
	u32 count;

	port_assert_held(&queue->drain);
	count = queue_take(queue, batch->name, most);
	if (!count)
		return 0;
	start = port_now();
	free_batch(batch, count, NULL);
	WRITE_ONCE(queue->drained, queue->drained + count);
	atomic64_fetch_add_release(-(u64)count, &queue->pending); /* with queue_pending() */
	WRITE_ONCE(queue->drains, queue->drains + 1);
	took = port_now() - start;
	if (took > queue->longest_ns)
		WRITE_ONCE(queue->longest_ns, took);
	return count;
}

/*
 * Frees some of what is queued, for pool_malloc(). Returns how many handles: 0 if none is queued,
 * or if a drain is under way and @flags do not allow to wait for it.
 */
u32 drain_some(gfp_t flags)
{
	u32 count;

	if (!queue_pending(&runtime.queue))
		return 0;
	if (!port_mutex_trylock(&runtime.queue.drain)) {
		if (!port_may_sleep(flags))
			return 0;
		WRITE_ONCE(runtime.queue.wanted, true);
		port_mutex_lock(&runtime.queue.drain);
	}
	/* A pass that was under way may have nothing left. */
	count = drain_batch(DRAIN_SOME) ?: drain_batch(DRAIN_SOME);
	port_mutex_unlock(&runtime.queue.drain);
	return count;
}

/* Frees all that was queued before. Returns how many handles. May sleep; no lock is held. */
u64 drain_flush(void)
{
	u64 until = 0, count = 0;
	bool done;

	do {
		port_mutex_lock(&runtime.queue.drain);
		if (!until)
			until = queue_next_pass(&runtime.queue);
		count += drain_batch(FREE_BATCH);
		done = runtime.queue.passes >= until;
		port_mutex_unlock(&runtime.queue.drain);
		cond_resched();
	} while (!done);
	return count;
}

/* Looks whether producers are at work, and there is room for what they queue; the worker's. */
static bool queue_grows(struct queue *queue)
{
	u64 pending = queue_pending(queue), queued = READ_ONCE(queue->drained) + pending;

	queue->grows = queued != queue->seen && pending < queue->capacity / 2;
	queue->seen = queued;
	return queue->grows;
}

/* The worker's part of a pass. */
struct slice {
	u64 count; /* handles */
	bool ended; /* the pass has */
	bool crowded; /* producers want the CPU, or callers the mutex */
};

static struct slice drain_slice(void)
{
	struct slice slice = { .count = 0 };
	u64 start = port_now();

	do {
		u64 passes;

		port_mutex_lock(&runtime.queue.drain);
		passes = runtime.queue.passes;
		slice.count += drain_batch(FREE_BATCH);
		slice.ended = runtime.queue.passes != passes;
		port_mutex_unlock(&runtime.queue.drain);
		cond_resched();
		/* Above half of the capacity nothing keeps the worker from its work. */
		slice.crowded = queue_grows(&runtime.queue) && port_crowded();
		if (READ_ONCE(runtime.queue.wanted))
			slice.crowded |= queue_pending(&runtime.queue) < runtime.queue.capacity / 2;
	} while (!slice.ended && !slice.crowded && port_now() - start < DRAIN_SLICE_NS);
	return slice;
}

/*
 * Drains for a moment; the worker's. Returns the milliseconds after which to call again, or -1 once
 * the worker sleeps. May sleep; no lock is held.
 */
int drain_work(void)
{
	struct queue *queue = &runtime.queue;
	struct slice slice = drain_slice();

	WRITE_ONCE(queue->wanted, false);
	if (slice.crowded || !slice.ended)
		return slice.crowded ? DRAIN_PAUSE_MS : 0;
	if (!slice.count) {
		if (READ_ONCE(queue->asleep))
			return -1;
		WRITE_ONCE(queue->asleep, 1);
		port_fence_heavy(); /* pairs with the light one in queue_append() */
		if (!drain_flush())
			return port_fence_works() ? -1 : (int)queue->delay_ms;
	}
	WRITE_ONCE(queue->asleep, 0);
	return (int)READ_ONCE(queue->delay_ms);
}
