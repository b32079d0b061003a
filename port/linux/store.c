/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The page store of the kernel: order-0 pages, and bags of those that were freed.
 *
 * A zspage that dies leaves a handful of pages, and the page allocator is the dearest part of a
 * free. So a free only notes the pages in a bag, which is one of them. The worker empties the bags
 * to the page allocator, hundreds of pages at once. Chains are made of what is in the bags first.
 * The shrinker counts what waits in them, and gives it back at once.
 *
 * A page is the store's from the page allocator until it goes back there: counted as NR_ZSPAGES,
 * and movable. Its private word names the zspage that had it last, by number. A live zspage's chain
 * says which pages it has: migration trusts that alone, under the class lock. So a free leaves the
 * words as they are: to write one is a cache miss. Migration that comes to a page in a bag has the
 * bags emptied.
 */
#include <linux/pagemap.h>

#include "host.h"

#define STORE_DELAY_MS 10 /* the worker starts at most so long after pages came free */
#define STORE_BATCH 64UL /* pages that go back at once */
#define STORE_LEAST 2048UL /* pages that go back even on a crowded CPU: a batch frees as many */

/* Free pages; the bag is the first of them. */
struct page_bag {
	struct page_bag *next;
	unsigned long count;
	struct page *page[];
};

#define BAG_ROOM ((PAGE_SIZE - sizeof(struct page_bag)) / sizeof(struct page *))

void port_store_init(struct port_store *store)
{
	port_lock_init(&store->lock, PORT_RANK_STORE);
}

/* Makes a page the store's that no zspage has yet, and counts it. Context: the page is locked. */
void port_page_own(struct page *page)
{
	set_page_private(page, PAGE_WORD_OURS);
	if (IS_ENABLED(CONFIG_COMPACTION))
		compat_page_movable(page, &port_movable_ops);
	inc_zone_page_state(page, NR_ZSPAGES);
}

/* Keeps migration from a page that goes, for the caller to count. Context: the page is locked. */
void port_page_disown(struct page *page)
{
	if (IS_ENABLED(CONFIG_COMPACTION))
		compat_page_unmovable(page);
	set_page_private(page, 0);
}

/*
 * Takes pages out of the bags, for the caller to count them. Returns how many: it ends where the
 * next is not of node @nid.
 */
static unsigned int bags_take(struct port_store *store, struct page **page, unsigned int most,
			      int nid)
{
	unsigned int have = 0;

	port_assert_held(&store->lock);
	while (have < most && store->bags) {
		struct page_bag *bag = store->bags;
		struct page *next = bag->count ? bag->page[bag->count - 1] : virt_to_page(bag);

		if (nid != NUMA_NO_NODE && page_to_nid(next) != nid)
			break;
		if (bag->count)
			bag->count--;
		else
			store->bags = bag->next;
		page[have++] = next;
	}
	return have;
}

/* Puts pages into the bags, for the caller to count them. */
static void bags_put(struct port_store *store, struct page **page, unsigned int count)
{
	port_assert_held(&store->lock);
	for (unsigned int i = 0; i < count; i++) {
		struct page_bag *bag = store->bags;

		if (bag && bag->count < BAG_ROOM) {
			bag->page[bag->count++] = page[i];
		} else {
			bag = page_address(page[i]);
			bag->next = store->bags;
			bag->count = 0;
			store->bags = bag;
		}
	}
}

static struct page *page_new(gfp_t flags, int nid)
{
	struct page *page;

	if (!IS_ENABLED(CONFIG_COMPACTION))
		flags &= ~__GFP_MOVABLE;
	page = alloc_pages_node(nid, flags, 0);
	if (!page)
		return NULL;
	/* The page is new, but a scan of memory may look at it for a moment. */
	while (!trylock_page(page))
		cpu_relax();
	port_page_own(page);
	unlock_page(page);
	return page;
}

bool port_chain_alloc(struct port_store *store, struct port_chain *chain, unsigned int pages,
		      gfp_t flags, int nid)
{
	unsigned int have = 0;

	if (READ_ONCE(store->pages)) {
		port_lock(&store->lock);
		have = bags_take(store, chain->page, pages, nid);
		WRITE_ONCE(store->pages, store->pages - have);
		port_unlock(&store->lock);
	}
	for (; have < pages; have++) {
		chain->page[have] = page_new(flags, nid);
		if (!chain->page[have]) {
			runtime_work_in(port_chain_free(store, chain, have));
			return false;
		}
	}
	return true;
}

