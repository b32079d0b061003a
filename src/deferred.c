/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The deferred queue: see deferred.h.
 *
 * Concurrency. A lane is locked by its busy word, which is only ever tried by producers and is held
 * for a few instructions; under it nothing is called but wake(). The list of closed chunks is pushed
 * to by one compare-and-exchange and taken whole by one exchange. The drain mutex makes drains and
 * flushes follow one another.
 *
 * Credit. A chunk takes its share of the capacity when it is opened and returns it when it has been
 * drained, so that the words of a full queue are counted without a counter that all producers write.
 *
 * The alarm says when a drain is to come. A drain clears it, by an exchange, before it visits the
 * lanes; a producer that opens a chunk, under its lane's lock, raises it. Either the producer was
 * there before the drain, which then takes the chunk; or after, and then sees the alarm cleared. So
 * no word waits without an alarm. Whoever raises the alarm by an exchange with the drain's also sees
 * that the worker, which called the drain, is no longer due, and wakes it.
 */
#include "deferred.h"

enum deferred_alarm {
	ALARM_NONE,
	ALARM_SOON, /* within the drain delay */
	ALARM_NOW,
};

int deferred_init(struct deferred *queue, const struct deferred_ops *ops, void *owner, u64 capacity,
		  unsigned int delay_ms)
{
	u64 share;

	queue->ops = ops;
	queue->owner = owner;
	queue->capacity = capacity;
	queue->delay_ms = delay_ms;
	queue->lanes = port_cpus();
	/*
	 * Open chunks of all lanes together keep an eighth of the capacity from the rest, or 16
	 * handles a lane where that is more.
	 */
	share = capacity / (8ULL * queue->lanes);
	queue->share = share > 1U << 16 ? 1U << 16 : share < 16 ? 16 : (u32)share;
	queue->lane = port_alloc(queue->lanes * sizeof(*queue->lane), GFP_KERNEL);
	if (!queue->lane)
		return -ENOMEM;
	queue->batch = port_alloc(DEFERRED_BATCH * sizeof(*queue->batch), GFP_KERNEL);
	if (!queue->batch)
		goto no_batch;
	if (port_mutex_init(&queue->drain, PORT_RANK_DRAIN))
		goto no_mutex;
	return 0;

no_mutex:
	port_free(queue->batch, DEFERRED_BATCH * sizeof(*queue->batch));
no_batch:
	port_free(queue->lane, queue->lanes * sizeof(*queue->lane));
	return -ENOMEM;
}

/* The queue is empty, and nobody uses it any more. */
void deferred_destroy(struct deferred *queue)
{
	port_mutex_destroy(&queue->drain);
	port_free(queue->batch, DEFERRED_BATCH * sizeof(*queue->batch));
	port_free(queue->lane, queue->lanes * sizeof(*queue->lane));
}

/* For a drain that may wait: a producer is never held up for more than a failed try. */
static void lane_lock(struct deferred_lane *lane)
{
	while (!deferred_trylock(lane))
		cpu_relax();
}

/*
 * A lane of one's own: this CPU's, or, if a thread was preempted in the middle of using that, any that
 * is free. NULL if none is.
 */
static struct deferred_lane *lane_enter(struct deferred *queue)
{
	unsigned int cpu = port_cpu();

	for (unsigned int i = 0; i < queue->lanes; i++) {
		struct deferred_lane *lane = &queue->lane[(cpu + i) % queue->lanes];

		if (deferred_trylock(lane))
			return lane;
	}
	return NULL;
}

static void raise_alarm(struct deferred *queue, enum deferred_alarm alarm)
{
	if (atomic_read(&queue->alarm) >= (int)alarm)
		return;
	if (alarm == ALARM_NOW) {
		if (atomic_xchg(&queue->alarm, ALARM_NOW) != ALARM_NOW)
			queue->ops->wake(queue->owner, 0);
	} else if (atomic_cmpxchg(&queue->alarm, ALARM_NONE, ALARM_SOON) == ALARM_NONE) {
		queue->ops->wake(queue->owner, queue->delay_ms);
	}
}

static u64 threshold(const struct deferred *queue)
{
	return queue->capacity / 2;
}

/*
 * Credit for a chunk of at most @want words, 0 if the queue is full. A chunk ends where the
 * threshold is reached, so that it is noticed there.
 */
