/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Handles: see handle.h. Here is what happens when a lane's stock is used up.
 */
#include "handle.h"

/* Returns 0 or -ENOMEM; then handles_destroy() frees what was made. */
int handles_init(struct handles *handles)
{
	port_lock_init(&handles->lock, PORT_RANK_TABLE);
	handles->next_block = 1;
	if (table_init(&handles->entries, sizeof(atomic64_t), HANDLE_INDEX_BITS))
		return -ENOMEM;
	return table_init(&handles->blocks, sizeof(struct handle_block), HANDLE_INDEX_BITS);
}

void handles_destroy(struct handles *handles)
{
	table_destroy(&handles->blocks);
	table_destroy(&handles->entries);
}

/* Puts a block whose word was 0 on the list: its entries can be had from now on. */
void handles_put_first(struct handles *handles, u32 number)
{
	struct handle_block *block = handle_block_at(handles, number);

	port_lock(&handles->lock);
	block->next = handles->available;
	handles->available = number;
	port_unlock(&handles->lock);
}

/* Takes what the first available block has. Returns false if there is none. */
static bool available_take(struct handles *handles, struct entry_stock *stock)
{
	struct handle_block *block;

	port_assert_held(&handles->lock);
	if (!handles->available)
		return false;
	block = handle_block_at(handles, handles->available);
	stock->block = handles->available;
	handles->available = block->next;
	/* Pairs with the release in handles_put(): the objects of these entries are gone. */
	stock->free = (u64)atomic64_xchg_acquire(&block->free, 0);
	port_assert(stock->free);
	return true;
}

/* Takes a block that was never used. Returns false if a table has no room for it. */
static bool fresh_take(struct handles *handles, struct entry_stock *stock)
{
	u32 block = handles->next_block;

	port_assert_held(&handles->lock);
	if (block >= table_size(&handles->blocks, sizeof(struct handle_block)) ||
	    (block + 1ULL) * HANDLE_BLOCK > table_size(&handles->entries, sizeof(atomic64_t)))
		return false;
	stock->block = handles->next_block++;
	stock->free = ~0ULL;
	return true;
}

/* Makes room for one more block. */
static int handles_grow(struct handles *handles, u32 block, gfp_t flags)
{
	if (block >= table_size(&handles->blocks, sizeof(struct handle_block)) &&
	    table_grow(&handles->blocks, flags))
		return -ENOMEM;
	if ((block + 1ULL) * HANDLE_BLOCK > table_size(&handles->entries, sizeof(atomic64_t)) &&
	    table_grow(&handles->entries, flags))
		return -ENOMEM;
	return 0;
}

/* Gets a stock of free entries. */
static int handles_refill(struct handles *handles, struct entry_stock *stock, gfp_t flags)
{
	for (;;) {
		u32 block;
		bool found;

		port_lock(&handles->lock);
		found = available_take(handles, stock) || fresh_take(handles, stock);
		block = handles->next_block;
		port_unlock(&handles->lock);
		if (found)
			return 0;
		if (handles_grow(handles, block, flags))
			return -ENOMEM;
	}
}

/*
 * Gets a free entry when the lane's stock is used up: one that came back to the lane, else one of
 * another block. A caller without a lane gives the rest of the block back.
 */
u32 handle_get_slow(struct handles *handles, gfp_t flags)
{
	struct lane *lane = lane_claim();
	struct entry_stock stock = { .free = 0 };
	u32 index;

	if (lane) {
		stock = lane->stock.free ? lane->stock : lane->freed;
		if (!lane->stock.free)
			lane->freed.free = 0;
		lane->stock.free = 0;
		lane_leave(lane);
	}
	if (!stock.free && handles_refill(handles, &stock, flags))
		return 0;
	index = stock_take(&stock);
	lane = lane_enter();
	if (lane) {
		if (!lane->stock.free) {
			lane->stock = stock;
			stock.free = 0;
		}
		lane_leave(lane);
	}
	handles_put(handles, stock);
	return index;
}
