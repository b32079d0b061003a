/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The page store of the kernel: order-0 pages, and bags of those that were freed.
 *
 * A zspage that dies leaves a handful of pages, and the page allocator is the dearest part of a free:
 * so whoever frees only notes the pages in a bag, which is one of them, and the worker empties the
 * bags to the page allocator, hundreds of pages at once. Chains are made of what is in the bags
 * first. The shrinker counts what waits in them, and gives it back at once.
 *
 * A page is the pool's (NR_ZSPAGES, movable, its owner noted in it) from the page allocator until it
 * goes back there, in a chain or in a bag. Its private word says of which chain it is or was, a chain
 * knows which pages it has: a page is in a chain if both say so, which migration checks under the
 * class lock.
 */
#include <linux/mmzone.h>
#include <linux/pagemap.h>
#include <linux/vmstat.h>

#include "host_pool.h"

#define STORE_DELAY_MS 10 /* free pages wait so long at most for the worker to start */
#define STORE_LEAST                                                                                \
	4 /* bags that are emptied whoever wants the CPU: a batch of frees fills as many */

/* Free pages; the bag is the first of them. */
struct page_bag {
	struct page_bag *next;
	unsigned long count;
	struct page *page[];
};

#define BAG_ROOM ((PAGE_SIZE - sizeof(struct page_bag)) / sizeof(struct page *))

int port_store_init(struct port_store *store)
{
	port_lock_init(&store->lock, PORT_RANK_STORE);
	return 0;
}

/* Make a page the store's: @chain is what it belongs to. */
void port_page_own(struct page *page, struct port_store *store, struct port_chain *chain)
{
	set_page_private(page, (unsigned long)chain);
	*compat_page_word(page) = (unsigned long)store;
	if (IS_ENABLED(CONFIG_COMPACTION))
		compat_page_movable(page, &port_movable_ops);
}

/* A page is about to be freed, or has just been replaced: whoever wants to move it is told. */
void port_page_disown(struct page *page)
{
	if (IS_ENABLED(CONFIG_COMPACTION))
		compat_page_unmovable(page);
	set_page_private(page, 0);
	*compat_page_word(page) = 0;
}

/* Under the lock: a page from the bags, NULL if they are empty. */
static struct page *bag_take(struct port_store *store, int nid)
{
	struct page_bag *bag = store->bags;
	struct page *page;

	if (!bag)
		return NULL;
	page = bag->count ? bag->page[bag->count - 1] : virt_to_page(bag);
	if (nid != NUMA_NO_NODE && page_to_nid(page) != nid)
		return NULL;
	if (bag->count)
		bag->count--;
	else
		store->bags = bag->next;
	store->pages--;
	return page;
}

/* Under the lock. */
static void bag_put(struct port_store *store, struct page *page)
{
	struct page_bag *bag = store->bags;

	if (bag && bag->count < BAG_ROOM) {
		bag->page[bag->count++] = page;
	} else {
		bag = page_address(page);
		bag->next = store->bags;
		bag->count = 0;
		store->bags = bag;
	}
	store->pages++;
}

/* Under the lock. */
static void chain_put(struct port_store *store, struct port_chain *chain, unsigned int pages)
{
	for (unsigned int i = 0; i < pages; i++)
		bag_put(store, chain->page[i]);
}

static struct page *page_new(struct port_store *store, struct port_chain *chain, gfp_t flags,
			     int nid)
{
	struct page *page;

	if (!IS_ENABLED(CONFIG_COMPACTION))
		flags &= ~__GFP_MOVABLE;
	page = alloc_pages_node(nid, flags, 0);
	if (!page)
		return NULL;
	/* Nobody knows the page yet, but whoever scans memory may just look at it. */
	while (!trylock_page(page))
		cpu_relax();
	port_page_own(page, store, chain);
	unlock_page(page);
	return page;
}

bool port_chain_alloc(struct port_store *store, struct port_chain *chain, unsigned int pages,
		      gfp_t flags, int nid)
{
	unsigned int had = 0, have;

	if (READ_ONCE(store->bags)) {
		port_lock(&store->lock);
		for (; had < pages; had++) {
			chain->page[had] = bag_take(store, nid);
			if (!chain->page[had])
				break;
		}
		port_unlock(&store->lock);
	}
	for (have = 0; have < had; have++)
		set_page_private(chain->page[have], (unsigned long)chain);
	for (; have < pages; have++) {
		chain->page[have] = page_new(store, chain, flags, nid);
		if (!chain->page[have])
			break;
		inc_zone_page_state(chain->page[have], NR_ZSPAGES);
	}
	if (have == pages)
		return true;
	/* The caller can't be told that the store wants to be trimmed: whoever frees next is. */
	port_lock(&store->lock);
	chain_put(store, chain, have);
	port_unlock(&store->lock);
	return false;
}