static u32 credit_take(struct deferred *queue, u32 want)
{
	u64 taken = (u64)atomic64_read(&queue->taken);

	for (;;) {
		u64 limit = taken < threshold(queue) ? threshold(queue) : queue->capacity;
		u64 credit = limit - taken < want ? limit - taken : want;
		u64 seen;

		if (!credit)
			return 0;
		seen = (u64)atomic64_cmpxchg_relaxed(&queue->taken, taken, taken + credit);
		if (seen == taken)
			return (u32)credit;
		taken = seen;
	}
}

/* Put a chunk on the list of closed ones. */
static void chunk_push(struct deferred *queue, struct deferred_chunk *chunk)
{
	struct deferred_chunk *newest = READ_ONCE(queue->full);

	for (;;) {
		struct deferred_chunk *seen;

		chunk->next = newest;
		seen = cmpxchg_release(&queue->full, newest, chunk); /* pairs with collect() */
		if (seen == newest)
			return;
		newest = seen;
	}
}

/* Hand the lane's open chunk over whole. Under the lane's lock. */
static void lane_close(struct deferred *queue, struct deferred_lane *lane)
{
	struct deferred_chunk *chunk = lane->open;

	chunk->count = (u32)(lane->next - chunk->word);
	lane->open = NULL;
	lane->next = NULL;
	lane->end = NULL;
	chunk_push(queue, chunk);
}

/* After a producer closed a chunk: has that used up half of the capacity? */
static void threshold_check(struct deferred *queue)
{
	if ((u64)atomic64_read(&queue->taken) >= threshold(queue))
		raise_alarm(queue, ALARM_NOW);
}

/* Add a word to the open chunk, and close that if it is full. Under the lane's lock. */
static bool lane_append(struct deferred *queue, struct deferred_lane *lane, unsigned long word)
{
	if (lane->next == lane->end)
		return false;
	deferred_append(lane, word);
	if (lane->next == lane->end) {
		lane_close(queue, lane);
		threshold_check(queue);
	}
	return true;
}

/* Make @chunk, with room for @words, the lane's open one. Under the lane's lock. */
static void lane_open(struct deferred *queue, struct deferred_lane *lane,
		      struct deferred_chunk *chunk, u32 words)
{
	if (lane->open) /* another thread has opened one since */
		lane_close(queue, lane);
	lane->open = chunk;
	lane->next = chunk->word;
	lane->end = chunk->word + words;
	for (size_t i = PORT_CACHELINE; i <= DEFERRED_AHEAD; i += PORT_CACHELINE)
		prefetchw((char *)chunk + i);
	/* Beyond the threshold, an open chunk that ends there may have hidden that it was reached. */
	raise_alarm(queue,
		    (u64)atomic64_read(&queue->taken) > threshold(queue) ? ALARM_NOW : ALARM_SOON);
}

/* Give back what a chunk took and will not use. */
static u32 credit_trim(struct deferred *queue, u32 credit, u32 used)
{
	if (credit > used) {
		atomic64_sub(credit - used, &queue->taken);
		return used;
	}
	return credit;
}

/* Have @word host a chunk, and so be queued itself. True if @word is dealt with. */
static bool open_hosted(struct deferred *queue, unsigned long word, size_t least, u32 credit)
{
	struct deferred_lane *lane;
	struct deferred_chunk *chunk;
	size_t bytes;
	u32 words;

	chunk = queue->ops->host(queue->owner, word, least, &bytes);
	if (!chunk)
		return false;
	words = (u32)((bytes - sizeof(*chunk)) / sizeof(long));
	chunk->host = word;
	chunk->credit = credit_trim(queue, credit, words + 1);
	words = chunk->credit - 1;
	lane = lane_enter(queue);
	if (!lane) { /* the fallback, for a word that is no longer the caller's to free */
		atomic64_sub(chunk->credit, &queue->taken);
		queue->ops->unhost(queue->owner, word);
		atomic64_add(1, &queue->fallbacks[DEFERRED_CONTENDED]);
		return true;
	}
	WRITE_ONCE(lane->queued, lane->queued + 1);
	lane_open(queue, lane, chunk, words);
	if (!words) {
		lane_close(queue, lane);
		threshold_check(queue);
	}
	deferred_unlock(lane);
	return true;
}

