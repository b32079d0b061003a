/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Compaction: moving objects together, giving pages back.
 *
 * Class by class, the objects of the sparsest zspage move into the densest ones that have room, as
 * long as the class has more free slots than a zspage holds, until nothing can be gained. What room is
 * left then is moved to the end of one zspage, whose last pages a host may give back. One zspage
 * is emptied under one hold of the class lock, frozen: readers that come meanwhile wait for that
 * lock once. A zspage that somebody has pinned is passed over; nothing waits for a reader, and in what
 * is frozen each slot that is used has a live object.
 *
 * A pool whose worker finds that it has become sparse compacts by itself, for a moment at a time and
 * with pauses in between, so that it takes no more than its share of a CPU.
 */
#include "pool.h"

#define COMPACT_SPARSE 64 /* a pool is sparse when compaction would free a page in so many, */
#define COMPACT_LEAST (4UL << 20) /* and so many bytes */
#define COMPACT_MOMENT_NS 2000000 /* how long a pool compacts by itself before it pauses */
#define COMPACT_RUN 64 /* zspages that zs_compact() empties before it lets others run */
#define COMPACT_TRIES 8 /* zspages that could not be emptied before a class is left alone */

/*
 * Under the class lock: the sparsest zspage that nobody has pinned, frozen, after passing over as many
 * as could not be emptied before; 0 if there is none.
 */
static u32 source_freeze(const struct zspages *zspages, const struct size_class *class, u32 passed)
{
	for (u32 group = 0; group < ZS_GROUPS; group++) {
		u32 number = class->partial[group];

		for (; number; number = zspage_at(zspages, number)->next) {
			if (!zspage_freeze(zspage_at(zspages, number)))
				continue;
			if (!passed--)
				return number;
			zspage_thaw(zspage_at(zspages, number));
		}
	}
	return 0;
}

/* Under the class lock: the densest zspage with room that is not the source; 0 if there is none. */
static u32 target_find(const struct zspages *zspages, const struct size_class *class, u32 source)
{
	for (u32 group = ZS_GROUPS; group-- > 0;) {
		u32 number = class->partial[group];

		for (; number; number = zspage_at(zspages, number)->next)
			if (number != source && zspage_at(zspages, number)->inuse)
				return number;
	}
	return 0;
}

/*
 * Move the object in a slot. The last object of the source leaves it in no list. Under the class lock, the source
 * frozen.
 */
static void object_move(struct zs_pool *pool, struct size_class *class, u32 source, u8 slot,
			u32 target)
{
	struct zspages *zspages = &pool->zspages;
	u32 index = zspage_handles(zspage_at(zspages, source), class)[slot];
	u64 word = handle_word(&pool->handles, index);
	u8 to = zspage_take(zspages, class, target, index);

	port_chain_copy(&zspage_at(zspages, target)->chain, (size_t)to * class->size,
			&zspage_at(zspages, source)->chain, (size_t)slot * class->size,
			class->size);
	handle_move(&pool->handles, index, word,
		    entry_make(entry_gen(word), class->index, target, to));
	zspage_put(zspages, class, zspage_at(zspages, source), source, slot);
}

/* Under the class lock. */
static bool slot_is_used(const struct zspage *zspage, u32 slot)
{
	return zspage->used[slot / 64] >> slot % 64 & 1;
}

/* Under the class lock, the source frozen: true if it is empty now, and dead. */
static bool source_empty(struct zs_pool *pool, struct size_class *class, u32 number)
{
	struct zspage *source = zspage_at(&pool->zspages, number);

	if (!source->inuse) { /* new, and never used */
		zspage_drop(&pool->zspages, class, number);
		return true;
	}
	for (u32 slot = 0; slot < class->geometry.slots; slot++) {
		u32 target;

		if (!slot_is_used(source, slot))
			continue;
		target = target_find(&pool->zspages, class, number);
		if (!target)
			break;
		object_move(pool, class, number, (u8)slot, target);
	}
	return !source->inuse;
}

/* Whether the objects of a class would fit into fewer zspages. Under the class lock. */
static bool class_is_sparse(const struct size_class *class)
{
	return class->zspages * class->geometry.slots - class->objects >= class->geometry.slots;
}

/**
 * pool_reclaimable() - how many pages compaction would free.
 * @pool: the pool
 *
 * Looks at the counts without their locks.
 *
 * Context: Any.
 * Return: the number, or about that many.
 */
