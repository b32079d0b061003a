/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The deferred queue: see deferred.h.
 *
 * Concurrency. A lane belongs to one producer: see gate.h. A drain takes the chunks that are in there. The
 * list of closed chunks is pushed to by one compare-and-exchange and taken whole by one exchange. The drain
 * mutex makes drains and flushes follow one another.
 *
 * Helpers. A drain that finds much collects it under a lock of its own, from where chunks are taken
 * one by one: by itself and by helpers, each of which frees through its own batch. (Taking one by a
 * compare-and-exchange would read the next of a chunk that another has taken, and that is no longer
 * memory of ours.) Helpers hold no mutex. The drain has it until they have ended, so that what holds
 * for a drain holds for all of it; and as it works itself, none of them need ever begin.
 *
 * Credit. A chunk takes its share of the capacity when it is opened and returns it when it has been
 * drained, so that the words of a full queue are counted without a counter that all producers write.
 *
 * The alarm says when a drain is to come. A drain clears it, by an exchange, before it looks which
 * lanes are open; a producer opens a chunk and then, behind a full fence, looks whether the alarm is
 * raised. Either the drain sees the chunk, or the producer sees the alarm cleared and raises it. So
 * no word waits without an alarm. Whoever raises the alarm by an exchange with the drain's also sees
 * that the worker, which called the drain, is no longer due, and wakes it.
 *
 * Politeness. The worker's drain looks, after each batch, whether others want its CPU: most likely those who
 * exit, and on a machine that is busy they would wait for it. If so it leaves the rest to a drain that comes
 * soon, as long as the queue is not half full: in each pause a batch at least is freed.
 *
 * The next host is chosen ahead: of the words of a chunk the first few that may host, its heirs, are fetched, step
 * by step, while the chunk fills. The one with the most memory, since each host costs the same, hosts the next
 * chunk; the chunk's last word takes its place. Not one that begins a run, whose words are not known without it:
 * so a run begins when there is an heir.
 */
#include "deferred.h"

enum deferred_alarm {
	ALARM_NONE,
	ALARM_SOON, /* within the drain delay */
	ALARM_NOW,
};

#define POLITE_PAUSE_MS 5 /* within which a drain that gave way goes on */

static size_t drainer_bytes(const struct deferred *queue)
{
	return sizeof(struct deferred_drainer) + queue->ops->work_bytes;
}

static size_t spares_bytes(const struct deferred *queue)
{
	return queue->lanes.count * DEFERRED_SPARES * sizeof(struct deferred_spare);
}

/*
 * All words have the bits of @common above DEFERRED_CELL_BITS.
 */
int deferred_init(struct deferred *queue, const struct deferred_ops *ops, void *owner, u64 common,
		  u64 capacity, unsigned int delay_ms, unsigned int workers)
{
	u64 share;

	queue->ops = ops;
	queue->owner = owner;
	queue->common = common >> DEFERRED_CELL_BITS << DEFERRED_CELL_BITS;
	queue->capacity = capacity;
	queue->delay_ms = delay_ms;
	queue->workers = workers;
	/*
	 * Open chunks of all CPUs together keep an eighth of the capacity from the rest, or 16
	 * handles each where that is more.
	 */
	share = capacity / (8ULL * port_cpus());
	queue->share = share > DEFERRED_CHUNK ? DEFERRED_CHUNK : share < 16 ? 16 : (u32)share;
	if (gates_init(&queue->lanes, sizeof(struct deferred_lane)))
		return -ENOMEM;
	queue->spare = port_alloc(spares_bytes(queue), GFP_KERNEL);
	if (!queue->spare)
		goto no_spare;
	queue->drainer = port_alloc(drainer_bytes(queue), GFP_KERNEL);
	if (!queue->drainer)
		goto no_drainer;
	queue->drainer->queue = queue;
	if (port_mutex_init(&queue->drain, PORT_RANK_DRAIN))
		goto no_mutex;
	port_lock_init(&queue->chunks, PORT_RANK_CHUNKS);
	return 0;

no_mutex:
	port_free(queue->drainer, drainer_bytes(queue));
no_drainer:
	port_free(queue->spare, spares_bytes(queue));
no_spare:
	gates_destroy(&queue->lanes);
	return -ENOMEM;
}