/* Put @word in the lane's spare chunk, if that is free. */
static bool open_spare(struct deferred *queue, unsigned long word, u32 credit)
{
	struct deferred_lane *lane = lane_enter(queue);
	struct deferred_chunk *chunk;

	if (!lane)
		return false;
	/* Pairs with the release in chunk_done(). */
	if (atomic_xchg_acquire(&lane->spare_used, 1)) {
		deferred_unlock(lane);
		return false;
	}
	chunk = &lane->spare;
	chunk->host = 0;
	chunk->credit = credit_trim(queue, credit, DEFERRED_SPARE);
	lane_open(queue, lane, chunk, chunk->credit);
	lane_append(queue, lane, word);
	deferred_unlock(lane);
	return true;
}

/* There is no open chunk: open one. */
static enum deferred_result open_chunk(struct deferred *queue, unsigned long word)
{
	u32 credit = credit_take(queue, queue->share);

	if (!credit) {
		raise_alarm(queue, ALARM_NOW);
		return DEFERRED_FULL;
	}
	if (open_hosted(queue, word, DEFERRED_HOST_BYTES, credit) ||
	    open_spare(queue, word, credit) ||
	    open_hosted(queue, word, DEFERRED_HOST_LEAST, credit))
		return DEFERRED_QUEUED;
	atomic64_sub(credit, &queue->taken);
	raise_alarm(queue, ALARM_NOW);
	return DEFERRED_NO_MEMORY;
}

/**
 * deferred_put_slow() - queue a word where deferred_put() finds no room in this CPU's lane.
 * @queue: the queue
 * @word: not 0
 *
 * Context: Any. Takes no lock that is not free, allocates nothing.
 * Return: DEFERRED_QUEUED, or why the word was not taken.
 */
enum deferred_result deferred_put_slow(struct deferred *queue, unsigned long word)
{
	enum deferred_result result = DEFERRED_CONTENDED;
	struct deferred_lane *lane = lane_enter(queue);

	if (lane) {
		bool done = lane_append(queue, lane, word);

		deferred_unlock(lane);
		if (done)
			return DEFERRED_QUEUED;
		result = open_chunk(queue, word);
		if (result == DEFERRED_QUEUED)
			return result;
	}
	atomic64_add(1, &queue->fallbacks[result]);
	return result;
}

/*
 * All chunks that there are, oldest first. Who may not wait passes over a lane that is in use, and
 * leaves it to the next drain. Under the drain mutex.
 */
static struct deferred_chunk *collect(struct deferred *queue, bool may_sleep)
{
	struct deferred_chunk *newest, *oldest = NULL;

