/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The page store of a process: see store.h.
 *
 * Invariants, under the lock: a region that has both free and used chains is in the partial list of
 * its chain length. One without used chains is in an empty list, one without free chains in none.
 * The store may be giving a region back, in part or whole: it is busy then, and in no list. Chains
 * may be freed into it, but none is taken from it.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "give_back.h"
#include "map.h"
#include "port.h"

#define REGION_PAGES 512U
#define REGION_WORDS (REGION_PAGES / 64)
#define SPAN_REGIONS 32U /* in a span, at most */
#define SPAN_FIRST 4U /* in the first */
/* Between trims: what is dirty and was not used for so long is given back. */
#define TRIM_MS 150

struct region {
	struct region *prev;
	struct region *next;
	char *base;
	u32 pages; /* in a chain */
	u32 chains;
	u32 used; /* chains */
	bool busy;
	u64 free[REGION_WORDS]; /* a bit a chain */
	u64 dirty[REGION_WORDS]; /* of the free ones */
};

struct span {
	struct span *next;
	void *map;
	size_t bytes;
	struct region region[SPAN_REGIONS];
};

static size_t region_bytes(void)
{
	return REGION_PAGES * PORT_PAGE_SIZE;
}

void port_store_init(struct port_store *store)
{
	store->span_regions = SPAN_FIRST;
	port_lock_init(&store->lock, PORT_RANK_STORE);
}

void port_store_destroy(struct port_store *store)
{
	while (store->spans) {
		struct span *span = store->spans;

		store->spans = span->next;
		munmap(span->map, span->bytes);
		free(span);
	}
}

static void list_add(struct region **list, struct region *region)
{
	region->prev = NULL;
	region->next = *list;
	if (*list)
		(*list)->prev = region;
	*list = region;
}

static void list_del(struct region **list, struct region *region)
{
	if (region->prev)
		region->prev->next = region->next;
	else
		*list = region->next;
	if (region->next)
		region->next->prev = region->prev;
}

static u32 word_bits(const u64 *words)
{
	u32 bits = 0;

	for (u32 i = 0; i < REGION_WORDS; i++)
		bits += (u32)__builtin_popcountll(words[i]);
	return bits;
}

/* The lowest bit that is set, of words of which one is not 0. */
static u32 word_first(const u64 *words)
{
	u32 i = 0;

	while (!words[i])
		i++;
	return i * 64 + __ffs64(words[i]);
}

static bool bit_test(const u64 *words, u32 bit)
{
	return words[bit / 64] >> bit % 64 & 1;
}

static void bit_set(u64 *words, u32 bit)
{
	words[bit / 64] |= 1ULL << bit % 64;
}

static void bit_clear(u64 *words, u32 bit)
{
	words[bit / 64] &= ~(1ULL << bit % 64);
}

/* Cuts an empty region for chains of @pages pages. */
static void region_cut(struct region *region, u32 pages)
{
	region->pages = pages;
	region->chains = REGION_PAGES / pages;
	region->used = 0;
	memset(region->free, 0, sizeof(region->free));
	memset(region->dirty, 0, sizeof(region->dirty));
	for (u32 i = 0; i < region->chains; i++)
		bit_set(region->free, i);
}

/* Maps another span of @regions regions, or of fewer if that is all that can be had. */
static struct span *span_map(u32 regions)
{
	for (; regions; regions /= 2) {
		size_t bytes = (regions + 1) * region_bytes(); /* to align the first */
		struct span *span = calloc(1, sizeof(*span));
		char *base;

		if (!span)
			return NULL;
		span->bytes = bytes;
		span->map = map_memory(bytes);
		if (!span->map) {
			free(span);
			continue;
		}
		base = (char *)ALIGN((uintptr_t)span->map, region_bytes());
		for (u32 i = 0; i < regions; i++)
			span->region[i].base = base + i * region_bytes();
		return span;
	}
	return NULL;
}

/* Add a span to the store, each larger than the one before: a small pool maps little. */
static bool span_add(struct port_store *store)
{
	u32 regions = READ_ONCE(store->span_regions);
	struct span *span = span_map(regions);

	if (!span)
		return false;
	port_lock(&store->lock);
	WRITE_ONCE(store->span_regions, regions < SPAN_REGIONS ? 2 * regions : SPAN_REGIONS);
	span->next = store->spans;
	store->spans = span;
	for (u32 i = SPAN_REGIONS; i-- > 0;)
		if (span->region[i].base)
			list_add(&store->empty_clean, &span->region[i]);
	port_unlock(&store->lock);
	return true;
}

/* Returns a listed region with a free chain of @pages pages, or NULL; under the lock. */
static struct region *region_find(struct port_store *store, u32 pages)
{
	struct region *region = store->partial[pages];

