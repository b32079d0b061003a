/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Compaction: moving objects together, giving pages back.
 *
 * Class by class, the objects of the sparsest zspage move into the densest ones that have room. It
 * ends when the class has fewer free slots than a zspage. Then the room that is left moves to the
 * end of one zspage, whose last pages a host may give back. One zspage is emptied under one hold of
 * the class lock, frozen: readers that come meanwhile wait for that lock once. An object that has a
 * reader stays; compaction waits for nothing.
 *
 * The worker compacts a pool that becomes sparse, for a moment at a time. It pauses in between, to
 * take no more than the pool's share of a CPU. It waits until the pool no longer shrinks: in an
 * exit it would move objects that are about to be freed.
 */
#include "read.h"

#define COMPACT_SPARSE 64 /* a pool is sparse when compaction would free one page of this number, */
#define COMPACT_LEAST (4UL << 20) /* and this number of bytes; */
#define COMPACT_FEW (1UL << 20) /* or this number of bytes, if they are half of the pool's */
#define COMPACT_MOMENT_NS 2000000 /* the worker compacts a pool so long before it pauses */
#define COMPACT_TRIES 64 /* zspages that could not be emptied before a class is left alone */
/* A pool shrinks when one object of this number went since the last look. */
#define COMPACT_SHRINKS 64

/*
 * Returns the sparsest zspage, passing over as many as were tried before; NULL if there is none.
 * Full ones have nothing to gain.
 */
static struct zspage *source_find(const struct size_class *class, u32 passed)
{
	port_assert_held(class->lock);
	for (u32 group = 0; group < ZS_GROUPS; group++)
		for (struct zspage *zspage = class->group[group]; zspage; zspage = zspage->next)
			if (!passed--)
				return zspage;
	return NULL;
}

/* Returns the densest zspage with room that is not the source; NULL if there is none. */
static struct zspage *target_find(const struct size_class *class, const struct zspage *source)
{
	port_assert_held(class->lock);
	for (u32 group = ZS_GROUPS; group-- > 0;)
		for (struct zspage *zspage = class->group[group]; zspage; zspage = zspage->next)
			if (zspage != source && zspage->inuse)
				return zspage;
	return NULL;
}

/*
 * Moves the object in a slot of a frozen zspage. Returns false if it has a reader. The last object
 * of the source leaves the zspage dead.
 */
static bool object_move(struct zspage *source, u8 slot, struct zspage *target)
{
	struct size_class *class = source->class;
	u32 index = zspage_handles(source)[slot], size = class->geometry.size;
	atomic64_t *entry = handle_entry_at(&runtime.handles, index);
	u8 to;

	if (object_is_read(index))
		return false;
	to = zspage_take(target, index);
	port_chain_copy(&target->chain, (size_t)to * size, &source->chain, (size_t)slot * size,
			size);
	/* Pairs with the acquire in read_begin(): a reader sees the copy. */
	atomic64_set_release(entry, entry_make(entry_gen((u64)atomic64_read(entry)), target->number,
					       class->lock_number, to));
	zspage_put(&runtime.zspages, source, slot);
	return true;
}

/* Empties a frozen zspage as far as there is room. Returns true if it is empty now, and dead. */
static bool source_empty(struct zspage *source)
{
	struct size_class *class = source->class;
	u32 left = source->inuse;

	if (!left) { /* new, and never used */
		zspage_die(&runtime.zspages, source);
		return true;
	}
	for (u32 slot = 0; slot < class->geometry.slots; slot++) {
		struct zspage *target;

		if (!zspage_slot_used(source, slot))
			continue;
		target = target_find(class, source);
		if (!target)
			break;
		if (object_move(source, (u8)slot, target) && !--left)
			return true;
	}
	return false;
}

/* Returns whether the objects of a class would fit into fewer zspages. */
static bool class_is_sparse(const struct size_class *class)
{
	port_assert_held(class->lock);
	return class->zspages * class->geometry.slots - class->objects >= class->geometry.slots;
}

