/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The life of a zspage: see zspage.h. It is created empty, takes and loses objects under its class
 * lock, moving from list to list as it fills and empties, and is released when the last one is gone.
 */
#include "zspage.h"

_Static_assert(offsetof(struct zspage, chain) + sizeof(struct port_chain) <= ZSPAGE_LINE,
	       "what a free needs is one cache line");

int zspages_init(struct zspages *zspages)
{
	if (table_init(&zspages->lines, ZSPAGE_LINE, ZSPAGE_NUMBER_BITS))
		return -ENOMEM;
	if (table_init(&zspages->chunks, sizeof(struct zspage_chunk), ZSPAGE_NUMBER_BITS))
		goto no_chunks;
	if (port_store_init(&zspages->store))
		goto no_store;
	port_lock_init(&zspages->lock, PORT_RANK_TABLE);
	return 0;

no_store:
	table_destroy(&zspages->chunks);
no_chunks:
	table_destroy(&zspages->lines);
	return -ENOMEM;
}

/* Frees the memory of every zspage that is left. */
void zspages_destroy(struct zspages *zspages, const struct classes *classes)
{
	for (u32 number = 0; (number = zspage_next(zspages, number));) {
		struct zspage *zspage = zspage_at(zspages, number);
		struct size_class *class = zspage_class(zspage, classes);

		/* The kernel moves the pages of zspages that have objects, and may be doing that. */
		port_lock(&class->lock);
		WRITE_ONCE(zspage->inuse, 0);
		port_unlock(&class->lock);
		port_chain_free(&zspages->store, &zspage->chain, class->geometry.pages);
	}
	port_lock_destroy(&zspages->lock);
	port_store_destroy(&zspages->store);
	table_destroy(&zspages->chunks);
	table_destroy(&zspages->lines);
}

/**
 * zspage_create() - make an empty zspage.
 * @zspages: the pool's zspages
 * @class: what it is cut for
 * @flags: how far to go for memory
 * @nid: preferred NUMA node, or NUMA_NO_NODE
 *
 * The count of pins is left as it is: a late reader may be about to take its own back.
 *
 * Context: Sleeps if @flags allow it; no lock of PORT_RANK_TABLE or behind is held.
 * Return: its number, for zspage_add() or zspage_release(); 0 if there is no memory.
 */
u32 zspage_create(struct zspages *zspages, const struct size_class *class, gfp_t flags, int nid)
{
	u32 lines = zspage_lines(class->geometry);
	u32 number = descriptor_alloc(zspages, lines, flags);
	struct zspage *zspage;

	if (!number)
		return 0;
	zspage = zspage_at(zspages, number);
	if (!port_chain_alloc(&zspages->store, &zspage->chain, class->geometry.pages, flags, nid)) {
		descriptor_free(zspages, lines, number);
		return 0;
	}
	for (u32 word = 0; word < ZS_MAX_SLOTS / 64; word++)
		WRITE_ONCE(zspage->used[word], 0); /* who counts zspages may read it */
	WRITE_ONCE(zspage->inuse, 0);
	atomic64_add(class_held(class, 0), &zspages->pages);
	return number;
}

/**
 * zspage_release() - give an empty zspage's memory back to the page store.
 * @zspages: the pool's zspages
 * @class: its class
 * @number: the zspage, dead or not born
 *
 * Context: Atomic; no lock of PORT_RANK_TABLE or behind is held.
 * Return: the milliseconds within which the page store wants to be trimmed, or -1.
 */
int zspage_release(struct zspages *zspages, const struct size_class *class, u32 number)
{
	struct zspage *zspage = zspage_at(zspages, number);
	int trim = port_chain_free(&zspages->store, &zspage->chain, class->geometry.pages);

	atomic64_sub(class_held(class, 0), &zspages->pages);
	descriptor_free(zspages, zspage_lines(class->geometry), number);
	return trim;
}

/* Put a zspage at the head of the list of its fullness group. Under the class lock. */
static void zspage_list(struct zspages *zspages, struct size_class *class, u32 number)
{
	struct zspage *zspage = zspage_at(zspages, number);
	u32 *head = &class->partial[zspage_group(class, zspage->inuse)];

	zspage->prev = 0;
	zspage->next = *head;
	if (*head)
		zspage_at(zspages, *head)->prev = number;
	*head = number;
}

/* Take a zspage out of its list. Under the class lock, before its inuse changes. */
void zspage_unlist(struct zspages *zspages, struct size_class *class, u32 number)
{
	struct zspage *zspage = zspage_at(zspages, number);

	if (zspage->prev)
		zspage_at(zspages, zspage->prev)->next = zspage->next;
	else
		class->partial[zspage_group(class, zspage->inuse)] = zspage->next;
	if (zspage->next)
		zspage_at(zspages, zspage->next)->prev = zspage->prev;
}

/**
 * zspage_add() - a zspage is born.
 * @zspages: the pool's zspages
 * @class: what it is cut for
 * @number: the zspage, from zspage_create()
 *
 * Context: Under the class lock.
 */
void zspage_add(struct zspages *zspages, struct size_class *class, u32 number)
{
	WRITE_ONCE(class->zspages, class->zspages + 1);
	zspage_list(zspages, class, number);
	/* Pairs with the acquire in zspage_class_lock(): the rest is of this life. */
	smp_store_release(&zspage_at(zspages, number)->class, (u16)(class->index + 1));
}

