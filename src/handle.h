/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Handles: the opaque names of objects.
 *
 * A handle is the index of an entry, the entry's generation, and the pool's tag. The entry, 8 bytes,
 * says where the object is, whether it is live, and of which generation: so a double free, a stale
 * handle, a handle of another pool and a made-up number are told apart from a good one without any
 * memory but the entry's.
 *
 *   handle   0 | tag 15 | generation 16 | index 32
 *   entry    generation 16 | zspage 30 | class 9 | slot 8 | live 1
 *
 * The class is that of the zspage. That it stands here, too, spares whoever frees a look at the zspage's descriptor
 * before the lock of the class can be taken.
 *
 * An entry's life: zs_malloc() makes it live, compaction may change where it points, and whoever frees the
 * object lets it die: all of that under the lock of the object's class, so that what it says is true for who
 * holds that. Others look at it at any time. Two things do without the lock: folding (fold.c), which takes an entry
 * elsewhere, and has regard for those who have the lock; and a producer of the deferred queue, who may wait for
 * nobody, and lets the entry die of an object that is to host a chunk. Those few that may host, as
 * object_may_host() says, are therefore killed by an atomic operation, others by a plain store.
 */
#ifndef ZS_HANDLE_H
#define ZS_HANDLE_H

#include "gate.h"
#include "table.h"

#define HANDLE_BLOCK 64 /* entries whose free ones are the bits of one word */

#define HANDLE_INDEX_BITS 32
#define HANDLE_GEN_SHIFT HANDLE_INDEX_BITS
#define HANDLE_TAG_SHIFT 48
#define HANDLE_TAGS (1U << 15)

#define ENTRY_LIVE 1ULL
#define ENTRY_SLOT_BITS 8
#define ENTRY_CLASS_BITS 9
#define ENTRY_ZSPAGE_BITS 30
#define ENTRY_SLOT_SHIFT 1
#define ENTRY_CLASS_SHIFT (ENTRY_SLOT_SHIFT + ENTRY_SLOT_BITS)
#define ENTRY_ZSPAGE_SHIFT (ENTRY_CLASS_SHIFT + ENTRY_CLASS_BITS)
#define ENTRY_GEN_SHIFT (ENTRY_ZSPAGE_SHIFT + ENTRY_ZSPAGE_BITS) /* up to the last bit */

/* Free entries that their holder alone may use: bits of one block. */
struct handle_stock {
	u64 free;
	u32 block;
};

struct handle_block {
	atomic64_t free; /* bits of the entries that are in nobody's stock */
	u32 next; /* in the list of blocks that have some; this and the rest is under handles.lock */
	bool listed; /* in that list */
	bool folded; /* its page is folded, or about to be: its free entries can't be had. Read without */
};

/* Each who stores and frees has entries of its own, so that it gives them out one after the other. */
struct handle_lane {
	struct gate gate;
	struct handle_stock stock; /* to give out */
	struct handle_stock freed; /* that came back last */
} __attribute__((aligned(2 * PORT_CACHELINE)));

#define HANDLE_PAGE_LOCKS 16 /* of pages of entries, each of which has one of them: see fold.c */

struct fold;

struct handles {
	struct table entries; /* of atomic64_t */
	struct table blocks; /* of struct handle_block */
	struct table folds; /* of struct fold *, one a page of entries; NULL if it is not folded */
	struct gates lanes; /* of struct handle_lane */
	u64 tag; /* in its place in a handle */
	/* Not on the line of what every call reads. */
	struct port_mutex destock
		__attribute__((aligned(PORT_CACHELINE))); /* one who takes from all lanes */
	struct port_lock lock;
	u32 available; /* the first block with free entries; 0: none. Block 0 is not used */
	u32 next_block;
	u32 folded; /* the first folded page that may be unfolded; 0: none. Page 0 is not folded */
	u64 folded_pages; /* that there are of these */
	u64 folded_bytes; /* of their folds, and of those that are spent */
	struct fold *spent; /* folds of pages that are not folded any more */
	u64 spent_bytes; /* of these */
	struct port_lock page_lock[HANDLE_PAGE_LOCKS];
};

int handles_init(struct handles *handles);
void handles_destroy(struct handles *handles);
int handles_refill(struct handles *handles, struct handle_stock *stock, gfp_t flags);
void handles_put_first(struct handles *handles, u32 block);
u32 handle_get_slow(struct handles *handles, gfp_t flags);
void handle_put_slow(struct handles *handles, u32 index);
bool handles_destock(struct handles *handles);
void handle_block_list(struct handles *handles, u32 number);

void handles_fold(struct handles *handles, void (*settle)(void *arg), void *arg);
bool handles_unfold(struct handles *handles);
void handles_trim(struct handles *handles);
void folds_destroy(struct handles *handles);
u64 handles_bytes(struct handles *handles);
u64 handle_word_folded(struct handles *handles, u32 index, bool wait);
bool handle_change_folded(struct handles *handles, u32 index, u64 word, u64 new, bool wait);