enum compacted {
	COMPACTED_NONE, /* there was nothing to gain */
	COMPACTED_PART, /* of a zspage */
	COMPACTED_ONE,
};

/* Empties one zspage of a class, passing over some. Counts the pages in *@freed. */
static enum compacted class_compact_one(struct size_class *class, u32 passed, u64 *freed)
{
	struct zspage *source = NULL;
	bool empty = false;

	port_lock(class->lock);
	*freed += class->held;
	if (class_is_sparse(class))
		source = source_find(class, passed);
	if (source) {
		zspage_freeze(source);
		empty = source_empty(source);
		if (!empty)
			zspage_thaw(source);
	}
	*freed -= class->held;
	port_unlock(class->lock);
	if (!empty)
		return source ? COMPACTED_PART : COMPACTED_NONE;
	*freed += class_held(class, 0);
	zspage_give_back(source);
	return COMPACTED_ONE;
}

/*
 * Moves the objects of a frozen zspage to where others have room, and else to its own front.
 * Returns the slot behind the last in use.
 */
static u32 source_settle(struct zspage *source)
{
	struct size_class *class = source->class;

	/* The others have less room than it has objects, as the class is not sparse. */
	for (u32 slot = class->geometry.slots; slot-- > 0;) {
		struct zspage *target;

		if (!zspage_slot_used(source, slot))
			continue;
		target = target_find(class, source);
		if (target || slot >= source->inuse) /* a slot before it is free */
			object_move(source, (u8)slot, target ? target : source);
	}
	return zspage_end(source);
}

/*
 * Gives back the pages at the end of the one zspage that compaction leaves in use in part. Counts
 * them in *@freed.
 */
static void class_settle(struct size_class *class, u64 *freed)
{
	struct zspage *source;

	if (class_held(class, 0)) /* an empty zspage has its pages: there is nothing to gain */
		return;
	port_lock(class->lock);
	*freed += class->held;
	source = class_is_sparse(class) ? NULL : source_find(class, 0);
	if (source && source->inuse) {
		u32 end;

		zspage_freeze(source);
		end = source_settle(source);
		port_chain_discard(&source->chain, (size_t)end * class->geometry.size,
				   class->geometry.pages);
		zspage_thaw(source);
	}
	*freed -= class->held;
	port_unlock(class->lock);
}

static void class_compact(struct size_class *class, u64 most, u64 *freed)
{
	u64 before = *freed;
	u32 failed = 0;

	/* A process that yields on a busy machine gets the CPU back after milliseconds. */
	for (u32 done = 1; failed < COMPACT_TRIES && (s64)*freed < (s64)most; done++) {
		enum compacted compacted = class_compact_one(class, failed, freed);

		if (compacted == COMPACTED_NONE)
			break;
		failed += compacted == COMPACTED_PART;
		if (done % POOL_RUN == 0)
			cond_resched();
	}
	class_settle(class, freed);
	if (*freed != before)
		cond_resched();
}

/* Counts the pages that compaction freed: what it moved may have taken more than it gave. */
static u64 count_freed(struct zs_pool *pool, u64 freed)
{
	freed = (s64)freed > 0 ? freed : 0;
	atomic64_add(freed, &pool->pages_compacted);
	return freed;
}

/* Returns about how many pages compaction would free; looks at the counts without their locks. */
u64 pool_reclaimable(const struct zs_pool *pool)
{
	u64 pages = 0;

	for (u32 i = 0; i < pool->table->count; i++) {
		struct geometry geometry = pool->table->geometry[i];
		u64 slots = READ_ONCE(pool->class[i].zspages) * geometry.slots;
		u64 objects = READ_ONCE(pool->class[i].objects);

		if (slots > objects)
			pages += (slots - objects) / geometry.slots * geometry.pages;
	}
	return pages;
}

/* Moves objects together till that has freed @most pages, if it can. Returns how many it did. */
u64 pool_compact_pages(struct zs_pool *pool, u64 most)
{
	u64 freed = 0;

	for (u32 i = 0; i < pool->table->count && (s64)freed < (s64)most; i++)
		if (pool_class(pool, i))
			class_compact(&pool->class[i], most, &freed);
	return count_freed(pool, freed);
}