	if (region)
		return region;
	region = store->empty_dirty;
	if (region) {
		/*
		 * What lies behind the last chain of the new cut stays, uncounted, until it is
		 * empty.
		 */
		list_del(&store->empty_dirty, region);
		store->dirty_pages -= word_bits(region->dirty) * region->pages;
		region_cut(region, pages);
		memcpy(region->dirty, region->free, sizeof(region->dirty));
		store->dirty_pages += region->chains * pages;
	} else if (store->empty_clean) {
		region = store->empty_clean;
		list_del(&store->empty_clean, region);
		region_cut(region, pages);
	} else {
		return NULL;
	}
	list_add(&store->partial[pages], region);
	return region;
}

/* Takes a chain of the region, one whose pages are there if it has one. Under the lock. */
static char *region_take(struct port_store *store, struct region *region)
{
	u32 chain;

	if (word_bits(region->dirty)) {
		chain = word_first(region->dirty);
		bit_clear(region->dirty, chain);
		store->dirty_pages -= region->pages;
	} else {
		chain = word_first(region->free);
	}
	bit_clear(region->free, chain);
	if (++region->used == region->chains)
		list_del(&store->partial[region->pages], region);
	return region->base + (size_t)chain * region->pages * PORT_PAGE_SIZE;
}

/* Takes a free chain of the region. Returns whether it may hold old contents. Under the lock. */
static bool chain_take(struct port_store *store, struct region *region, struct port_chain *chain)
{
	size_t dirty = store->dirty_pages;

	chain->region = region;
	chain->base = region_take(store, region);
	if (store->dirty_pages == dirty)
		return false;
	if (store->dirty_pages < store->idle_pages)
		store->idle_pages = store->dirty_pages;
	return true;
}

bool port_chain_alloc(struct port_store *store, struct port_chain *chain, unsigned int pages,
		      gfp_t flags, int nid)
{
	struct region *region;

	(void)nid;
	for (;;) {
		port_lock(&store->lock);
		region = region_find(store, pages);
		if (region)
			break;
		port_unlock(&store->lock);
		if (!port_may_sleep(flags) || !span_add(store))
			return false;
	}
	chain->there = chain_take(store, region, chain) ? pages : 0;
	port_unlock(&store->lock);
	return true;
}

/*
 * A segment of the queue is a chain of one page. A clean chain reads as zeros. The system gives its
 * page at the first write.
 */
struct port_page *port_page_alloc(struct port_store *store, bool wait)
{
	struct port_chain chain;
	struct port_page *page;
	struct region *region;
	bool dirty = false;

	if (wait)
		port_lock(&store->lock);
	else if (!port_trylock(&store->lock))
		return NULL;
	region = region_find(store, 1);
	if (region)
		dirty = chain_take(store, region, &chain);
	port_unlock(&store->lock);
	if (!region)
		return wait && span_add(store) ? port_page_alloc(store, true) : NULL;
	page = (struct port_page *)chain.base;
	if (dirty)
		memset(page, 0, PORT_PAGE_SIZE);
	page->region = chain.region;
	return page;
}

void port_page_free(struct port_store *store, struct port_page *page)
{
	struct port_chain chain = { .base = (char *)page, .region = page->region };

	port_chain_free(store, &chain, 1);
}

/* Returns when the store wants a trim, or -1 if it has asked for one already. Under the lock. */
static int trim_ask(struct port_store *store)
{
	if (!store->dirty_pages || store->asked)
		return -1;
	store->asked = true;
	return TRIM_MS;
}

int port_chain_free(struct port_store *store, struct port_chain *chain, unsigned int pages)
{
	struct region *region = chain->region;
	u32 number = (u32)((size_t)(chain->base - region->base) / (pages * PORT_PAGE_SIZE));
	int trim;

	port_lock(&store->lock);
	if (region->used-- == region->chains && !region->busy)
		list_add(&store->partial[pages], region);
	bit_set(region->free, number);
	bit_set(region->dirty, number);
	if (!region->used && !region->busy) {
		list_del(&store->partial[pages], region);
		list_add(&store->empty_dirty, region);
	}
	store->dirty_pages += pages;
	trim = trim_ask(store);
	port_unlock(&store->lock);
	return trim;
}

void port_chain_discard(struct port_chain *chain, size_t offset, unsigned int pages)
{
	size_t start = ALIGN(offset, PORT_PAGE_SIZE);
	size_t end = pages * PORT_PAGE_SIZE;

	if (start >= end)
		return;
	map_discard(chain->base + start, end - start);
	chain->there = (u32)(start >> PORT_PAGE_SHIFT);
}

/* Takes empty regions until no more than @keep dirty pages are left; under the lock. */
static struct region *empty_take(struct port_store *store, size_t keep, struct give_back *gathered)
{
	struct region *taken = NULL;

	while (store->empty_dirty && store->dirty_pages > keep && give_back_has_room(gathered, 1)) {
		struct region *region = store->empty_dirty;

		list_del(&store->empty_dirty, region);
		list_add(&taken, region);
		region->busy = true;
		store->dirty_pages -= word_bits(region->dirty) * region->pages;
		memset(region->dirty, 0, sizeof(region->dirty));
		give_back_add(gathered, region->base, region_bytes());
	}
	return taken;
}