/* The queue is empty, and nobody uses it any more. */
void deferred_destroy(struct deferred *queue)
{
	port_lock_destroy(&queue->chunks);
	port_mutex_destroy(&queue->drain);
	port_free(queue->drainer, drainer_bytes(queue));
	port_free(queue->spare, spares_bytes(queue));
	gates_destroy(&queue->lanes);
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

static char *chunk_place(struct deferred_chunk *chunk, u32 number)
{
	return chunk->cell + (size_t)number * DEFERRED_CELL;
}

static u64 cell_value(u64 bits)
{
	return bits << (64 - DEFERRED_CELL_BITS) >> (64 - DEFERRED_CELL_BITS);
}

/* What is in a cell: a word but for what is common; or a run's. */
static u64 chunk_cell(struct deferred_chunk *chunk, u32 number)
{
	return cell_value(get_unaligned_le64(chunk_place(chunk, number)));
}

static unsigned long chunk_word(const struct deferred *queue, struct deferred_chunk *chunk,
				u32 number)
{
	return queue->common | chunk_cell(chunk, number);
}

/* Put another word in the place of one, without changing what is behind it. */
static void chunk_replace(struct deferred_chunk *chunk, u32 number, unsigned long word)
{
	char *place = chunk_place(chunk, number);
	u64 behind = get_unaligned_le64(place) >> DEFERRED_CELL_BITS << DEFERRED_CELL_BITS;

	put_unaligned_le64(behind | cell_value(word), place);
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

/* The words ever queued in a lane. Each of what changes when one is counts for as much as a cell has bytes. */
static u64 lane_queued(u64 base, const char *next, u64 follow)
{
	return (base + (uintptr_t)next + follow * DEFERRED_CELL) / DEFERRED_CELL;
}

/* For whoever is in the lane. */
static u64 lane_now(const struct deferred_lane *lane)
{
	return lane_queued(lane->base, lane->next, lane->follow);
}

/* Go on at @next, or with a run, with so many words queued that were not counted yet. In the lane. */
static void lane_goto(struct deferred_lane *lane, char *next, u64 follow, u32 words)
{
	u64 total = lane_now(lane) + words;

	WRITE_ONCE(lane->total, total);
	smp_store_release(&lane->moves, lane->moves + 1); /* these pair with lane_total() */
	smp_store_release(&lane->next, next);
	smp_store_release(&lane->follow, follow);
	smp_store_release(&lane->base, (total - follow) * DEFERRED_CELL - (uintptr_t)next);
	smp_store_release(&lane->moves, lane->moves + 1);
	lane->pause = follow; /* without a run, no word is what follows */
}

/* The words ever queued in a lane, whose owner may be at work. Waits for nobody. */
static u64 lane_total(const struct deferred_lane *lane)
{
	for (;;) { /* pairs with lane_goto() */
		u32 moves = smp_load_acquire(&lane->moves);
		u64 base, follow;
		char *next;

		if (moves % 2)
			return READ_ONCE(lane->total);
		base = smp_load_acquire(&lane->base);
		next = smp_load_acquire(&lane->next);
		follow = smp_load_acquire(&lane->follow);
		if (READ_ONCE(lane->moves) == moves) /* they belong together */
			return lane_queued(base, next, follow);
	}
}

/* Give back what a chunk took and will not use. */
static u32 credit_trim(struct deferred *queue, u32 credit, u32 used)
{
	if (credit <= used)
		return credit;
	atomic64_sub(credit - used, &queue->taken);
	return used;
}

/* How many words a chunk stands for: its host is one. */
static u32 chunk_words(const struct deferred_chunk *chunk)
{
	return chunk->count + (chunk->host ? 1U : 0U);
}

/* The words in the lane's open chunk. In the lane. */
static u32 lane_words(const struct deferred_lane *lane)
{
	return (u32)(lane_now(lane) - lane->start);
}

/* The words that the lane's open chunk has credit for. In the lane. */
static u32 lane_left(const struct deferred_lane *lane)
{
	const struct deferred_chunk *chunk = lane->open;

	return chunk->credit - (chunk->host ? 1U : 0U) - lane_words(lane);
}

/* The cells in use of the lane's open chunk. In the lane. */
static u32 lane_cells(const struct deferred_lane *lane)
{
	return (u32)(lane->next - lane->open->cell) / DEFERRED_CELL;
}

/* Give back the credit that the lane's open chunk, which gets so many words @more, will not use. In the lane. */
static void lane_trim(struct deferred *queue, struct deferred_lane *lane, u32 more)
{
	struct deferred_chunk *chunk = lane->open;

	chunk->count = (u16)(lane_words(lane) + more);
	chunk->credit = (u16)credit_trim(queue, chunk->credit, chunk_words(chunk));
}

/* Write how long the lane's run is, if there is one. In the lane. */
static void run_write(const struct deferred_lane *lane)
{
	if (lane->follow)
		put_unaligned_le64(lane->follow - lane->run, lane->next - DEFERRED_CELL);
}

/* Put the lane's open chunk on the list. In the lane, which is then to say what it has now. */
static void lane_hand_over(struct deferred *queue, struct deferred_lane *lane)
{
	run_write(lane);
	lane->open->done = 0;
	lane->open->used = (u16)lane_cells(lane);
	lane_trim(queue, lane, 0);
	chunk_push(queue, lane->open);
}

/*
 * Hand the lane's open chunk over whole. In the lane. The chunk is on the list before the lane says
 * that it has none: who finds none there finds the chunk on the list.
 */
static void lane_close(struct deferred *queue, struct deferred_lane *lane)
{
	lane_hand_over(queue, lane);
	lane_goto(lane, NULL, 0, 0);
	lane->stop = NULL;
	smp_store_release(&lane->open, NULL); /* pairs with collect() */
}

/* After a producer closed a chunk: has that used up half of the capacity? */
static void threshold_check(struct deferred *queue)
{
	if ((u64)atomic64_read(&queue->taken) >= threshold(queue))
		raise_alarm(queue, ALARM_NOW);
}

/*
 * A chunk's memory is as cold as what is freed: its lines are fetched before they are written, a
 * stride at a time, one stride ahead. Stop where the next stride begins, or at the chunk's last word.
 */
static void lane_advance(struct deferred_lane *lane)
{
	char *stride = (char *)((uintptr_t)lane->next / DEFERRED_STRIDE * DEFERRED_STRIDE) +
		       DEFERRED_STRIDE;

	for (size_t i = 0; i < DEFERRED_STRIDE; i += PORT_CACHELINE)
		prefetchw(stride + i);
	lane->stop = stride < lane->last ? stride : lane->last;
}

/* Stop so many cells from here on, at the latest, to see whether a run begins. In the lane. */
static void lane_look(struct deferred_lane *lane, u32 cells)
{
	if (lane->stop - lane->next > (ptrdiff_t)cells * DEFERRED_CELL)
		lane->stop = lane->next + (size_t)cells * DEFERRED_CELL;
}

/* Words go into cells from here on: find out which is the last. In the lane. */
static void lane_go_on(struct deferred_lane *lane)
{
	u32 cells = (u32)(lane->room - lane->next) / DEFERRED_CELL;
	u32 left = lane_left(lane);

	lane->last =
		lane->next + (size_t)(left < cells ? left : cells) * DEFERRED_CELL - DEFERRED_CELL;
	lane_advance(lane);
	lane_look(lane, 2);
}

/*
 * Make @chunk, with room for so many cells, the lane's open one; its host counts as one of @queued. In the
 * lane.
 */
static void lane_open(struct deferred *queue, struct deferred_lane *lane,
		      struct deferred_chunk *chunk, u32 cells, u32 queued)
{
	lane_goto(lane, chunk->cell, 0, queued);
	lane->start = lane_now(lane);
	lane->room = chunk_place(chunk, cells);
	lane->fetches = DEFERRED_FETCHES;
	lane->looked = 0;
	lane->heirs = 0;
	smp_store_release(&lane->open, chunk); /* pairs with collect() */
	lane_go_on(lane);
	smp_mb(); /* before the alarm is read: see the head of this file; pairs with collect() */
	/* Beyond the threshold, an open chunk that ends there may have hidden that it was reached. */
	raise_alarm(queue,
		    (u64)atomic64_read(&queue->taken) > threshold(queue) ? ALARM_NOW : ALARM_SOON);
}

/* Add the chunk's last word. In the lane. */
static void lane_fill(struct deferred *queue, struct deferred_lane *lane, unsigned long word)
{
	deferred_write(lane, word);
	lane_close(queue, lane);
	threshold_check(queue);
}

/* Whether the word in a cell of the open chunk, not the last, can be replaced by another. In the lane. */
static bool heir_may(const struct deferred_lane *lane, u32 number)
{
	struct deferred_chunk *chunk = lane->open;

	/* It is no cell of a run, and none goes on from it. */
	return chunk_cell(chunk, number) && (!number || chunk_cell(chunk, number - 1)) &&
	       chunk_cell(chunk, number + 1);
}

/*
 * Look for heirs among the words that came since the last look, but for the last, from which a run may go on.
 * They are fetched together, so none is added later. In the lane.
 */
static void heirs_find(struct deferred_lane *lane)
{
	u32 cells = lane_cells(lane);

	if (lane->fetches != DEFERRED_FETCHES)
		return;
	for (; lane->looked + 1U < cells && lane->heirs < DEFERRED_HEIRS; lane->looked++)
		if (deferred_may_host(chunk_cell(lane->open, lane->looked)) &&
		    heir_may(lane, lane->looked))
			lane->heir[lane->heirs++] = lane->looked;
}

/* Whether there is an heir to fetch, and no more are to be waited for. In the lane. */
static bool heirs_wait(const struct deferred_lane *lane)
{
	if (!lane->heirs || !lane->fetches)
		return false;
	return lane->heirs == DEFERRED_HEIRS || lane->fetches != DEFERRED_FETCHES ||
	       lane_cells(lane) >= DEFERRED_STRIDE / DEFERRED_CELL;
}

/* Let the heir that has the most memory be the first. In the lane. */
static void heir_choose(struct deferred *queue, struct deferred_lane *lane)
{
	size_t most = 0;

	for (u32 i = 0; i < lane->heirs; i++) {
		u16 heir = lane->heir[i];
		size_t bytes = queue->ops->weigh(queue->owner, chunk_word(queue, lane->open, heir));

		if (bytes <= most)
			continue;
		most = bytes;
		lane->heir[i] = lane->heir[0];
		lane->heir[0] = heir;
	}
}

/* The next step towards the next host, the last of which is for one heir. In the lane, whose chunk has heirs. */
static void heir_fetch(struct deferred *queue, struct deferred_lane *lane)
{
	unsigned int step = DEFERRED_FETCHES - lane->fetches--;
	u32 heirs = lane->heirs;

	if (step == DEFERRED_FETCHES - 1) {
		heir_choose(queue, lane);
		heirs = 1;
	}
	for (u32 i = 0; i < heirs; i++)
		queue->ops->fetch(queue->owner, chunk_word(queue, lane->open, lane->heir[i]), step);
}

/* Take more credit for the open chunk. False if there is none, or if it has had enough. In the lane. */
static bool lane_extend(struct deferred *queue, struct deferred_lane *lane)
{
	struct deferred_chunk *chunk = lane->open;
	u32 more = queue->share < DEFERRED_MORE ? queue->share : DEFERRED_MORE;

	if (chunk->credit + more > DEFERRED_CHUNK)
		return false;
	threshold_check(queue); /* before it takes credit for what is yet to come */
	more = credit_take(queue, more);
	chunk->credit = (u16)(chunk->credit + more);
	return more;
}

/* Have the run pause where there is something to do. In the lane. */
static void run_pace(struct deferred_lane *lane)
{
	u32 words = lane_left(lane) - 1; /* the last is not just counted */

	if (lane->fetches && words > DEFERRED_PACE)
		words = DEFERRED_PACE;
	lane->pause = lane->follow + words;
}

/* How many of the last two words @word follows one after the other. In the lane, at a stop, without a run. */
static u32 run_length(const struct deferred *queue, const struct deferred_lane *lane,
		      unsigned long word)
{
	u32 cells = lane_cells(lane);
	u32 length = 0;

	while (length < 2 && length < cells &&
	       chunk_word(queue, lane->open, cells - 1 - length) == word - 1 - length)
		length++;
	return length;
}

/* Whether a run may begin: there is an heir, and cells for a run, and for a word behind it. In the lane. */
static bool run_may_begin(const struct deferred_lane *lane)
{
	return lane->heirs && lane->room - lane->next > 2 * DEFERRED_CELL;
}

/* Begin a run, with a word that is not the chunk's last. In the lane. */
static void run_begin(struct deferred_lane *lane, unsigned long word)
{
	put_unaligned_le64(0, lane->next);
	lane_goto(lane, lane->next + 2 * DEFERRED_CELL, word + 1, 1);
	lane->run = word;
	lane->stop = NULL;
	run_pace(lane);
}

/* The lane has a run: have it go on with @word. False if it does not, or only with the chunk's last. */
static bool run_go_on(struct deferred *queue, struct deferred_lane *lane, unsigned long word)
{
	if (word != lane->follow || (lane_left(lane) == 1 && !lane_extend(queue, lane)))
		return false;
	if (lane->fetches)
		heir_fetch(queue, lane);
	WRITE_ONCE(lane->follow, word + 1);
	run_pace(lane);
	return true;
}

/* In the lane. */
static void run_end(struct deferred_lane *lane)
{
	run_write(lane);
	lane_goto(lane, lane->next, 0, 0);
	lane_go_on(lane);
}

/* Add a word that is not the chunk's last. In the lane. */
static void lane_append(struct deferred *queue, struct deferred_lane *lane, unsigned long word)
{
	if (lane->next >= lane->stop) {
		u32 length = run_length(queue, lane, word);

		heirs_find(lane);
		if (length == 2 && run_may_begin(lane)) {
			run_begin(lane, word);
			return;
		}
		lane_advance(lane);
		if (length)
			lane_look(lane, 1);
		if (heirs_wait(lane))
			heir_fetch(queue, lane);
	}
	deferred_write(lane, word);
}

/* The spare chunks of a lane that are not used, a bit each. Pairs with the release in chunk_done(). */
static u32 spare_free(const struct deferred_lane *lane)
{
	return ~(u32)atomic_read_acquire(&lane->spares_used) & ((1U << DEFERRED_SPARES) - 1);
}

/*
 * Make *@chunk, with room for *@cells, in what @word stands for, its credit that for a word in each, at most
 * @credit; the rest is given back. False if @word can't host.
 */
static bool chunk_host(struct deferred *queue, unsigned long word, size_t least, u32 credit,
		       struct deferred_chunk **chunk, u32 *cells)
{
	size_t bytes;
	u64 token;

	*chunk = queue->ops->host(queue->owner, word, least, &bytes, &token);
	if (!*chunk)
		return false;
	(*chunk)->host = word;
	(*chunk)->token = token;
	*cells = (u32)((bytes - sizeof(**chunk) - DEFERRED_SLACK) / DEFERRED_CELL);
	(*chunk)->credit = (u16)credit_trim(queue, credit, *cells + 1);
	return true;
}

/* There are no heirs: take the first words, which may do as well. In the lane, that has a word. */
static void heirs_guess(struct deferred_lane *lane)
{
	u32 cells = lane_cells(lane);

	do
		lane->heir[lane->heirs] = lane->heirs;
	while (++lane->heirs < DEFERRED_HEIRS && lane->heirs + 1U < cells &&
	       heir_may(lane, lane->heirs));
}

/*
 * Have an heir host the next chunk, a small one only if there is no spare chunk. Returns the number of its cell, or
 * -1 if none can. In the lane, that has a word.
 */
static int heir_host(struct deferred *queue, struct deferred_lane *lane, u32 credit,
		     struct deferred_chunk **next, u32 *cells)
{
	size_t least = spare_free(lane) ? DEFERRED_HOST_BYTES : DEFERRED_HOST_LEAST;

	heirs_find(lane);
	if (!lane->heirs)
		heirs_guess(lane);
	for (u32 i = 0; i < lane->heirs; i++)
		if (chunk_host(queue, chunk_word(queue, lane->open, lane->heir[i]), least, credit,
			       next, cells))
			return lane->heir[i];
	return -1;
}

/*
 * @word is the last for the open chunk: have an heir host the next chunk, and put @word in its place. False if that
 * can't be. In the lane.
 */
static bool turn_over(struct deferred *queue, struct deferred_lane *lane, unsigned long word)
{
	struct deferred_chunk *chunk = lane->open;
	struct deferred_chunk *next;
	u32 credit, cells;
	int heir;

	if (!lane_cells(lane)) /* it is also the first */
		return false;
	lane_trim(queue, lane, 1);
	threshold_check(queue); /* before the next chunk takes credit for what is yet to come */
	credit = credit_take(queue, queue->share);
	if (!credit)
		return false;
	heir = heir_host(queue, lane, credit + 1, &next, &cells); /* its own credit moves with it */
	if (heir < 0) {
		atomic64_sub(credit, &queue->taken);
		return false;
	}
	chunk_replace(chunk, (u32)heir, word);
	chunk->credit--;
	/* Never without a chunk in between: a flush must find the next one, whose host was queued. */
	lane_hand_over(queue, lane);
	lane_open(queue, lane, next, cells, 1);
	return true;
}

/* If it is not memory of which the open chunk has only for one more word, but credit, take some. In the lane. */
static bool cells_extend(struct deferred *queue, struct deferred_lane *lane)
{
	if (lane->room - lane->next < 2 * DEFERRED_CELL || !lane_extend(queue, lane))
		return false;
	lane_go_on(lane);
	return true;
}

/* Add a word to the open chunk. In the lane. */
static void lane_add(struct deferred *queue, struct deferred_lane *lane, unsigned long word)
{
	if (lane->follow) {
		if (run_go_on(queue, lane, word))
			return;
		run_end(lane);
	}
	if (lane->next < lane->last || cells_extend(queue, lane))
		lane_append(queue, lane, word);
	else if (!turn_over(queue, lane, word))
		lane_fill(queue, lane, word);
}

/* Have @word host a chunk, and so be queued itself. In a lane that has none. */
static bool open_hosted(struct deferred *queue, struct deferred_lane *lane, unsigned long word,
			size_t least, u32 credit)
{
	struct deferred_chunk *chunk;
	u32 cells;

	if (!chunk_host(queue, word, least, credit, &chunk, &cells))
		return false;
	lane_open(queue, lane, chunk, cells, 1);
	if (credit == 1) {
		lane_close(queue, lane);
		threshold_check(queue);
	}
	return true;
}

/* Put @word in a spare chunk of the lane, if one is free. In a lane that has none. */
static bool open_spare(struct deferred *queue, struct deferred_lane *lane, unsigned long word,
		       u32 credit)
{
	size_t first = (size_t)(lane - (struct deferred_lane *)queue->lanes.lane) * DEFERRED_SPARES;
	u32 free = spare_free(lane);
	struct deferred_chunk *chunk;

	if (!free)
		return false;
	atomic_fetch_or_relaxed((int)(free & -free), &lane->spares_used);
	chunk = (struct deferred_chunk *)queue->spare[first + __ffs64(free)].memory;
	chunk->host = 0;
	chunk->credit = (u16)credit_trim(queue, credit, DEFERRED_SPARE);
	lane_open(queue, lane, chunk, DEFERRED_SPARE, 0);
	lane_add(queue, lane, word);
	return true;
}

/* There is no open chunk: open one. In the lane. */
static enum deferred_result open_chunk(struct deferred *queue, struct deferred_lane *lane,
				       unsigned long word)
{
	u32 credit = credit_take(queue, queue->share);

	if (!credit) {
		raise_alarm(queue, ALARM_NOW);
		return DEFERRED_FULL;
	}
	if (open_hosted(queue, lane, word, DEFERRED_HOST_BYTES, credit) ||
	    open_spare(queue, lane, word, credit) ||
	    open_hosted(queue, lane, word, DEFERRED_HOST_LEAST, credit))
		return DEFERRED_QUEUED;
	atomic64_sub(credit, &queue->taken);
	raise_alarm(queue, ALARM_NOW);
	return DEFERRED_NO_MEMORY;
}

/* Queue a word in a lane that the caller is in. */
static enum deferred_result lane_put(struct deferred *queue, struct deferred_lane *lane,
				     unsigned long word)
{
	if (!lane->open)
		return open_chunk(queue, lane, word);
	lane_add(queue, lane, word);
	return DEFERRED_QUEUED;
}

/**
 * deferred_put() - queue a word.
 * @queue: the queue
 * @word: for which deferred_is_word()
 *
 * Context: Any. Takes no lock that is not free, allocates nothing.
 * Return: DEFERRED_QUEUED, or why the word was not taken.
 */
enum deferred_result deferred_put(struct deferred *queue, unsigned long word)
{
	enum deferred_result result = DEFERRED_CONTENDED;
	struct deferred_lane *lane = gates_enter(&queue->lanes, port_lane_claim());

	if (lane) {
		result = lane_put(queue, lane, word);
		gate_leave(&lane->gate);
	}
	port_lane_put();
	if (result != DEFERRED_QUEUED)
		atomic64_add(1, &queue->fallbacks[result]);
	return result;
}

/* Whether a lane has a chunk. Pairs with the releases in lane_open() and lane_close(). */
static bool lane_is_open(const void *lane)
{
	return smp_load_acquire(&((const struct deferred_lane *)lane)->open) != NULL;
}

static void lane_empty(void *queue, void *arg)
{
	struct deferred_lane *lane = arg;

	if (lane->open)
		lane_close(queue, lane);
}

/* Whether there is a lane that is open. */
static bool any_open(const struct deferred *queue)
{
	for (unsigned int i = 0; i < queue->lanes.count; i++)
		if (lane_is_open(gates_lane(&queue->lanes, i)))
			return true;
	return false;
}

/* Close the lane that the caller would use, waiting for nobody. The others need a drain. */
static void close_own(struct deferred *queue)
{
	struct deferred_lane *lane = gates_enter(&queue->lanes, port_lane_claim());

	if (lane) {
		lane_empty(queue, lane);
		gate_leave(&lane->gate);
	}
	port_lane_put();
}

/*
 * Collect all chunks that there are. Who may not wait leaves the lanes of others to the next drain.
 * Returns how many words that is: 0 if there is no chunk, for each has one or a host. Under the
 * drain mutex.
 */
static u64 collect(struct deferred *queue, enum deferred_manner manner)
{
	struct deferred_chunk *newest, *oldest = NULL;
	u64 words = 0;

	atomic_xchg(&queue->alarm, ALARM_NONE); /* before the lanes: see the head of this file */
	smp_mb(); /* pairs with lane_open() */
	if (manner != DRAIN_SOME) {
		gates_visit(&queue->lanes, lane_is_open, lane_empty, queue);
	} else {
		close_own(queue);
		if (any_open(queue))
			raise_alarm(queue, ALARM_SOON);
	}
	newest = xchg_acquire(&queue->full, NULL); /* pairs with chunk_push() */
	while (newest) {
		struct deferred_chunk *next = newest->next;

		words += chunk_words(newest);
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	queue->collected = oldest; /* nobody helps yet */
	return words;
}

/* The oldest of the chunks that were collected and that nobody has taken yet, or NULL. */
static struct deferred_chunk *chunk_take(struct deferred *queue)
{
	struct deferred_chunk *chunk;

	port_lock(&queue->chunks);
	chunk = queue->collected;
	if (chunk) {
		queue->collected = chunk->next;
		/* Cold by now: have the next one's first words on their way. */
		prefetchw(queue->collected);
		prefetchw((char *)queue->collected + PORT_CACHELINE);
	}
	port_unlock(&queue->chunks);
	return chunk;
}

/* Leave what is left to a drain that is to come at once, or after a pause. */
static void uncollect(struct deferred *queue, enum deferred_manner manner)
{
	struct deferred_chunk *chunk = chunk_take(queue);

	if (!chunk)
		return;
	for (; chunk; chunk = chunk_take(queue))
		chunk_push(queue, chunk);
	if (manner == DRAIN_SOME) {
		raise_alarm(queue, ALARM_NOW);
		return;
	}
	/* A producer may have raised the alarm already, for a drain that is later than this. */
	atomic_cmpxchg(&queue->alarm, ALARM_NONE, ALARM_SOON);
	queue->ops->wake(queue->owner,
			 queue->delay_ms < POLITE_PAUSE_MS ? queue->delay_ms : POLITE_PAUSE_MS);
}

/* A chunk's words are free: free what it lived in. */
static void chunk_done(struct deferred *queue, struct deferred_chunk *chunk)
{
	struct deferred_lane *lane;
	size_t number;

	if (chunk->host) {
		queue->ops->unhost(queue->owner, chunk->host, chunk->token);
		return;
	}
	number = (size_t)((struct deferred_spare *)chunk - queue->spare);
	lane = gates_lane(&queue->lanes, number / DEFERRED_SPARES);
	/* Pairs with open_spare(). */
	atomic_fetch_andnot_release(1 << number % DEFERRED_SPARES, &lane->spares_used);
}

/* Free what has been gathered, count it and return its credit, then let others run. */
static void batch_free(struct deferred_drainer *drainer, enum deferred_manner manner)
{
	struct deferred *queue = drainer->queue;
	u32 words = drainer->batched + drainer->hosts;

	if (drainer->batched)
		queue->ops->free(queue->owner, drainer->work, drainer->batch, drainer->batched);
	atomic64_fetch_add_release(words, &queue->drained); /* pairs with deferred_pending() */
	atomic64_sub(words, &queue->taken);
	drainer->batched = 0;
	drainer->hosts = 0;
	if (manner != DRAIN_SOME)
		cond_resched();
}

/* Whether a drain leaves it at what it has done. */
static bool drain_stops(struct deferred_drainer *drainer, enum deferred_manner manner)
{
	const struct deferred *queue = drainer->queue;

	if (manner == DRAIN_SOME)
		return drainer->words >= DEFERRED_ATOMIC;
	if (manner == DRAIN_ALL || drainer->words < drainer->looks)
		return false;
	drainer->looks = drainer->words + DEFERRED_BATCH;
	return port_crowded() && (u64)atomic64_read(&queue->taken) < threshold(queue);
}

/* What is left to gather of a chunk. */
struct gathering {
	struct deferred_chunk *chunk;
	u32 cell; /* the next one */
	u64 run; /* the words of a run that come before it; it has the two cells before that */
};

/* Gather words of cells until there is no more room, or a run begins. */
static void gather_cells(struct deferred_drainer *drainer, struct gathering *from)
{
	unsigned long *batch = drainer->batch + drainer->batched;
	struct deferred_chunk *chunk = from->chunk;
	u64 common = drainer->queue->common;
	u32 most = chunk->used - from->cell;
	u32 words;

	if (most > DEFERRED_BATCH - drainer->batched)
		most = DEFERRED_BATCH - drainer->batched;
	for (words = 0; words < most; words++) {
		u64 cell = chunk_cell(chunk, from->cell + words);

		if (!cell)
			break;
		batch[words] = common | cell;
	}
	drainer->batched += words;
	from->cell += words;
	if (words == most)
		return;
	from->run = chunk_cell(chunk, from->cell + 1);
	from->cell += 2;
}

/* Gather words of a run until there is no more room. The word that they follow may be the last of a batch. */
static void gather_run(struct deferred_drainer *drainer, struct gathering *from)
{
	unsigned long word = drainer->batch[(drainer->batched ?: DEFERRED_BATCH) - 1];
	unsigned long *batch = drainer->batch + drainer->batched;
	u32 words = DEFERRED_BATCH - drainer->batched;

	if (words > from->run)
		words = (u32)from->run;
	for (u32 i = 0; i < words; i++)
		batch[i] = word + 1 + i;
	drainer->batched += words;
	from->run -= words;
}

/* Gather words of a chunk, as far as there is room. False if there are no more. */
static bool gather(struct deferred_drainer *drainer, struct gathering *from)
{
	u32 had = drainer->batched;

	if (from->run)
		gather_run(drainer, from);
	else if (from->cell < from->chunk->used)
		gather_cells(drainer, from);
	else
		return false;
	drainer->words += drainer->batched - had;
	from->chunk->count = (u16)(from->chunk->count - (drainer->batched - had));
	return true;
}

/*
 * A drain leaves what it has not gathered of a chunk, after it has freed a batch. The word from which a run goes on
 * is free by then: the next one takes its place.
 */
static void chunk_leave(struct deferred_drainer *drainer, struct gathering *from)
{
	struct deferred *queue = drainer->queue;
	struct deferred_chunk *chunk = from->chunk;

	if (!from->run && from->cell < chunk->used && !chunk_cell(chunk, from->cell)) {
		from->run = chunk_cell(chunk, from->cell + 1);
		from->cell += 2;
	}
	if (from->run) {
		chunk_replace(chunk, from->cell - 1, from->run - 1);
		from->cell -= 3;
		chunk_replace(chunk, from->cell, drainer->batch[DEFERRED_BATCH - 1] + 1);
	}
	chunk->done = (u16)from->cell;
	port_lock(&queue->chunks);
	chunk->next = queue->collected;
	queue->collected = chunk;
	port_unlock(&queue->chunks);
}

/* Gather the words of a chunk, so that batches are as large as can be. False if the drain stops before the end. */
static bool chunk_drain(struct deferred_drainer *drainer, struct deferred_chunk *chunk,
			enum deferred_manner manner)
{
	struct gathering from = { .chunk = chunk, .cell = chunk->done };
	struct deferred *queue = drainer->queue;

	while (gather(drainer, &from)) {
		if (drainer->batched < DEFERRED_BATCH)
			continue;
		batch_free(drainer, manner);
		if (chunk->count && drain_stops(drainer, manner)) {
			chunk_leave(drainer, &from);
			return false;
		}
	}
	/* Its host is what it still stands for. */
	drainer->hosts += chunk_words(chunk);
	drainer->words += chunk_words(chunk);
	chunk_done(queue, chunk);
	return true;
}

/* Free the words of collected chunks, as long as there are any and the manner asks for it. */
static void chunks_drain(struct deferred_drainer *drainer, enum deferred_manner manner)
{
	drainer->words = 0;
	drainer->looks = DEFERRED_BATCH;
	if (manner == DRAIN_POLITELY)
		port_crowded(); /* what was before does not count */
	while (!drain_stops(drainer, manner)) {
		struct deferred_chunk *chunk = chunk_take(drainer->queue);

		if (!chunk || !chunk_drain(drainer, chunk, manner))
			break;
	}
	batch_free(drainer, manner);
}

static void help(void *arg)
{
	struct deferred_drainer *drainer = arg;

	atomic64_add(1, &drainer->queue->helpers);
	chunks_drain(drainer, drainer->manner);
}

/*
 * Have helpers begin: one for each amount of words that is worth one, as far as the host has them.
 * Under the drain mutex.
 */
static struct deferred_drainer *helpers_start(struct deferred *queue, u64 words,
					      enum deferred_manner manner)
{
	struct deferred_drainer *helpers = NULL;

	for (u64 i = 1; i < queue->workers && i * DEFERRED_HELP <= words; i++) {
		struct deferred_drainer *drainer = port_alloc_extra(drainer_bytes(queue));

		if (!drainer)
			break;
		drainer->queue = queue;
		drainer->manner = manner;
		if (port_helper_start(&drainer->helper, help, drainer)) {
			port_free(drainer, drainer_bytes(queue));
			break;
		}
		drainer->next = helpers;
		helpers = drainer;
	}
	return helpers;
}

/* Wait for helpers. Returns how many words they have freed. */
static u64 helpers_end(struct deferred *queue, struct deferred_drainer *helpers)
{
	u64 words = 0;

	while (helpers) {
		struct deferred_drainer *drainer = helpers;

		helpers = drainer->next;
		port_helper_end(&drainer->helper);
		words += drainer->words;
		port_free(drainer, drainer_bytes(queue));
	}
	return words;
}

/* Free the words that are queued now, in a manner. Under the drain mutex. */
static u64 drain(struct deferred *queue, enum deferred_manner manner)
{
	u64 words = collect(queue, manner);
	struct deferred_drainer *helpers;
	u64 start, took;

	if (!words)
		return 0;
	start = port_now();
	helpers = manner == DRAIN_SOME ? NULL : helpers_start(queue, words, manner);
	chunks_drain(queue->drainer, manner);
	words = queue->drainer->words + helpers_end(queue, helpers);
	uncollect(queue, manner);
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
	drain(queue, DRAIN_ALL);
	port_mutex_unlock(&queue->drain);
}

/**
 * deferred_try_drain() - free what is queued, unless somebody is just doing that.
 * @queue: the queue
 * @manner: how much of it
 * @drained: set to the number of words freed
 *
 * The owner is woken for what is left.
 *
 * Context: Sleeps, unless @manner is DRAIN_SOME.
 * Return: false if another drain runs or is waited for: nothing was done.
 */
bool deferred_try_drain(struct deferred *queue, enum deferred_manner manner, u64 *drained)
{
	*drained = 0;
	if (atomic_read(&queue->flushers) || !port_mutex_trylock(&queue->drain))
		return false;
	*drained = drain(queue, manner);
	port_mutex_unlock(&queue->drain);
	return true;
}

/* The words ever queued, by all lanes. */
static u64 queued(const struct deferred *queue)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < queue->lanes.count; i++)
		sum += lane_total(gates_lane(&queue->lanes, i));
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
	stats->helpers = (u64)atomic64_read(&queue->helpers);
	stats->longest_ns = (u64)atomic64_read(&queue->longest_ns);
	for (unsigned int i = 0; i < DEFERRED_RESULTS; i++)
		stats->fallbacks[i] = (u64)atomic64_read(&queue->fallbacks[i]);
}