	atomic_xchg(&queue->alarm, ALARM_NONE); /* before the lanes: see the head of this file */
	for (unsigned int i = 0; i < queue->lanes; i++) {
		struct deferred_lane *lane = &queue->lane[i];

		if (may_sleep) {
			lane_lock(lane);
		} else if (!deferred_trylock(lane)) {
			raise_alarm(queue, ALARM_SOON);
			continue;
		}
		if (lane->open)
			lane_close(queue, lane);
		deferred_unlock(lane);
	}
	newest = xchg_acquire(&queue->full, NULL); /* pairs with chunk_push() */
	while (newest) {
		struct deferred_chunk *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

/* Leave chunks, oldest first, to a drain that is to come at once. */
static void uncollect(struct deferred *queue, struct deferred_chunk *chunk)
{
	while (chunk) {
		struct deferred_chunk *next = chunk->next;

		chunk_push(queue, chunk);
		chunk = next;
	}
	raise_alarm(queue, ALARM_NOW);
}

static struct deferred_lane *lane_of_spare(struct deferred_chunk *chunk)
{
	return (struct deferred_lane *)((char *)chunk - offsetof(struct deferred_lane, spare));
}

/* A chunk's words are free: free what it lived in. */
static void chunk_done(struct deferred *queue, struct deferred_chunk *chunk)
{
	if (chunk->host)
		queue->ops->unhost(queue->owner, chunk->host);
	else
		atomic_set_release(&lane_of_spare(chunk)->spare_used,
				   0); /* pairs with open_spare() */
}

/* Free what has been gathered and return its credit, then let others run. */
static void batch_free(struct deferred *queue, bool may_sleep)
{
	if (queue->batched)
		queue->ops->free(queue->owner, queue->batch, queue->batched);
	atomic64_fetch_add_release(queue->batched,
				   &queue->drained); /* pairs with deferred_pending() */
	atomic64_sub(queue->batch_credit, &queue->taken);
	queue->batched = 0;
	queue->batch_credit = 0;
	if (may_sleep)
		cond_resched();
}

/* Gather the words of a chunk, so that batches are as large as can be, and be done with it. */
static u64 chunk_drain(struct deferred *queue, struct deferred_chunk *chunk, bool may_sleep)
{
	u32 hosts = chunk->host ? 1 : 0;
	u64 words = (u64)chunk->count + hosts;
	u32 i = 0;

	while (i < chunk->count) {
		u32 room = DEFERRED_BATCH - queue->batched;
		u32 part = chunk->count - i < room ? chunk->count - i : room;

		memcpy(queue->batch + queue->batched, chunk->word + i, part * sizeof(long));
		queue->batched += part;
		i += part;
		if (queue->batched == DEFERRED_BATCH)
			batch_free(queue, may_sleep);
	}
	queue->batch_credit += chunk->credit;
	chunk_done(queue, chunk);
	atomic64_fetch_add_release(hosts, &queue->drained);
	return words;
}

/*
 * Free all words that are queued now; who may not sleep, about a batch of them. Under the drain
 * mutex.
 */
static u64 drain(struct deferred *queue, bool may_sleep)
{
	struct deferred_chunk *chunk = collect(queue, may_sleep);
	u64 start = port_now();
	u64 words = 0, took;

	if (!chunk)
		return 0;
	while (chunk && (may_sleep || words < DEFERRED_BATCH)) {
		struct deferred_chunk *next = chunk->next;

		words += chunk_drain(queue, chunk, may_sleep);
		chunk = next;
	}
	batch_free(queue, may_sleep);
	if (chunk)
		uncollect(queue, chunk);
	took = port_now() - start;
	if (took > (u64)atomic64_read(&queue->longest_ns))
		atomic64_set(&queue->longest_ns, took);
	atomic64_add(1, &queue->drains);
	return words;
}

/**
 * deferred_flush() - free every word that was queued before the call.
 * @queue: the queue
 *
 * Words that are queued meanwhile are left to the next drain, which their alarm brings: so
 * producers cannot keep this from returning. Nor can the worker, which steps back for a flush.
 *
 * Context: Sleeps.
 */
void deferred_flush(struct deferred *queue)
{
	atomic_inc(&queue->flushers);
	port_mutex_lock(&queue->drain);
	atomic_dec(&queue->flushers);
	drain(queue, true);
	port_mutex_unlock(&queue->drain);
}

/**
 * deferred_try_drain() - free what is queued, unless somebody is just doing that.
 * @queue: the queue
 * @may_sleep: whether the caller has the time for all of it, and others may be let run in between;
 *	else about a batch is freed, and the worker is woken for the rest
 * @drained: set to the number of words freed
 *
 * Context: Sleeps if @may_sleep.
 * Return: false if another drain runs or is waited for: nothing was done.
 */
bool deferred_try_drain(struct deferred *queue, bool may_sleep, u64 *drained)
{
	*drained = 0;
	if (atomic_read(&queue->flushers) || !port_mutex_trylock(&queue->drain))
		return false;
	*drained = drain(queue, may_sleep);
	port_mutex_unlock(&queue->drain);
	return true;
}

static u64 queued(const struct deferred *queue)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < queue->lanes; i++)
		sum += READ_ONCE(queue->lane[i].queued);
	return sum;
}

/**
 * deferred_pending() - how many words wait.
 * @queue: the queue
 *
 * Context: Any.
 * Return: the number, which may have changed already.
 */
u64 deferred_pending(const struct deferred *queue)
{
	u64 drained = (u64)atomic64_read_acquire(&queue->drained); /* first: never below 0 */

	return queued(queue) - drained;
}

/**
 * deferred_stats() - what the queue has counted.
 * @queue: the queue
 * @stats: filled in
 *
 * Context: Any.
 */
void deferred_stats(const struct deferred *queue, struct deferred_stats *stats)
{
	stats->drained = (u64)atomic64_read_acquire(&queue->drained);
	stats->queued = queued(queue);
	stats->pending = stats->queued - stats->drained;
	stats->capacity = queue->capacity;
	stats->drains = (u64)atomic64_read(&queue->drains);
	stats->longest_ns = (u64)atomic64_read(&queue->longest_ns);
	for (unsigned int i = 0; i < DEFERRED_RESULTS; i++)
		stats->fallbacks[i] = (u64)atomic64_read(&queue->fallbacks[i]);
}
