/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Moving the pages of chains: what the kernel's memory compaction does to make large free runs.
 *
 *   page ── private word, a zspage number ─> ref ─> class lock, zspage ─> chain
 *
 * The word is a hint. Under the lock that the ref names, a ref that is live and still names it
 * keeps its zspage. Then the chain says whether the page is there. The mover freezes the zspage as
 * compaction does: see read.h. If no reader is at an object in the page, the page's bytes move.
 * Handles name slots, and never notice. A page that waits in a bag goes back to the page allocator
 * instead.
 */
#include <linux/highmem.h>

#include "../../src/read.h"
#include "host.h"

/* Returns whether a reader may be at an object that reaches into a page of a frozen zspage. */
static bool chain_page_is_read(struct zspage *zspage, u32 page)
{
	const struct geometry *geometry = &zspage->class->geometry;
	u32 end = min_t(u32, DIV_ROUND_UP((page + 1) * PAGE_SIZE, geometry->size), geometry->slots);

	for (u32 slot = page * PAGE_SIZE / geometry->size; slot < end; slot++)
		if (zspage_slot_used(zspage, slot) && object_is_read(zspage_handles(zspage)[slot]))
			return true;
	return false;
}

/* Puts @to, with the bytes, in the place of a page of a zspage. Context: the class lock is held. */
static int chain_replace(struct zspage *zspage, struct page *from, struct page *to)
{
	u32 place = 0;
	bool read;

	while (place < zspage->class->geometry.pages && zspage->chain.page[place] != from)
		place++;
	if (place == zspage->class->geometry.pages)
		return -EAGAIN; /* it is not there */
	zspage_freeze(zspage);
	read = chain_page_is_read(zspage, place);
	if (!read) {
		copy_highpage(to, from);
		port_page_own(to);
		set_page_private(to, page_word_make(zspage->number));
		get_page(to);
		zspage->chain.page[place] = to;
	}
	zspage_thaw(zspage);
	return read ? -EBUSY : 0;
}

static bool isolate_page(struct page *page, isolate_mode_t mode)
{
	return page_private(page) != 0;
}

static void putback_page(struct page *page)
{
}

int port_migrate_page(struct page *to, struct page *from, enum migrate_mode mode)
{
	struct port_store *store = &runtime.zspages.store;
	unsigned long word = page_private(from);
	const struct zspage_ref *ref;
	struct port_lock *lock;
	int error = -EAGAIN;
	u64 where;

	if (!word)
		return 0; /* the page went back to the page allocator: there is nothing to move */
	ref = zspage_ref(&runtime.zspages, page_word_zspage(word));
	lock = class_lock_at(where_lock(READ_ONCE(ref->where)));
	port_lock(lock);
	where = READ_ONCE(ref->where);
	if ((where & WHERE_LIVE) && class_lock_at(where_lock(where)) == lock)
		error = chain_replace(ref->zspage, from, to);
	port_unlock(lock);
	if (error == -EAGAIN) { /* no zspage has the page: it waits in a bag, or is in between */
		store_give(store, ULONG_MAX, from);
		return page_private(from) ? error : 0;
	}
	if (error)
		return error;
	atomic64_inc(&store->migrated);
	dec_zone_page_state(from, NR_ZSPAGES);
	port_page_disown(from);
	put_page(from);
	return 0;
}

const struct movable_operations port_movable_ops = {
	.isolate_page = isolate_page,
	.migrate_page = port_migrate_page,
	.putback_page = putback_page,
};