/* Gives empty regions back until no more than @keep dirty pages are left. */
static void trim_empty(struct port_store *store, size_t keep)
{
	struct give_back gathered = { .count = 0 };
	struct region *taken;

	port_lock(&store->lock);
	while ((taken = empty_take(store, keep, &gathered))) {
		port_unlock(&store->lock);
		give_back(&gathered);
		port_lock(&store->lock);
		while (taken) {
			struct region *region = taken;

			list_del(&taken, region);
			region->busy = false;
			list_add(&store->empty_clean, region);
		}
	}
	port_unlock(&store->lock);
}

/* Gathers the runs of free chains with dirty ones among them, which are clean then. */
static void region_gather(struct region *region, struct give_back *gathered)
{
	size_t bytes = region->pages * PORT_PAGE_SIZE;
	u32 chain = 0;

	while (chain < region->chains) {
		u32 start = chain;
		bool any = false;

		for (; chain < region->chains && bit_test(region->free, chain); chain++)
			any |= bit_test(region->dirty, chain);
		if (any)
			give_back_add(gathered, region->base + start * bytes,
				      (chain - start) * bytes);
		if (chain == start)
			chain++;
	}
	memset(region->dirty, 0, sizeof(region->dirty));
}

/* Takes the regions that have dirty chains out of their lists. Under the lock. */
static struct region *partial_take(struct port_store *store)
{
	struct region *taken = NULL;

	for (u32 pages = 1; pages <= PORT_MAX_CHAIN; pages++) {
		struct region *next = store->partial[pages];

		while (next) {
			struct region *region = next;

			next = region->next;
			if (!word_bits(region->dirty))
				continue;
			list_del(&store->partial[pages], region);
			region->busy = true;
			list_add(&taken, region);
		}
	}
	return taken;
}

/* Puts regions back in their lists. Under the lock. */
static void partial_put(struct port_store *store, struct region *taken)
{
	while (taken) {
		struct region *region = taken;

		list_del(&taken, region);
		region->busy = false;
		if (region->used)
			list_add(&store->partial[region->pages], region);
		else
			list_add(&store->empty_dirty, region);
	}
}

/* Gives back the dirty chains of regions in use until no more than @keep dirty pages are left. */
static void trim_partial(struct port_store *store, size_t keep)
{
	struct give_back gathered = { .count = 0 };
	struct region *taken;

	port_lock(&store->lock);
	taken = store->dirty_pages > keep ? partial_take(store) : NULL;
	while (taken && store->dirty_pages > keep) {
		struct region *done = NULL;

		while (taken && store->dirty_pages > keep &&
		       give_back_has_room(&gathered, taken->chains / 2 + 1)) {
			struct region *region = taken;

			list_del(&taken, region);
			list_add(&done, region);
			store->dirty_pages -= word_bits(region->dirty) * region->pages;
			region_gather(region, &gathered);
		}
		port_unlock(&store->lock);
		give_back(&gathered);
		port_lock(&store->lock);
		partial_put(store, done);
	}
	partial_put(store, taken);
	port_unlock(&store->lock);
}

/*
 * Takes regions back that the parent was giving back: what they have free may hold old contents.
 * Returns whether the store wants to be trimmed.
 * - Under the lock, in a child of fork().
 */
bool port_store_forked(struct port_store *store)
{
	for (struct span *span = store->spans; span; span = span->next) {
		for (u32 i = 0; i < SPAN_REGIONS; i++) {
			struct region *region = &span->region[i], *taken = NULL;

			if (!region->busy)
				continue;
			store->dirty_pages -= word_bits(region->dirty) * region->pages;
			memcpy(region->dirty, region->free, sizeof(region->dirty));
			store->dirty_pages += word_bits(region->dirty) * region->pages;
			list_add(&taken, region);
			partial_put(store, taken);
		}
	}
	store->asked = store->dirty_pages;
	return store->asked;
}

int port_store_trim(struct port_store *store, bool all)
{
	u64 now = port_now(), age;
	size_t keep;
	int again;

	port_lock(&store->lock);
	age = (now - store->trimmed) / 1000000;
	if (!all && age < TRIM_MS) {
		again = store->asked ? (int)(TRIM_MS - age) : -1;
		port_unlock(&store->lock);
		return again;
	}
	keep = all ? 0 : store->dirty_pages - store->idle_pages;
	store->trimmed = now;
	port_unlock(&store->lock);

	trim_empty(store, keep);
	trim_partial(store, keep);

	port_lock(&store->lock);
	store->idle_pages = store->dirty_pages;
	store->asked = false;
	again = trim_ask(store);
	port_unlock(&store->lock);
	return again;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* Where the system refuses, the pages come when they are written. */
void port_reach_in(struct port_reach reach)
{
	madvise(reach.start, reach.bytes, MADV_POPULATE_WRITE);
}