void port_chain_name(struct port_chain *chain, unsigned int pages, u32 number)
{
	for (unsigned int i = 0; i < pages; i++)
		set_page_private(chain->page[i], page_word_make(number));
}

/* The first page asks for a trim, and a trim that leaves pages for the next. */
int port_chain_free(struct port_store *store, struct port_chain *chain, unsigned int pages)
{
	bool first;

	port_lock(&store->lock);
	first = !store->pages;
	bags_put(store, chain->page, pages);
	WRITE_ONCE(store->pages, store->pages + pages);
	port_unlock(&store->lock);
	return first && pages ? STORE_DELAY_MS : -1;
}

/*
 * Pages of segments and of descriptors are plain ones, not the store's. A call that must not sleep
 * leaves the reserves alone. One that may does no I/O: it may be in the middle of some.
 */
struct port_page *port_page_alloc(struct port_store *store, bool wait)
{
	gfp_t flags = wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOMEMALLOC;

	return (struct port_page *)get_zeroed_page(flags | __GFP_NOWARN);
}

void port_page_free(struct port_store *store, struct port_page *page)
{
	free_page((unsigned long)page);
}

/* Counts pages out, those of one zone at once: that turns interrupts off on some machines. */
static void pages_uncount(struct page **page, unsigned int count)
{
	unsigned int run;

	for (; count; page += run, count -= run) {
		for (run = 1; run < count && page_zone(page[run]) == page_zone(page[0]); run++)
			;
		mod_zone_page_state(page_zone(page[0]), NR_ZSPAGES, -(long)run);
	}
}

/*
 * Gives free pages back to the page allocator, at most @most. Returns how many.
 * - The caller has locked @mine, unless it is NULL. Other pages that are locked go to bags again: a
 *   task that moves pages, and needs memory, may be what has locked them.
 */
unsigned long store_give(struct port_store *store, unsigned long most, struct page *mine)
{
	unsigned long left = min(most, READ_ONCE(store->pages)), given = 0;
	struct page *page[STORE_BATCH];

	while (left) {
		unsigned int count, own = 0;

		port_lock(&store->lock);
		count = bags_take(store, page, min(left, STORE_BATCH), NUMA_NO_NODE);
		port_unlock(&store->lock);
		for (unsigned int i = 0; i < count; i++) {
			if (page[i] != mine && !trylock_page(page[i]))
				continue;
			port_page_disown(page[i]);
			if (page[i] != mine)
				unlock_page(page[i]);
			swap(page[own], page[i]);
			own++;
		}
		pages_uncount(page, own);
		release_pages(page, (int)own);
		port_lock(&store->lock);
		bags_put(store, page + own, count - own);
		WRITE_ONCE(store->pages, store->pages - own);
		port_unlock(&store->lock);
		if (!own) /* none is left, or all are locked */
			break;
		left -= count;
		given += own;
		if (!mine)
			cond_resched();
	}
	return given;
}

int port_store_trim(struct port_store *store, bool all)
{
	unsigned long had, given;

	do {
		had = READ_ONCE(store->pages);
		given = store_give(store, all ? ULONG_MAX : STORE_LEAST, NULL);
		/* Others free at this moment, and want the CPU. */
		if (port_crowded() &&
		    (runtime.queue.grows || READ_ONCE(store->pages) + given > had))
			break;
	} while (!all && given == STORE_LEAST);
	return READ_ONCE(store->pages) ? STORE_DELAY_MS : -1;
}

/* Gives all pages back. Waits for those that are locked, and for other tasks that give some. */
void port_store_destroy(struct port_store *store)
{
	while (READ_ONCE(store->pages)) {
		store_give(store, ULONG_MAX, NULL);
		cond_resched();
	}
}

/* Returns how many bytes of a range lie in the page where it begins. */
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
		size_t part = piece(from_offset, len);

		port_chain_write(to, to_offset, port_chain_at(from, from_offset, part), part);
		to_offset += part;
		from_offset += part;
		len -= part;
	}
}
