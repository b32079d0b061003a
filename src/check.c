/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The checker: all invariants of a pool. Debug builds ask after each batch, compaction and at the
 * pool's end; it is built nowhere else.
 */
#include "pool.h"

#ifdef ZS_DEBUG

/* Returns what is wrong with an object, or NULL. */
static const char *object_fault(struct zspage *zspage, u32 slot)
{
	u32 index = zspage_handles(zspage)[slot];
	u64 name = index, word;

	if (!handle_entry(&runtime.handles, name))
		return "reverse map: an index that no entry has";
	word = (u64)atomic64_read(handle_entry_at(&runtime.handles, index));
	if (!(word & ENTRY_LIVE))
		return "entry: dead, and its slot is in use";
	if (entry_zspage(word) != zspage->number || entry_slot(word) != slot)
		return "entry: points elsewhere";
	if (entry_lock(word) != zspage->class->lock_number)
		return "entry: not the lock of its class";
	return NULL;
}

/* Returns what is wrong with a zspage in the list of a group, or NULL. */
static const char *zspage_fault(struct zspage *zspage, const struct size_class *class, u32 group)
{
	const struct zspage_ref *ref = zspage_ref(&runtime.zspages, zspage->number);
	const char *fault = NULL;
	u32 used = 0;

	if (zspage->class != class)
		return "zspage: of another class";
	if (class_group(class, zspage->inuse) != group)
		return "zspage: in the list of another group";
	if (zspage->next && zspage->next->prev != zspage)
		return "zspage: its list does not lead back";
	if (ref->zspage != zspage)
		return "ref: of another zspage";
	if (!(ref->where & WHERE_LIVE) || where_class(ref->where) != class->index ||
	    where_lock(ref->where) != class->lock_number)
		return "where: not what the zspage is";
	if (ref->where & WHERE_FROZEN)
		return "where: frozen, and no mover is at work";
	if ((ref->where & WHERE_BASE) != port_chain_base(&zspage->chain))
		return "where: not the chain's base";
	if (zspage_end(zspage) > class->geometry.slots)
		return "bitmap: a slot behind the last";
	for (u32 word = 0; word < ZS_MAX_SLOTS / 64; word++)
		used += hweight64(zspage->used[word]);
	if (used != zspage->inuse)
		return "bitmap: not as many slots as are in use";
	for (u32 slot = 0; slot < class->geometry.slots && !fault; slot++)
		if (zspage_slot_used(zspage, slot))
			fault = object_fault(zspage, slot);
	return fault;
}

static const char *class_fault(const struct size_class *class)
{
	u64 zspages = 0, objects = 0, held = 0;
	const char *fault = NULL;

	port_lock(class->lock);
	for (u32 group = 0; group <= ZS_FULL && !fault; group++) {
		for (struct zspage *zspage = class->group[group]; zspage; zspage = zspage->next) {
			fault = zspage_fault(zspage, class, group);
			if (fault)
				break;
			zspages++;
			objects += zspage->inuse;
			held += class_held(class, zspage_end(zspage)) - class_held(class, 0);
		}
	}
	if (!fault && zspages != class->zspages)
		fault = "class: not as many zspages as it counts";
	if (!fault && objects != class->objects)
		fault = "class: not as many objects as it counts";
	if (!fault && held != class->held)
		fault = "class: not the pages held that it counts";
	port_unlock(class->lock);
	return fault;
}

/* Returns what is wrong with a pool, or NULL. No lock of PORT_RANK_CLASS or behind is held. */
const char *pool_fault(const struct zs_pool *pool)
{
	const char *fault = NULL;

	for (u32 i = 0; i < pool->table->count && !fault; i++)
		if (pool_class(pool, i))
			fault = class_fault(&pool->class[i]);
	return fault;
}

#define SMALL_OBJECTS 2000 /* a larger pool takes too long to be checked after each batch */
#define SMALL_TAGS 8

static const char *small_pool_fault(const struct zs_pool *pool)
{
	return pool && pool_objects(pool) <= SMALL_OBJECTS ? pool_fault(pool) : NULL;
}

/*
 * Returns what is wrong with the pool of a batch, or without one, with one of the first pools; NULL
 * for nothing. Only small ones are looked at.
 * - No class lock is held. Without a pool, under the drain mutex.
 */
const char *batch_fault(const struct zs_pool *pool)
{
	const char *fault = NULL;

	if (pool)
		return small_pool_fault(pool);
	for (u32 tag = 1; tag < SMALL_TAGS && !fault; tag++)
		fault = small_pool_fault(pool_at(tag));
	return fault;
}

#endif /* ZS_DEBUG */
