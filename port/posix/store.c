/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The page store of a process: see store.h.
 *
 * Invariants, under the lock: a region that has both free and used chains is in the partial list of
 * its node and chain length; one without used chains is in an empty list of its node; one without free
 * chains is in none. A region that is being given back in part is busy and in no list: chains may be
 * freed into it, but none is taken from it. One that is given back whole, or bound to another node, is
 * in no list either.
 */
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "give_back.h"
#include "port.h"

#define REGION_PAGES 512U
#define REGION_WORDS (REGION_PAGES / 64)
#define SPAN_REGIONS 32U /* in a span, at most */
#define SPAN_FIRST 4U /* in the first */
#define KEEP_BYTES (8UL << 20) /* of free memory, that a store in use keeps */
#define TRIM_BYTES (32UL << 20) /* so much wants to be trimmed at once */
#define TRIM_DELAY_MS 100 /* less can wait so long, to see whether it is used again */

struct region {
	struct region *prev;
	struct region *next;
	char *base;
	u32 pages; /* in a chain */
	u32 chains;
	u32 used; /* chains */
	u32 place; /* in the store's array of regions: what it belongs to */
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

#define SYSTEM_NODES 1024 /* as many as Linux can be built for */

/*
 * The nodes that a zspage's memory can be bound to: those that this process may use, unless that is a
 * single one, or the system does not tell.
 */
static u64 nodes_find(void)
{
	unsigned long mask[SYSTEM_NODES / 64] = { 0 };

	if (syscall(SYS_get_mempolicy, NULL, mask, SYSTEM_NODES, NULL, MPOL_F_MEMS_ALLOWED) ||
	    !(mask[0] & (mask[0] - 1)))
		return 0;
	return mask[0];
}

int port_store_init(struct port_store *store)
{
	store->nodes = nodes_find();
	store->places = store->nodes ? 1 + STORE_NODES - (u32)__builtin_clzll(store->nodes) : 1;
	store->span_regions = SPAN_FIRST;
	port_lock_init(&store->lock, PORT_RANK_STORE);
	return 0;
}

void port_store_destroy(struct port_store *store)
{
	while (store->spans) {
		struct span *span = store->spans;

		store->spans = span->next;
		munmap(span->map, span->bytes);
		free(span);
	}
	port_lock_destroy(&store->lock);
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

/* Cut an empty region for chains of so many pages. */
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

/*
 * Map another span, of so many regions, or of fewer if that is all that can be had.
 *
 * Without huge pages: a region in use would be resident whole, whatever is stored in it, and what
 * was given back would come again.
 */
static struct span *span_map(u32 regions)
{
	for (; regions; regions /= 2) {
		size_t bytes = (regions + 1) * region_bytes(); /* to align the first */
		struct span *span = calloc(1, sizeof(*span));
		char *base;

		if (!span)
			return NULL;
		span->bytes = bytes;
		span->map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (span->map == MAP_FAILED) {
			free(span);
			continue;
		}
		madvise(span->map, bytes, MADV_NOHUGEPAGE);
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
			list_add(&store->at[0].empty_clean, &span->region[i]);
	port_unlock(&store->lock);
	return true;
}

/* Where the regions are that belong to a node; those of none for one that can't be preferred. */
static u32 place_of(const struct port_store *store, int nid)
{
	if (nid < 0 || nid >= STORE_NODES || !(store->nodes >> nid & 1))
		return 0;
	return 1 + (u32)nid;
}

/* Where the system refuses, the memory is used as it is. */
static void region_bind(struct region *region, u32 place)
{
	u64 node = place ? 1ULL << (place - 1) : 0;

	syscall(SYS_mbind, region->base, region_bytes(), place ? MPOL_PREFERRED : MPOL_DEFAULT,
		place ? &node : NULL, place ? STORE_NODES + 1UL : 0, 0);
	region->place = place;
}

/* Have a clean region, whose memory is not there yet, change its node. False if there is none. */
static bool region_move(struct port_store *store, u32 place)
{
	struct region *region = NULL;

	port_lock(&store->lock);
	for (u32 from = 0; from < store->places && !region; from++) {
		if (from == place)
			continue;
		region = store->at[from].empty_clean;
		if (region)
			list_del(&store->at[from].empty_clean, region);
	}
	port_unlock(&store->lock);
	if (!region)
		return false;
	region_bind(region, place);
	port_lock(&store->lock);
	list_add(&store->at[place].empty_clean, region);
	port_unlock(&store->lock);
	return true;
}

/* Under the lock: a region with a free chain of so many pages, in its partial list; or NULL. */
static struct region *region_find(struct port_store *store, struct store_regions *at, u32 pages)
{
	struct region *region = at->partial[pages];

	if (region)
		return region;
	region = at->empty_dirty;
	if (region) {
		/* What lies behind the last chain of the new cut stays, uncounted, until it is empty. */
		list_del(&at->empty_dirty, region);
		store->dirty_pages -= word_bits(region->dirty) * region->pages;
		region_cut(region, pages);
		memcpy(region->dirty, region->free, sizeof(region->dirty));
		store->dirty_pages += region->chains * pages;
	} else if (at->empty_clean) {
		region = at->empty_clean;
		list_del(&at->empty_clean, region);
		region_cut(region, pages);
	} else {
		return NULL;
	}
	list_add(&at->partial[pages], region);
	return region;
}

/* The same, of whatever node. */
static struct region *region_find_any(struct port_store *store, u32 pages)
{
	struct region *region = NULL;

	for (u32 place = 0; place < store->places && !region; place++)
		region = region_find(store, &store->at[place], pages);
	return region;
}

/* Under the lock: a chain of the region, one whose pages are there if it has one. */
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
		list_del(&store->at[region->place].partial[region->pages], region);
	return region->base + (size_t)chain * region->pages * PORT_PAGE_SIZE;
}

/*
 * The preferred node's memory, or any if that can't be had: who may not sleep can't wait for other
 * users of the address space, and so binds nothing.
 */
bool port_chain_alloc(struct port_store *store, struct port_chain *chain, unsigned int pages,
		      gfp_t flags, int nid)
{
	u32 place = place_of(store, nid);
	struct region *region;
	bool any = false;

	for (;;) {
		port_lock(&store->lock);
		region = any ? region_find_any(store, pages) :
			       region_find(store, &store->at[place], pages);
		if (region)
			break;
		port_unlock(&store->lock);
		if (any)
			return false;
		any = !port_may_sleep(flags) || !(region_move(store, place) || span_add(store));
	}
	chain->region = region;
	chain->base = region_take(store, region);
	store->used++;
	store->allocs++;
	port_unlock(&store->lock);
	return true;
}

/* Under the lock: when the store wants to be trimmed, if it has not asked for that already. */
static int trim_ask(struct port_store *store)
{
	size_t most = store->used ? TRIM_BYTES : KEEP_BYTES;

	if (store->dirty_pages >= most / PORT_PAGE_SIZE && !store->asked_now) {
		store->asked_now = true;
		return 0;
	}
	if (store->dirty_pages && !store->asked) {
		store->asked = true;
		return TRIM_DELAY_MS;
	}
	return -1;
}

int port_chain_free(struct port_store *store, struct port_chain *chain, unsigned int pages)
{
	struct region *region = chain->region;
	struct store_regions *at = &store->at[region->place];
	u32 number = (u32)((size_t)(chain->base - region->base) / (pages * PORT_PAGE_SIZE));
	int trim;

	port_lock(&store->lock);
	if (region->used-- == region->chains && !region->busy)
		list_add(&at->partial[pages], region);
	bit_set(region->free, number);
	bit_set(region->dirty, number);
	if (!region->used && !region->busy) {
		list_del(&at->partial[pages], region);
		list_add(&at->empty_dirty, region);
	}
	store->dirty_pages += pages;
	store->used--;
	store->frees++;
	trim = trim_ask(store);
	port_unlock(&store->lock);
	return trim;
}

void port_chain_discard(const struct port_chain *chain, size_t offset, unsigned int pages)
{
	size_t start = ALIGN(offset, PORT_PAGE_SIZE);
	size_t end = pages * PORT_PAGE_SIZE;

	if (start < end)
		madvise(chain->base + start, end - start, MADV_DONTNEED);
}

/* Under the lock: take empty regions until no more than so many dirty pages are left. */
static struct region *empty_take(struct port_store *store, struct store_regions *at, size_t keep,
				 struct give_back *gathered)
{
	struct region *taken = NULL;

	while (at->empty_dirty && store->dirty_pages > keep && give_back_has_room(gathered, 1)) {
		struct region *region = at->empty_dirty;

		list_del(&at->empty_dirty, region);
		list_add(&taken, region);
		store->dirty_pages -= word_bits(region->dirty) * region->pages;
		give_back_add(gathered, region->base, region_bytes());
	}
	return taken;
}

/* Give empty regions back until no more than so many dirty pages are left. */
static void trim_empty(struct port_store *store, struct store_regions *at, size_t keep)
{
	struct give_back gathered = { .count = 0 };
	struct region *taken;

	port_lock(&store->lock);
	while ((taken = empty_take(store, at, keep, &gathered))) {
		port_unlock(&store->lock);
		give_back(&gathered);
		port_lock(&store->lock);
		while (taken) {
			struct region *region = taken;

			list_del(&taken, region);
			list_add(&at->empty_clean, region);
		}
	}
	port_unlock(&store->lock);
}

/* Under the lock: gather the runs of free chains that have dirty ones among them, which are clean then. */
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

/* Under the lock: take the regions that have dirty chains out of their lists. */
static struct region *partial_take(struct store_regions *at)
{
	struct region *taken = NULL;

	for (u32 pages = 1; pages <= STORE_MAX_CHAIN; pages++) {
		struct region *next = at->partial[pages];

		while (next) {
			struct region *region = next;

			next = region->next;
			if (!word_bits(region->dirty))
				continue;
			list_del(&at->partial[pages], region);
			region->busy = true;
			list_add(&taken, region);
		}
	}
	return taken;
}

/* Give back the dirty chains of regions that are in use, those of many at once. */
static void trim_partial(struct port_store *store, struct store_regions *at)
{
	struct give_back gathered = { .count = 0 };
	struct region *taken, *region;

	port_lock(&store->lock);
	taken = partial_take(at);
	while (taken) {
		struct region *done = NULL;

		while (taken && give_back_has_room(&gathered, taken->chains / 2 + 1)) {
			region = taken;
			list_del(&taken, region);
			list_add(&done, region);
			store->dirty_pages -= word_bits(region->dirty) * region->pages;
			region_gather(region, &gathered);
		}
		port_unlock(&store->lock);
		give_back(&gathered);
		port_lock(&store->lock);
		while (done) {
			region = done;
			list_del(&done, region);
			region->busy = false;
			if (region->used)
				list_add(&at->partial[region->pages], region);
			else
				list_add(&at->empty_dirty, region);
		}
	}
	port_unlock(&store->lock);
}

/* Under the lock: whether it is too early to see what moves; nothing is pressing. */
static bool trim_too_early(const struct port_store *store, u64 now)
{
	return now - store->trimmed < TRIM_DELAY_MS * 1000000ULL && !store->asked_now;
}

int port_store_trim(struct port_store *store, bool all)
{
	u64 now = port_now();
	bool used, quiet;
	int again;

	port_lock(&store->lock);
	if (!all && trim_too_early(store, now)) {
		again = store->asked ? TRIM_DELAY_MS : -1;
		port_unlock(&store->lock);
		return again;
	}
	used = store->allocs != 0;
	quiet = !used && !store->frees;
	store->trimmed = now;
	store->allocs = 0;
	store->frees = 0;
	store->asked = false;
	store->asked_now = false;
	port_unlock(&store->lock);

	for (u32 place = 0; place < store->places; place++) {
		if (all || quiet)
			trim_partial(store, &store->at[place]);
		trim_empty(store, &store->at[place],
			   used && !all ? KEEP_BYTES / PORT_PAGE_SIZE : 0);
	}

	port_lock(&store->lock);
	again = trim_ask(store);
	port_unlock(&store->lock);
	return again < 0 ? -1 : TRIM_DELAY_MS;
}