static inline bool handle_stock_empty(const struct handle_stock *stock)
{
	return !stock->free;
}

/* One free entry. */
static inline struct handle_stock handle_stock_of(u32 index)
{
	return (struct handle_stock){
		.free = 1ULL << index % HANDLE_BLOCK,
		.block = index / HANDLE_BLOCK,
	};
}

/*
 * Put a free entry into a stock. If that holds entries of another block, these are what is returned,
 * for handles_put(), else an empty stock.
 */
static inline struct handle_stock handle_stock_put(struct handle_stock *stock, u32 index)
{
	struct handle_stock other = { .free = 0 };

	if (stock->block != index / HANDLE_BLOCK) {
		other = *stock;
		stock->block = index / HANDLE_BLOCK;
		stock->free = 0;
	}
	stock->free |= 1ULL << index % HANDLE_BLOCK;
	return other;
}

/* The index of an entry out of a stock that is not empty. */
static inline u32 handle_stock_take(struct handle_stock *stock)
{
	u32 index = stock->block * HANDLE_BLOCK + __ffs64(stock->free);

	stock->free &= stock->free - 1;
	return index;
}

static inline atomic64_t *handle_entry_at(const struct handles *handles, u32 index)
{
	return table_at(&handles->entries, index, sizeof(atomic64_t));
}

static inline struct handle_block *handle_block_at(const struct handles *handles, u32 number)
{
	return table_at(&handles->blocks, number, sizeof(struct handle_block));
}

/**
 * handles_put() - take free entries back.
 * @handles: the pool's handles
 * @stock: the entries; it may be empty
 *
 * Context: Atomic; no lock of PORT_RANK_TABLE or behind is held.
 */
static inline void handles_put(struct handles *handles, struct handle_stock stock)
{
	if (handle_stock_empty(&stock))
		return;
	/*
	 * None of the bits is set there, so adding sets them, by one instruction where an or that tells what
	 * was there is a loop. Pairs with the acquires in stock_take() and in page_free().
	 */
	if (!atomic64_fetch_add_release(stock.free, &handle_block_at(handles, stock.block)->free))
		handles_put_first(handles, stock.block);
}

/* Whether the handle has the tag of these handles' pool. */
static inline bool handle_is_ours(const struct handles *handles, unsigned long handle)
{
	return (handle >> HANDLE_TAG_SHIFT << HANDLE_TAG_SHIFT) == handles->tag;
}

/* The entry of a handle, or NULL if this pool can't have given out such a handle. */
static inline atomic64_t *handle_entry(const struct handles *handles, unsigned long handle)
{
	u32 index = (u32)handle;

	if (unlikely(!handle_is_ours(handles, handle) ||
		     index >= table_size(&handles->entries, sizeof(atomic64_t))))
		return NULL;
	return handle_entry_at(handles, index);
}

static inline u16 handle_gen(unsigned long handle)
{
	return (u16)(handle >> HANDLE_GEN_SHIFT);
}

static inline u16 entry_gen(u64 entry)
{
	return (u16)(entry >> ENTRY_GEN_SHIFT);
}

static inline u32 entry_zspage(u64 entry)
{
	return (u32)(entry >> ENTRY_ZSPAGE_SHIFT) & ((1U << ENTRY_ZSPAGE_BITS) - 1);
}

/* The index of the class of its zspage. */
static inline u32 entry_class(u64 entry)
{
	return (u32)(entry >> ENTRY_CLASS_SHIFT) & ((1U << ENTRY_CLASS_BITS) - 1);
}

static inline u8 entry_slot(u64 entry)
{
	return (u8)(entry >> ENTRY_SLOT_SHIFT);
}

/* Whether the entry is that of the object which the handle names. */
static inline bool entry_is(u64 entry, unsigned long handle)
{
	u64 differs = entry ^ (u64)handle << (ENTRY_GEN_SHIFT - HANDLE_GEN_SHIFT);

	return (differs & (~0ULL << ENTRY_GEN_SHIFT | ENTRY_LIVE)) == ENTRY_LIVE;
}

/* A live entry, of an object in a zspage of a class. */
static inline u64 entry_make(u16 gen, u32 class, u32 zspage, u8 slot)
{
	return (u64)gen << ENTRY_GEN_SHIFT | (u64)zspage << ENTRY_ZSPAGE_SHIFT |
	       (u64) class << ENTRY_CLASS_SHIFT | (u64)slot << ENTRY_SLOT_SHIFT | ENTRY_LIVE;
}

/*
 * The word of an entry, wherever it is; @entry is where it should be. Who may not @wait for a lock gets 0 where
 * one is taken. Pairs with the release of whoever made it what it is.
 */
