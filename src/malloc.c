/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Storing: pool_malloc(), and what it does when there is no room.
 *
 * A pool does not grow while frees wait. Before a class takes a new zspage, the call frees some of
 * what is pending, and the worker makes way for it. Before the call fails, it frees all of that.
 */
#include "pool.h"

#define DRAIN_TRIES 8 /* drain_some(), at most, before a class takes a new zspage */

/* Makes a class what it is, for its first object. */
static noinline void class_open(struct zs_pool *pool, struct size_class *class)
{
	u32 index = (u32)(class - pool->class);
	/* Neighbouring classes, and the same class of many pools, have different locks. */
	u8 number = (u8)((pool->tag * 37 + index) % ZS_LOCKS);

	port_lock(class_lock_at(number));
	if (!class->pool) {
		class_init(class, index, pool->table->geometry[index]);
		class->lock_number = number;
		class->lock = class_lock_at(number);
		class->tag = (u16)pool->tag;
		class->pages = &pool->pages;
		/* Pairs with the acquires in pool_class() and pool_malloc(). */
		smp_store_release(&class->pool, pool);
	}
	port_unlock(class_lock_at(number));
}

/* Gives the class one more zspage, unless it has got room meanwhile. */
static int class_grow(struct size_class *class, gfp_t flags, int nid)
{
	struct zspage *zspage = zspage_create(&runtime.zspages, class, flags, nid);
	bool needed;

	if (!zspage)
		return -ENOMEM;
	port_lock(class->lock);
	needed = !class_partial(class);
	if (needed)
		zspage_add(&runtime.zspages, zspage);
	port_unlock(class->lock);
	if (!needed)
		zspage_give_back(zspage);
	return 0;
}

/* Puts an object in a zspage that has room. Returns its handle, or 0 if there is none. */
static unsigned long object_take(struct size_class *class, u32 index, gfp_t flags)
{
	struct port_reach reach = { .bytes = 0 };
	struct zspage *zspage;
	u64 name = 0;

	port_lock(class->lock);
	zspage = class_partial(class);
	if (likely(zspage)) {
		u8 slot = zspage_take(zspage, index);

		name = handle_open(&runtime.handles, index, zspage->number, class->lock_number,
				   slot);
		reach = port_chain_reach(&zspage->chain, class->geometry.pages,
					 (slot + 1UL) * class->geometry.size);
	}
	port_unlock(class->lock);
	if (unlikely(reach.bytes) && port_may_sleep(flags))
		port_reach_in(reach);
	return likely(name) ? handle_make(class->pool->tag, name) : 0;
}

/* Frees all that waits, for a caller without memory. Returns whether that may have helped. */
static bool drain_all(gfp_t flags)
{
	u64 until = READ_ONCE(runtime.queue.passes) + 2;

	if (!queue_pending(&runtime.queue))
		return false;
	if (port_may_sleep(flags))
		drain_flush();
	else
		while (drain_some(flags) && READ_ONCE(runtime.queue.passes) < until)
			;
	return true;
}

/* Returns an object in the class; 0 for no memory. */
static unsigned long class_malloc(struct size_class *class, u32 index, gfp_t flags, int nid)
{
	unsigned long handle = object_take(class, index, flags);

	for (u32 i = 0; unlikely(!handle) && i < DRAIN_TRIES && drain_some(flags); i++)
		handle = object_take(class, index, flags);
	while (unlikely(!handle)) {
		if (class_grow(class, flags, nid))
			return 0;
		handle = object_take(class, index, flags);
	}
	return handle;
}

/**
 * pool_malloc() - make room for an object.
 * @pool: the pool
 * @size: of the object, bytes
 * @flags: GFP_KERNEL, or GFP_NOWAIT to make no system call that can block
 * @nid: the NUMA node to prefer for a new zspage, or NUMA_NO_NODE; a process ignores it
 *
 * The object's contents are undefined until pool_write().
 *
 * Context: Sleeps if @flags allow it; takes the class lock.
 * Return: a handle, or a negative errno cast to unsigned long. -EINVAL: @size is 0. -ENOSPC: it is
 * above the page size. -ENOMEM: there is no memory, even after a drain of all that waits.
 */
unsigned long pool_malloc(struct zs_pool *pool, size_t size, gfp_t flags, int nid)
{
	struct size_class *class;
	bool drained = false;
	u32 index = 0;

	if (!pool_given(pool, "zs_malloc") || unlikely(!size))
		return (unsigned long)-EINVAL;
	if (unlikely(size > PORT_PAGE_SIZE))
		return (unsigned long)-ENOSPC;
	class = &pool->class[class_for(pool->table, size)];
	if (unlikely(!smp_load_acquire(&class->pool))) /* pairs with class_open() */
		class_open(pool, class);
	for (;;) {
		unsigned long handle = 0;

		if (likely(!index))
			index = handle_get(&runtime.handles, flags);
		if (likely(index))
			handle = class_malloc(class, index, flags, nid);
		if (likely(handle))
			return handle;
		if (drained || !drain_all(flags))
			break;
		drained = true;
	}
	if (index)
		handle_put(&runtime.handles, index);
	return (unsigned long)-ENOMEM;
}
