/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A slot of the store: 16 bytes that say where one page is.
 *
 * All that a slot says is guarded by a lock that is one bit of its state. A slot whose state is 0
 * is empty and not locked. That is how the memory of a new table comes from the system. So a store
 * costs nothing for slots that were never written, and a look at one does not change that.
 *
 * A writer holds the lock for a few stores of words, a reader for the decompression of one page. A
 * thread that finds it held spins briefly, then lets others run.
 */
#ifndef ZRAM_SLOT_H
#define ZRAM_SLOT_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <xxhash.h>

#define SLOT_LOCKED 1U /* a thread holds the lock */
#define SLOT_SAME 2U /* @word, repeated, is the page; there is no object */
#define SLOT_SIZE_SHIFT 2 /* above: the object's size in bytes, 0 if there is none */

/*
 * What a slot says, as a value: what was in it, or what shall be. It is empty (all 0), or has
 * SLOT_SAME, or has an object, whose handle is @word. An object of a page's size is the page
 * itself, a smaller one is compressed.
 */
struct entry {
	unsigned long word;
	uint32_t check; /* of the object's bytes: entry_checksum() */
	uint32_t state; /* without SLOT_LOCKED */
};

struct slot {
	unsigned long word;
	uint32_t check;
	_Atomic uint32_t state;
};

_Static_assert(sizeof(struct slot) == 16, "four slots share a cache line and none straddles two");

static inline size_t entry_size(const struct entry *entry)
{
	return entry->state >> SLOT_SIZE_SHIFT;
}

/*
 * Returns what notices corruption of any kind. Most algorithms decompress most damaged data to a
 * whole page of garbage. A page that is stored as it is has no form to violate.
 */
static inline uint32_t entry_checksum(const void *object, size_t size)
{
	return (uint32_t)XXH3_64bits(object, size);
}

/*
 * Whether the slot is empty, without its lock. The acquire pairs with the release of the
 * slot_unlock() that emptied it.
 */
static inline bool slot_is_empty(const struct slot *slot)
{
	return atomic_load_explicit(&slot->state, memory_order_acquire) == 0;
}

/* The acquire pairs with the release in slot_unlock(). */
static inline void slot_lock(struct slot *slot)
{
	const unsigned int spins_before_yield = 64;
	uint32_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
	unsigned int spins = 0;

	for (;;) {
		if (!(state & SLOT_LOCKED) && atomic_compare_exchange_weak_explicit(
						      &slot->state, &state, state | SLOT_LOCKED,
						      memory_order_acquire, memory_order_relaxed))
			return;
		if (++spins >= spins_before_yield)
			sched_yield();
		state = atomic_load_explicit(&slot->state, memory_order_relaxed);
	}
}

/* What a locked slot says. */
static inline struct entry slot_get(const struct slot *slot)
{
	return (struct entry){
		.word = slot->word,
		.check = slot->check,
		.state = atomic_load_explicit(&slot->state, memory_order_relaxed) & ~SLOT_LOCKED,
	};
}

/* Give the lock back and leave @entry in the slot. */
static inline void slot_unlock(struct slot *slot, const struct entry *entry)
{
	slot->word = entry->word;
	slot->check = entry->check;
	atomic_store_explicit(&slot->state, entry->state, memory_order_release);
}

/* Put @entry into the slot. Returns what was there, which is the caller's now. */
static inline struct entry slot_replace(struct slot *slot, const struct entry *entry)
{
	struct entry old;

	slot_lock(slot);
	old = slot_get(slot);
	slot_unlock(slot, entry);
	return old;
}

#endif /* ZRAM_SLOT_H */