static inline u64 entry_look(struct handles *handles, const atomic64_t *entry, u32 index, bool wait)
{
	u64 word = (u64)atomic64_read_acquire(entry);

	return likely(word) ? word : handle_word_folded(handles, index, wait);
}

static inline u64 entry_word(struct handles *handles, const atomic64_t *entry, u32 index)
{
	return entry_look(handles, entry, index, true);
}

/*
 * Under the class lock: let the entry of a live object die that can't host, wherever it is. False if it is not @word
 * any more. An entry that looks different is not written to: its page may be one that is discarded.
 *
 * The store is a plain one, though the entry may just be taken to a fold: page_settle() sees to that.
 */
static inline bool entry_kill(struct handles *handles, atomic64_t *entry, u32 index, u64 word)
{
	u64 seen = (u64)atomic64_read(entry);

	if (unlikely(seen != word))
		return !seen &&
		       handle_change_folded(handles, index, word, word & ~ENTRY_LIVE, true);
	atomic64_set(entry, word & ~ENTRY_LIVE);
	return true;
}

/*
 * Let the entry of a live object die that may host, wherever it is; with the class lock, or without if its zspage is
 * pinned. False if it is not @word any more, or if a lock would be waited for, and @wait is false.
 */
static inline bool entry_kill_shared(struct handles *handles, atomic64_t *entry, u32 index,
				     u64 word, bool wait)
{
	u64 seen = (u64)atomic64_read(entry);

	if (likely(seen == word)) {
		seen = (u64)atomic64_cmpxchg(entry, word, word & ~ENTRY_LIVE);
		if (likely(seen == word))
			return true;
	}
	return !seen && handle_change_folded(handles, index, word, word & ~ENTRY_LIVE, wait);
}

static inline u64 handle_word(struct handles *handles, u32 index)
{
	return entry_word(handles, handle_entry_at(handles, index), index);
}

/*
 * Under the class lock: have a live entry, which is @word, say something else. Full order: what it points to is
 * there for whoever reads it with an acquire.
 */
static inline void handle_move(struct handles *handles, u32 index, u64 word, u64 moved)
{
	atomic64_t *entry = handle_entry_at(handles, index);

	/* As above: a look before. */
	if ((u64)atomic64_read(entry) != word || (u64)atomic64_cmpxchg(entry, word, moved) != word)
		handle_change_folded(handles, index, word, moved, true);
}

static inline unsigned long handle_make(const struct handles *handles, u32 index, u16 gen)
{
	return handles->tag | (u64)gen << HANDLE_GEN_SHIFT | index;
}

/* Hand out the entry @index, dead until now, for an object in @slot of @zspage, of @class. */
static inline unsigned long handle_open(const struct handles *handles, u32 index, u32 class,
					u32 zspage, u8 slot)
{
	atomic64_t *entry = handle_entry_at(handles, index);
	u16 gen = (u16)(entry_gen(atomic64_read(entry)) + 1);

	/* Pairs with the acquire in object_pin() and in claim(): they see the zspage as it is. */
	atomic64_set_release(entry, entry_make(gen, class, zspage, slot));
	return handle_make(handles, index, gen);
}

/* The lane of the owner @number, above 0. */
static inline struct handle_lane *handle_own(const struct handles *handles, unsigned int number)
{
	return (struct handle_lane *)handles->lanes.lane + gates_own(number);
}

/**
 * handle_get() - have a free entry.
 * @handles: the pool's handles
 * @flags: how far to go for memory
 *
 * Context: Sleeps if @flags allow it; no lock of PORT_RANK_TABLE or behind is held.
 * Return: its index, for handle_open() or handle_put(); 0 if there is no memory.
 */
static inline u32 handle_get(struct handles *handles, gfp_t flags)
{
	unsigned int number = port_lane_get();
	struct handle_lane *lane = handle_own(handles, number);
	u32 index = 0;

	if (likely(number && gate_enter(&lane->gate, false))) {
		if (likely(!handle_stock_empty(&lane->stock)))
			index = handle_stock_take(&lane->stock);
		gate_leave(&lane->gate);
	}
	port_lane_put();
	return likely(index) ? index : handle_get_slow(handles, flags);
}

/**
 * handle_put() - take a free entry back.
 * @handles: the pool's handles
 * @index: its index
 *
 * Context: Any; no lock of PORT_RANK_TABLE or behind is held.
 */
static inline void handle_put(struct handles *handles, u32 index)
{
	unsigned int number = port_lane_get();
	struct handle_lane *lane = handle_own(handles, number);
	struct handle_stock other;

	if (unlikely(!number || !gate_enter(&lane->gate, false))) {
		port_lane_put();
		handle_put_slow(handles, index);
		return;
	}
	other = handle_stock_put(&lane->freed, index);
	gate_leave(&lane->gate);
	port_lane_put();
	if (!handle_stock_empty(&other))
		handles_put(handles, other);
}

#endif /* ZS_HANDLE_H */