/* Under the lock: when the store wants to be trimmed, if it has not asked for that already. */
static int trim_ask(struct port_store *store)
{
	if (store->pages && !store->asked) {
		store->asked = true;
		return STORE_DELAY_MS;
	}
	return -1;
}

/* A page of a chain can't be missing. */
void port_chain_discard(const struct port_chain *chain, size_t offset, unsigned int pages)
{
}

int port_chain_free(struct port_store *store, struct port_chain *chain, unsigned int pages)
{
	int trim;

	port_lock(&store->lock);
	chain_put(store, chain, pages);
	trim = trim_ask(store);
	port_unlock(&store->lock);
	return trim;
}

/*
 * Take the pages from whoever might move them. Returns how many, first in @page; the others, which
 * are just being looked at, are behind them. With @wait there are no others.
 */
static unsigned int pages_disown(struct page **page, unsigned int count, bool wait)
{
	unsigned int own = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (wait)
			lock_page(page[i]);
		else if (!trylock_page(page[i]))
			continue;
		port_page_disown(page[i]);
		unlock_page(page[i]);
		swap(page[own], page[i]);
		own++;
	}
	return own;
}

static void pages_account(struct page **page, unsigned int count)
{
	unsigned int start = 0;

	for (unsigned int i = 1; i <= count; i++) {
		if (i < count && page_zone(page[i]) == page_zone(page[start]))
			continue;
		mod_zone_page_state(page_zone(page[start]), NR_ZSPAGES, -(long)(i - start));
		start = i;
	}
}

/* Give pages back to the page allocator, but for those that are busy: true if there were some. */
static bool pages_release(struct port_store *store, struct page **page, unsigned int count,
			  bool wait)
{
	unsigned int own = pages_disown(page, count, wait);

	if (own) {
		pages_account(page, own);
		release_pages(page, (int)own);
	}
	if (own == count)
		return false;
	port_lock(&store->lock);
	for (unsigned int i = own; i < count; i++)
		bag_put(store, page[i]);
	port_unlock(&store->lock);
	return true;
}

/* Take back bags that were to be emptied. */
static void bags_return(struct port_store *store, struct page_bag *bags)
{
	struct page_bag *last = bags;
	unsigned long pages = bags->count + 1;

	for (; last->next; last = last->next)
		pages += last->next->count + 1;
	port_lock(&store->lock);
	last->next = store->bags;
	store->bags = bags;
	store->pages += pages;
	port_unlock(&store->lock);
}

/*
 * Empty all bags, or if @politely, as long as nobody else wants the CPU. With @wait no page is too busy.
 * True if there are pages in bags again.
 */
static bool bags_release(struct port_store *store, bool wait, bool politely)
{
	unsigned int emptied = 0;
	struct page_bag *bag;
	bool busy = false;

	port_lock(&store->lock);
	bag = store->bags;
	store->bags = NULL;
	store->pages = 0;
	store->asked = false;
	port_unlock(&store->lock);

	while (bag) {
		struct page_bag *next = bag->next;
		struct page *page = virt_to_page(bag);

		busy |= pages_release(store, bag->page, (unsigned int)bag->count, wait);
		busy |= pages_release(store, &page, 1, wait);
		bag = next;
		cond_resched();
		if (politely && ++emptied >= STORE_LEAST && bag && port_crowded()) {
			bags_return(store, bag);
			return true;
		}
	}
	return busy;
}

/*
 * Does not wait for the lock of a page: it may be the caller's own, who moves pages and needs memory
 * for that.
 */
int port_store_trim(struct port_store *store, bool all)
{
	return bags_release(store, false, !all) ? STORE_DELAY_MS : -1;
}

void port_store_destroy(struct port_store *store)
{
	bags_release(store, true, false);
	port_lock_destroy(&store->lock);
}

/* The bytes of a range that lie in the page where it begins. */
static size_t piece(size_t offset, size_t len)
{
	return min_t(size_t, len, PAGE_SIZE - offset_in_page(offset));
}

void port_chain_read(const struct port_chain *chain, size_t offset, void *to, size_t len)
{
	while (len) {
		size_t part = piece(offset, len);

		memcpy(to, port_chain_at(chain, offset, part), part);
		to += part;
		offset += part;
		len -= part;
	}
}

void port_chain_write(const struct port_chain *chain, size_t offset, const void *from, size_t len)
{
	while (len) {
		size_t part = piece(offset, len);

		memcpy(port_chain_at(chain, offset, part), from, part);
		from += part;
		offset += part;
		len -= part;
	}
}

void port_chain_copy(const struct port_chain *to, size_t to_offset, const struct port_chain *from,
		     size_t from_offset, size_t len)
{
	while (len) {
		size_t part = min(piece(to_offset, len), piece(from_offset, len));

		memcpy(port_chain_at(to, to_offset, part), port_chain_at(from, from_offset, part),
		       part);
		to_offset += part;
		from_offset += part;
		len -= part;
	}
}
