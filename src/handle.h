/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Handles: the table of entries, and where free entries wait.
 *
 * Entries are given out in blocks of 64, so that objects stored one after the other have entries
 * side by side. A free in that order misses the cache once in eight, and the handles are a run for
 * the deferred queue. Each lane has two stocks, each of entries of one block: one to give out, and
 * one of those that came back last. Free entries in no stock are bits of their block's word.
 *
 * Invariant, under the lock: a block whose word is not 0 is on the list of available ones. Between
 * its two steps, handles_put() has the block to itself: it is on no list then.
 */
#ifndef ZS_HANDLE_H
#define ZS_HANDLE_H

#include "entry.h"
#include "lane.h"
#include "table.h"

#define HANDLE_BLOCK 64

struct handle_block {
	atomic64_t free; /* bits of the entries that are in no stock */
	u32 next; /* in the list of available blocks */
};

struct handles {
	struct table entries; /* of atomic64_t */
	struct table blocks; /* of struct handle_block */
	struct port_lock lock; /* protects what follows, and handle_block.next */
	u32 available; /* the first block with free entries; 0: none. Block 0 is not used */
	u32 next_block; /* the first block that was never used */
};

int handles_init(struct handles *handles);
void handles_destroy(struct handles *handles);
u32 handle_get_slow(struct handles *handles, gfp_t flags);
void handles_put_first(struct handles *handles, u32 block);

static inline atomic64_t *handle_entry_at(const struct handles *handles, u32 index)
{
	return table_at(&handles->entries, index, sizeof(atomic64_t));
}

static inline struct handle_block *handle_block_at(const struct handles *handles, u32 number)
{
	return table_at(&handles->blocks, number, sizeof(struct handle_block));
}

/* Returns the entry of a name, or NULL if no handle can have that name. */
static inline atomic64_t *handle_entry(const struct handles *handles, u64 name)
{
	u32 index = (u32)name;

	if (unlikely(index >= table_size(&handles->entries, sizeof(atomic64_t))))
		return NULL;
	return handle_entry_at(handles, index);
}

/* Returns the index of an entry, taken out of a stock that is not empty. */
static inline u32 stock_take(struct entry_stock *stock)
{
	u32 index = stock->block * HANDLE_BLOCK + __ffs64(stock->free);

	stock->free &= stock->free - 1;
	return index;
}

/*
 * Puts a free entry into a stock. Returns the entries of another block that had to leave, for
 * handles_put(), or an empty stock.
 */
static inline struct entry_stock stock_put(struct entry_stock *stock, u32 index)
{
	struct entry_stock other = { .free = 0 };

	if (stock->block != index / HANDLE_BLOCK) {
		other = *stock;
		stock->block = index / HANDLE_BLOCK;
		stock->free = 0;
	}
	stock->free |= 1ULL << index % HANDLE_BLOCK;
	return other;
}

/* Gives free entries back to their block; the stock may be empty. Atomic; takes a table lock. */
static inline void handles_put(struct handles *handles, struct entry_stock stock)
{
	if (!stock.free)
		return;
	/*
	 * None of the bits is set in the word, so an addition sets them. It is one instruction; an
	 * or that returns the old word is a loop. Pairs with the acquire in available_take().
	 */
	if (!atomic64_fetch_add_release(stock.free, &handle_block_at(handles, stock.block)->free))
		handles_put_first(handles, stock.block);
}

/*
 * Gets a free entry. Returns its index, for handle_open() or handle_put(); 0 if there is no memory.
 * - Sleeps if @flags allow it; no lock of PORT_RANK_TABLE or behind is held.
 */
static inline u32 handle_get(struct handles *handles, gfp_t flags)
{
	struct lane *lane = lane_enter();
	u32 index = 0;

	if (likely(lane)) {
		if (likely(lane->stock.free))
			index = stock_take(&lane->stock);
		lane_leave(lane);
	}
	return likely(index) ? index : handle_get_slow(handles, flags);
}

/* Takes a free entry back. Atomic; no lock of PORT_RANK_TABLE or behind is held. */
static inline void handle_put(struct handles *handles, u32 index)
{
	struct entry_stock other = { .free = 1ULL << index % HANDLE_BLOCK,
				     .block = index / HANDLE_BLOCK };
	struct lane *lane = lane_enter();

	if (likely(lane)) {
		other = stock_put(&lane->freed, index);
		lane_leave(lane);
	}
	handles_put(handles, other);
}

/*
 * Makes a free entry live, for an object in a slot of a zspage. Returns the object's name.
 * - Under the class lock, whose number is @lock.
 */
static inline u64 handle_open(const struct handles *handles, u32 index, u32 zspage, u8 lock,
			      u8 slot)
{
	atomic64_t *entry = handle_entry_at(handles, index);
	u16 gen = (u16)(entry_gen((u64)atomic64_read(entry)) + 1);

	/* Pairs with the acquires of entries: a reader sees the zspage as it is. */
	atomic64_set_release(entry, entry_make(gen, zspage, lock, slot));
	return name_make(gen, index);
}

#endif /* ZS_HANDLE_H */
