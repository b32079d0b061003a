/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Handles: see handle.h. Here is where free entries wait.
 *
 * Entries are handed out in blocks, so that objects stored one after the other have entries side by
 * side: whoever frees them in that order misses the cache once in eight, and their handles are a run for
 * the deferred queue. Those who store and free have stocks of them (stock.c), each of entries of one block.
 * What is in no stock are bits of the block's word, which are set by one atomic operation; the one that finds
 * the word 0 also puts the block on the list of available ones.
 *
 * Invariant: a block whose page is not folded is on the list if its word is not 0, except between the two
 * steps of handles_put(), which has the block to itself in between. One on the list is passed over if its
 * page is folded (fold.c).
 */
#include "handle.h"

/* The tags of the pools that there are, a bit each, and where to look for a free one. Not 0. */
static atomic64_t tags[HANDLE_TAGS / 64];
static atomic_t last_tag;

/* A tag that no other pool has, or 0 if there are so many pools. */
static u32 tag_take(void)
{
	for (u32 i = 0; i < HANDLE_TAGS; i++) {
		u32 tag = (u32)atomic_inc_return_relaxed(&last_tag) % HANDLE_TAGS;
		u64 bit = 1ULL << tag % 64;

		if (tag && !((u64)atomic64_fetch_or_release(bit, &tags[tag / 64]) & bit))
			return tag;
	}
	return 0;
}

static void tag_put(u32 tag)
{
	atomic64_fetch_andnot_release(1ULL << tag % 64, &tags[tag / 64]);
}

int handles_init(struct handles *handles)
{
	u32 tag = tag_take();

	if (!tag)
		return -ENOMEM;
	if (table_init(&handles->entries, sizeof(atomic64_t), HANDLE_INDEX_BITS))
		goto no_entries;
	if (table_init(&handles->blocks, sizeof(struct handle_block), HANDLE_INDEX_BITS))
		goto no_blocks;
	if (table_init(&handles->folds, sizeof(struct fold *), HANDLE_INDEX_BITS))
		goto no_folds;
	if (gates_init(&handles->lanes, sizeof(struct handle_lane)))
		goto no_lanes;
	if (port_mutex_init(&handles->destock, PORT_RANK_DRAIN))
		goto no_mutex;
	handles->tag = (u64)tag << HANDLE_TAG_SHIFT;
	handles->next_block = 1;
	port_lock_init(&handles->lock, PORT_RANK_TABLE);
	for (u32 i = 0; i < HANDLE_PAGE_LOCKS; i++)
		port_lock_init(&handles->page_lock[i], PORT_RANK_PAGE);
	return 0;

no_mutex:
	gates_destroy(&handles->lanes);
no_lanes:
	table_destroy(&handles->folds);
no_folds:
	table_destroy(&handles->blocks);
no_blocks:
	table_destroy(&handles->entries);
no_entries:
	tag_put(tag);
	return -ENOMEM;
}

void handles_destroy(struct handles *handles)
{
	folds_destroy(handles);
	for (u32 i = 0; i < HANDLE_PAGE_LOCKS; i++)
		port_lock_destroy(&handles->page_lock[i]);
	port_lock_destroy(&handles->lock);
	port_mutex_destroy(&handles->destock);
	gates_destroy(&handles->lanes);
	table_destroy(&handles->folds);
	table_destroy(&handles->blocks);
	table_destroy(&handles->entries);
	tag_put((u32)(handles->tag >> HANDLE_TAG_SHIFT));
}

/* Under the lock: put a block on the list, if it has free entries that can be had. */
void handle_block_list(struct handles *handles, u32 number)
{
	struct handle_block *block = handle_block_at(handles, number);

	if (block->listed || block->folded || !atomic64_read(&block->free))
		return;
	block->listed = true;
	block->next = handles->available;
	handles->available = number;
}

/* Under the lock: take what the blocks on the list have, one after the other, until one has something. */
static bool stock_take(struct handles *handles, struct handle_stock *stock)
{
	stock->free = 0;
	while (handles->available && !stock->free) {
		struct handle_block *block = handle_block_at(handles, handles->available);

		stock->block = handles->available;
		handles->available = block->next;
		block->listed = false;
		/* Pairs with the release in handles_put(): what was freed is done with. */
		if (!block->folded)
			stock->free = (u64)atomic64_xchg_acquire(&block->free, 0);
	}
	return stock->free;
}

/* The page that the entries of a block are in. */
static u32 block_page(u32 block)
{
	return (u32)(block * (HANDLE_BLOCK * sizeof(atomic64_t)) / PORT_PAGE_SIZE);
}

/* Whether there is all that belongs to a block: each of the tables grows by itself. */
static bool block_has_room(const struct handles *handles, u32 block)
{
	return block < table_size(&handles->blocks, sizeof(struct handle_block)) &&
	       (block + 1ULL) * HANDLE_BLOCK <= table_size(&handles->entries, sizeof(atomic64_t)) &&
	       block_page(block) < table_size(&handles->folds, sizeof(struct fold *));
}

/* Under the lock: take a block that has free entries, or one that was never used. */
static bool stock_find(struct handles *handles, struct handle_stock *stock)
{
	while (!stock_take(handles, stock))
		if (!handles_unfold(handles))
			break;
	if (stock->free)
		return true;
	if (!block_has_room(handles, handles->next_block))
		return false;
	stock->block = handles->next_block++;
	stock->free = ~0ULL;
	return true;
}

/* Make room for one more block. */
static int handles_grow(struct handles *handles, u32 block, gfp_t flags)
{
	u32 chunk;

	if (block_page(block) >= table_size(&handles->folds, sizeof(struct fold *)) &&
	    table_grow(&handles->folds, flags, &chunk))
		return -ENOMEM;
	if (block >= table_size(&handles->blocks, sizeof(struct handle_block)) &&
	    table_grow(&handles->blocks, flags, &chunk))
		return -ENOMEM;
	if ((block + 1ULL) * HANDLE_BLOCK > table_size(&handles->entries, sizeof(atomic64_t)) &&
	    table_grow(&handles->entries, flags, &chunk))
		return -ENOMEM;
	return 0;
}

/**
 * handles_refill() - get a stock of free entries.
 * @handles: the pool's handles
 * @stock: filled in; what it held is forgotten
 * @flags: how far to go for memory
 *
 * Context: Sleeps if @flags allow it; no lock of PORT_RANK_TABLE or behind is held.
 * Return: 0 or -ENOMEM.
 */
int handles_refill(struct handles *handles, struct handle_stock *stock, gfp_t flags)
{
	for (;;) {
		u32 block;
		bool found;

		port_lock(&handles->lock);
		found = stock_find(handles, stock);
		block = handles->next_block;
		port_unlock(&handles->lock);
		if (found)
			return 0;
		if (handles_grow(handles, block, flags))
			return -ENOMEM;
	}
}

/* handles_put(), where the block had no free entries: they can be had from now on. */
void handles_put_first(struct handles *handles, u32 block)
{
	port_lock(&handles->lock);
	handle_block_list(handles, block);
	port_unlock(&handles->lock);
}