/**
 * pool_compact() - move objects together and give back the pages that this frees.
 * @pool: the pool
 *
 * Drains the deferred queue first. Objects stay readable, writable and freeable throughout.
 *
 * Context: May sleep; takes one class lock at a time.
 * Return: the number of pages that moving objects freed.
 */
unsigned long pool_compact(struct zs_pool *pool)
{
	u64 freed;

	if (!pool_given(pool, "zs_compact"))
		return 0;
	drain_flush();
	freed = pool_compact_pages(pool, 1ULL << 62 /* all */);
	port_assert(!pool_fault(pool));
	runtime_work_in(port_store_trim(&runtime.zspages.store, true));
	return (unsigned long)freed;
}

/* Returns whether a pool has lost many of its objects since the last look. */
static bool pool_shrinks(struct zs_pool *pool)
{
	u64 seen = pool->compact_seen, objects = pool_objects(pool);

	pool->compact_seen = objects;
	return objects && (!seen || objects + seen / COMPACT_SHRINKS < seen);
}

static bool pool_is_sparse(const struct zs_pool *pool)
{
	u64 pages = pool_reclaimable(pool), held = (u64)atomic64_read(&pool->pages), needed = 0;

	for (u32 i = 0; i < pool->table->count; i++)
		needed += geometry_needed(pool->table->geometry[i],
					  READ_ONCE(pool->class[i].objects));
	return (pages >= COMPACT_LEAST / PORT_PAGE_SIZE && pages >= held / COMPACT_SPARSE) ||
	       (held >= needed + COMPACT_FEW / PORT_PAGE_SIZE && held >= 2 * needed);
}

/*
 * Compacts a pool for a moment, going on where the last call stopped. Returns the milliseconds
 * after which to go on, or -1 if there is nothing more to do.
 */
static int pool_compact_some(struct zs_pool *pool)
{
	u64 start = port_now(), took = 0, freed = 0;
	u32 classes = 0;

	if (!pool_is_sparse(pool))
		return -1;
	while (classes < pool->table->count && took < COMPACT_MOMENT_NS) {
		struct size_class *class = pool_class(pool, pool->compact_next);

		if (!class || class_compact_one(class, 0, &freed) != COMPACTED_ONE) {
			if (class)
				class_settle(class, &freed);
			pool->compact_next = (pool->compact_next + 1) % pool->table->count;
			classes++;
		}
		took = port_now() - start;
	}
	count_freed(pool, freed);
	if (classes == pool->table->count)
		return -1;
	return (int)(took * (100 - pool->compact_share) / pool->compact_share / 1000000) + 1;
}

/*
 * Compacts the pools that have become sparse, for a moment each; the worker's. Returns the
 * milliseconds after which to call again, or -1 if no pool needs it. May sleep; no lock is held.
 */
int compact_work(void)
{
	int soonest = -1;

	for (u32 tag = 0; tag < HANDLE_TAGS; tag++) {
		atomic64_t *word = &runtime.sparse[tag / 64];
		u64 bit = 1ULL << tag % 64;
		struct zs_pool *pool;
		int again = -1;

		if (!atomic64_read(word)) {
			tag |= 63;
			continue;
		}
		if (!((u64)atomic64_read(word) & bit))
			continue;
		/* A zspage that becomes half empty from now on asks anew. */
		atomic64_fetch_andnot(bit, word);
		port_mutex_lock(&runtime.registry);
		pool = pool_at(tag);
		if (pool)
			again = pool_shrinks(pool) ? POOL_LOOK_MS : pool_compact_some(pool);
		if (again >= 0)
			atomic64_fetch_or(bit, word);
		else if (pool)
			pool->compact_seen = 0;
		port_mutex_unlock(&runtime.registry);
		if (again >= 0 && (soonest < 0 || again < soonest))
			soonest = again;
	}
	return soonest;
}