u64 pool_reclaimable(const struct zs_pool *pool)
{
	u64 pages = 0;

	for (u32 i = 0; i < pool->classes.count; i++) {
		const struct size_class *class = &pool->classes.class[i];
		u64 slots = (u64)READ_ONCE(class->zspages) * class->geometry.slots;
		u64 objects = READ_ONCE(class->objects);

		if (slots > objects)
			pages += (slots - objects) / class->geometry.slots * class->geometry.pages;
	}
	return pages;
}

enum compacted {
	COMPACTED_NONE, /* there was nothing to gain */
	COMPACTED_PART, /* of a zspage */
	COMPACTED_ONE,
};

/* Empty one zspage of a class, passing over some. Counts the pages in *@freed. */
static enum compacted class_compact_one(struct zs_pool *pool, struct size_class *class, u32 passed,
					u64 *freed)
{
	u32 source = 0;
	bool empty = false;

	port_lock(&class->lock);
	*freed += class->held;
	if (class_is_sparse(class))
		source = source_freeze(&pool->zspages, class, passed);
	if (source) {
		empty = source_empty(pool, class, source);
		zspage_thaw(zspage_at(&pool->zspages, source));
	}
	*freed -= class->held;
	port_unlock(&class->lock);
	if (!empty)
		return source ? COMPACTED_PART : COMPACTED_NONE;
	*freed += class_held(class, 0);
	pool_release(pool, class, source);
	return COMPACTED_ONE;
}

/*
 * Move the objects of a zspage to where others have room, and else to its own front. Under the class
 * lock, the zspage frozen. Returns how many of its slots are in use, or lie before one that is.
 */
static u32 source_settle(struct zs_pool *pool, struct size_class *class, u32 number)
{
	const struct zspage *source = zspage_at(&pool->zspages, number);
	u32 end = 0;

	for (u32 slot = class->geometry.slots; slot-- > 0;) {
		u32 target;

		if (!slot_is_used(source, slot))
			continue;
		target = target_find(&pool->zspages, class, number);
		if (target)
			object_move(pool, class, number, (u8)slot, target);
		else if (slot >= source->inuse) /* one of so many before it is free */
			object_move(pool, class, number, (u8)slot, number);
		else if (end <= slot)
			end = slot + 1;
	}
	return end;
}

/*
 * Of what compaction leaves in use in part, in all less than a zspage is empty: let that be at the end
 * of one, whose last pages the host may give back. Counts them in *@freed.
 */
static void class_settle(struct zs_pool *pool, struct size_class *class, u64 *freed)
{
	u32 number;

	if (class_held(class, 0)) /* an empty zspage has its pages: there is nothing to gain */
		return;
	port_lock(&class->lock);
	*freed += class->held;
	number = class_is_sparse(class) ? 0 : source_freeze(&pool->zspages, class, 0);
	if (number) {
		u32 end = source_settle(pool, class, number);

		port_chain_discard(&zspage_at(&pool->zspages, number)->chain,
				   (size_t)end * class->size, class->geometry.pages);
		zspage_thaw(zspage_at(&pool->zspages, number));
	}
	*freed -= class->held;
	port_unlock(&class->lock);
}

static void class_compact(struct zs_pool *pool, struct size_class *class, u64 *freed)
{
	u64 before = *freed;
	u32 failed = 0;

	/* A process that yields on a busy machine gets the CPU back after milliseconds. */
	for (u32 done = 1; failed < COMPACT_TRIES; done++) {
		enum compacted compacted = class_compact_one(pool, class, failed, freed);

		if (compacted == COMPACTED_NONE)
			break;
		if (compacted == COMPACTED_PART)
			failed++;
		if (done % COMPACT_RUN == 0)
			cond_resched();
	}
	class_settle(pool, class, freed);
	if (*freed != before)
		cond_resched();
}

/* Have the entries of the objects in a zspage say that they are there. Under the class lock. */
static void zspage_point(struct zs_pool *pool, const struct size_class *class, u32 number)
{
	struct zspage *zspage = zspage_at(&pool->zspages, number);
	const u32 *handles = zspage_handles(zspage, class);

	for (u32 slot = 0; slot < class->geometry.slots; slot++) {
		u64 word;

		if (!slot_is_used(zspage, slot))
			continue;
		word = handle_word(&pool->handles, handles[slot]);
		handle_move(&pool->handles, handles[slot], word,
			    entry_make(entry_gen(word), class->index, number, (u8)slot));
	}
}

