/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Moving the pages of chains: what the kernel's memory compaction does to make large free runs.
 *
 *   page ── private word ─> class lock, zspage number ─> ref ─> zspage ─> chain
 *
 * The word is a hint. The lock that it names keeps the zspage of a ref that is live and has that
 * lock. Then the chain says whether the page is there. The mover freezes the zspage as compaction
 * does: see read.h. If no reader is at an object in the page, the page's bytes move. Handles name
 * slots, and never notice. A page that waits in a bag goes back to the page allocator instead.
 */
#include <linux/highmem.h>

#include "../../src/read.h"
#include "host.h"

/* Returns the zspage that a page's word names, or NULL. Context: the lock that it names is held. */
static struct zspage *word_zspage(unsigned long word)
{
	const struct zspage_ref *ref = zspage_ref(&runtime.zspages, page_word_zspage(word));
	u64 where = READ_ONCE(ref->where);

	port_assert_held(class_lock_at(page_word_lock(word)));
	if (!(where & WHERE_LIVE) || where_lock(where) != page_word_lock(word))
		return NULL;
	return ref->zspage;
}

/*
 * Returns whether a reader may be at an object that lies in a page of a frozen zspage, or reaches
 * into it.
 */
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
		set_page_private(to, page_word_make(zspage->class->lock_number, zspage->number));
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
	struct zspage *zspage;
	int error = -EAGAIN;

	if (!word)
		return 0; /* the page went back to the page allocator: there is nothing to move */
	port_lock(class_lock_at(page_word_lock(word)));
	zspage = word_zspage(word);
	if (zspage)
		error = chain_replace(zspage, from, to);
	port_unlock(class_lock_at(page_word_lock(word)));
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