/* An empty zspage dies, which is in no list any more. Under the class lock. */
static void zspage_die(struct size_class *class, struct zspage *zspage)
{
	WRITE_ONCE(class->zspages, class->zspages - 1);
	WRITE_ONCE(zspage->inuse, 0);
	WRITE_ONCE(zspage->class, 0);
}

/**
 * zspage_drop() - have a zspage die that was never used.
 * @zspages: the pool's zspages
 * @class: its class
 * @number: the zspage
 *
 * Context: Under the class lock. The zspage is to be released.
 */
void zspage_drop(struct zspages *zspages, struct size_class *class, u32 number)
{
	zspage_unlist(zspages, class, number);
	zspage_die(class, zspage_at(zspages, number));
}

/**
 * zspage_replace() - have a zspage live on in another descriptor.
 * @zspages: the pool's zspages
 * @class: its class
 * @number: the zspage, frozen; not empty
 * @by: a descriptor from descriptor_reserve(), of the same length
 *
 * The entries of the objects' handles, which still point to the old descriptor, are the caller's to
 * change, and then zspage_replaced() is to be called, all under this hold of the class lock.
 *
 * Context: Under the class lock.
 */
void zspage_replace(struct zspages *zspages, struct size_class *class, u32 number, u32 by)
{
	struct zspage *from = zspage_at(zspages, number);
	struct zspage *to = zspage_at(zspages, by);

	for (u32 word = 0; word < ZS_MAX_SLOTS / 64; word++)
		WRITE_ONCE(to->used[word], from->used[word]);
	WRITE_ONCE(to->inuse, from->inuse);
	memcpy(&to->chain, &from->chain, port_chain_bytes(class->geometry.pages));
	memcpy(zspage_handles(to, class), zspage_handles(from, class),
	       class->geometry.slots * sizeof(u32));
	if (!zspage_is_full(from, class)) {
		zspage_unlist(zspages, class, number);
		zspage_list(zspages, class, by);
	}
	/* As in zspage_add(). */
	smp_store_release(&to->class, (u16)(class->index + 1));
}

/**
 * zspage_replaced() - nothing points to a descriptor any more that was replaced.
 * @zspages: the pool's zspages
 * @number: the old descriptor, frozen; from now on one as from descriptor_reserve()
 *
 * Context: Under the class lock.
 */
void zspage_replaced(struct zspages *zspages, u32 number)
{
	struct zspage *zspage = zspage_at(zspages, number);

	WRITE_ONCE(zspage->class, 0); /* under the lock: nobody takes it for a zspage again */
	zspage_thaw(zspage);
}

/* The end of a zspage has moved: count the pages that it holds. */
static void zspages_hold(struct zspages *zspages, struct size_class *class, u32 from, u32 to)
{
	u64 more = (u64)class_held(class, to) - class_held(class, from);

	if (!more)
		return;
	class->held += more;
	atomic64_add(more, &zspages->pages);
}

/* Change how many slots are used, and the list with it. A full zspage is in none. */
static void zspage_count(struct zspages *zspages, struct size_class *class, u32 number, u32 inuse)
{
	struct zspage *zspage = zspage_at(zspages, number);
	u32 from = zspage_group(class, zspage->inuse);
	u32 to = zspage_group(class, inuse);

	if (from != to && from < ZS_GROUPS)
		zspage_unlist(zspages, class, number);
	WRITE_ONCE(zspage->inuse, (u16)inuse);
	if (from != to && to < ZS_GROUPS)
		zspage_list(zspages, class, number);
}

/**
 * zspage_take() - use the lowest free slot of a zspage.
 * @zspages: the pool's zspages
 * @class: its class
 * @number: the zspage, not full
 * @handle: the index of the object's handle, for the reverse map
 *
 * Context: Under the class lock.
 * Return: the slot.
 */
u8 zspage_take(struct zspages *zspages, struct size_class *class, u32 number, u32 handle)
{
	struct zspage *zspage = zspage_at(zspages, number);
	u32 end = zspage_end(zspage, class);
	u32 word = 0, slot;

	while (zspage->used[word] == ~0ULL)
		word++;
	slot = word * 64 + __ffs64(~zspage->used[word]);
	WRITE_ONCE(zspage->used[word], zspage->used[word] | 1ULL << slot % 64);
	if (slot >= end)
		zspages_hold(zspages, class, end, slot + 1);
	zspage_handles(zspage, class)[slot] = handle;
	zspage_count(zspages, class, number, zspage->inuse + 1U);
	return (u8)slot;
}

/* zspage_put_done(), where the end of the zspage or its place in a list changes. */
enum zspage_left zspage_put_slow(struct zspages *zspages, struct size_class *class, u32 number,
				 u8 last, u32 count)
{
	struct zspage *zspage = zspage_at(zspages, number);
	bool was_more = zspage_group(class, zspage->inuse) >= ZS_GROUPS / 2;
	u32 end = zspage_end(zspage, class);

	if (last >= end)
		zspages_hold(zspages, class, last + 1U, end);
	if (zspage->inuse > count) {
		zspage_count(zspages, class, number, zspage->inuse - count);
		return was_more && zspage->inuse * 2U <= class->geometry.slots ? ZSPAGE_HALF :
										 ZSPAGE_SOME;
	}
	if (!zspage_is_full(zspage, class))
		zspage_unlist(zspages, class, number);
	zspage_die(class, zspage);
	return ZSPAGE_NONE;
}