/* Have a zspage live on in another descriptor. False if it is pinned, or none any more. */
static bool zspage_renumber(struct zs_pool *pool, u32 number, u32 to)
{
	struct zspages *zspages = &pool->zspages;
	struct zspage *zspage = zspage_at(zspages, number);
	struct size_class *class = zspage_class_lock(zspage, &pool->classes);
	bool moves;

	if (!class)
		return false;
	moves = zspage_freeze(zspage);
	if (moves) {
		zspage_replace(zspages, class, number, to);
		zspage_point(pool, class, to);
		zspage_replaced(zspages, number);
	}
	port_unlock(&class->lock);
	return moves;
}

/* Have the zspages with the highest numbers take the lowest, until there are none between. */
static void length_renumber(struct zs_pool *pool, u32 lines)
{
	struct zspages *zspages = &pool->zspages;
	u32 number = ~0U, to = 0;

	for (u32 done = 1; (number = zspage_below(zspages, lines, number)) > to; done++) {
		u32 dies = number;

		to = descriptor_reserve(zspages, lines, to, number);
		if (!to)
			break;
		if (!zspage_renumber(pool, number, to))
			dies = to;
		descriptor_free(zspages, lines, dies);
		if (done % COMPACT_RUN == 0)
			cond_resched();
	}
}

static void pool_renumber(struct zs_pool *pool)
{
	for (u32 lines = 1; lines <= ZSPAGE_MAX_LINES; lines++)
		if (descriptors_scattered(&pool->zspages, lines))
			length_renumber(pool, lines);
}

/* Wait until whoever has the lock of a class has released it. */
static void pool_pass_locks(void *arg)
{
	struct zs_pool *pool = arg;

	for (u32 i = 0; i < pool->classes.count; i++)
		class_await(&pool->classes.class[i]);
}

/* Give back the memory in which the pool keeps what it knows of objects that are gone. */
static void pool_shrink(struct zs_pool *pool)
{
	pool_renumber(pool);
	handles_destock(&pool->handles);
	handles_fold(&pool->handles, pool_pass_locks, pool);
}

/* Count pages that compaction freed. What it moved may have taken more than it gave. */
static u64 count_freed(struct zs_pool *pool, u64 freed)
{
	if ((s64)freed <= 0)
		return 0;
	atomic64_add(freed, &pool->pages_compacted);
	return freed;
}

static bool pool_is_sparse(const struct zs_pool *pool)
{
	u64 pages = pool_reclaimable(pool);

	return pages >= COMPACT_LEAST / PORT_PAGE_SIZE &&
	       pages >= (u64)atomic64_read(&pool->zspages.pages) / COMPACT_SPARSE;
}

/**
 * pool_compact_some() - compact for a moment, if the pool is sparse and is to do that by itself.
 * @pool: the pool
 *
 * Goes on where the last call stopped. Called by the pool's worker alone.
 *
 * Context: May sleep; takes one class lock at a time.
 * Return: the milliseconds after which to go on, or -1 if there is nothing more to do.
 */
int pool_compact_some(struct zs_pool *pool)
{
	u64 start = port_now(), took = 0, freed = 0;
	u32 classes = 0;

	if (!pool->compact_share || !pool_is_sparse(pool))
		return -1;
	while (classes < pool->classes.count && took < COMPACT_MOMENT_NS) {
		struct size_class *class = &pool->classes.class[pool->compact_next];

		if (class_compact_one(pool, class, 0, &freed) != COMPACTED_ONE) {
			class_settle(pool, class, &freed);
			pool->compact_next = (pool->compact_next + 1) % pool->classes.count;
			classes++;
		}
		took = port_now() - start;
	}
	count_freed(pool, freed);
	if (classes == pool->classes.count)
		return -1;
	return (int)(took * (100 - pool->compact_share) / pool->compact_share / 1000000) + 1;
}

/**
 * zs_compact() - move objects together and give back the pages that this frees.
 * @pool: the pool
 *
 * Drains the deferred queue first. Objects stay readable, writable and freeable throughout. In a process
 * the memory of dead descriptors is given back, too, and that of entries of which few are live; neither is
 * counted.
 *
 * Context: May sleep; takes one class lock at a time.
 * Return: the number of pages that moving objects freed.
 */
unsigned long zs_compact(struct zs_pool *pool)
{
	u64 freed = 0;

	if (!pool_check(pool, "zs_compact() of no pool"))
		return 0;
	deferred_flush(&pool->deferred);
	for (u32 i = 0; i < pool->classes.count; i++)
		class_compact(pool, &pool->classes.class[i], &freed);
	freed = count_freed(pool, freed);
	if (port_can_discard())
		pool_shrink(pool);
	pool_trim(pool, true);
	return (unsigned long)freed;
}
