/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A slot of the store: 16 bytes that say where one page is.
 *
 *   slot   word | check | state          entry   the same, as a value
 *   state  size 17 | how 2 | futile 1 | idle 1 | stamp 11
 *
 * The stamp says when the page was last written or read, in steps of 64 seconds. It is modulo 36
 * hours, and in what an idle mark needs that suffices. So a slot keeps its age in no memory of its
 * own, and a page that is read often is stamped once in a step.
 *
 * The slots of a process share locks, by a hash: neighbours have different ones. A thread holds one
 * for a few stores of words, or for a copy of an object. An empty slot is all 0, as the memory of a
 * new table comes from the system. So a store costs nothing for slots that were never written. A
 * look at one does not change that.
 */
#ifndef ZRAM_SLOT_H
#define ZRAM_SLOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <xxhash.h>

#define SLOT_LOCKS 256U

#define SLOT_SIZE_SHIFT 15 /* above: the object's size in bytes, 0 if there is none */
#define SLOT_HOW_SHIFT 13 /* of an object: the number of its compressor */
#define SLOT_HOW (3U << SLOT_HOW_SHIFT)
#define SLOT_SAME (1U << SLOT_HOW_SHIFT) /* of no object: @word, repeated, is the page */
#define SLOT_BACKED (2U << SLOT_HOW_SHIFT) /* of no object: the page is in the block @word */
#define SLOT_FUTILE (1U << 12) /* no secondary compressor makes the object smaller */
#define SLOT_IDLE (1U << 11) /* set by a walk alone, cleared by each access: see walk.h */
#define SLOT_STAMP_BITS 11
#define SLOT_STAMP ((1U << SLOT_STAMP_BITS) - 1)
#define SLOT_STAMP_SECONDS 64

/*
 * What a slot says, as a value: what was in it, or what shall be. It is empty (all 0), or has
 * SLOT_SAME or SLOT_BACKED, or has an object, whose handle is @word. An object of a page's size is
 * the page itself, a smaller one is compressed.
 */
struct entry {
	unsigned long word;
	uint32_t check; /* of the object's bytes, or the block's: entry_checksum() */
	uint32_t state;
};

struct slot {
	unsigned long word;
	uint32_t check;
	_Atomic uint32_t state;
};

_Static_assert(sizeof(struct slot) == 16, "four slots share a cache line and none straddles two");

struct slot_lock {
	_Alignas(64) pthread_mutex_t mutex;
};

extern struct slot_lock slot_locks[SLOT_LOCKS];

void *slots_create(uint64_t count, size_t size);
void slots_destroy(void *slots, uint64_t count, size_t size);

static inline size_t entry_size(const struct entry *entry)
{
	return entry->state >> SLOT_SIZE_SHIFT;
}

static inline bool entry_is_backed(const struct entry *entry)
{
	return !entry_size(entry) && (entry->state & SLOT_HOW) == SLOT_BACKED;
}

/* Returns the number of the compressor that made the object, 0 of a page as it is. */
static inline unsigned int entry_compressor(const struct entry *entry)
{
	return (entry->state & SLOT_HOW) >> SLOT_HOW_SHIFT;
}

/* Returns the seconds of a clock that stands while the system sleeps. */
static inline int64_t slot_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

/* Returns the stamp of this moment. */
static inline uint32_t slot_stamp(void)
{
	return (uint32_t)(slot_clock() / SLOT_STAMP_SECONDS) & SLOT_STAMP;
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
 * Returns whether the slot is empty, without its lock. The acquire pairs with the release in
 * slot_set().
 */
static inline bool slot_is_empty(const struct slot *slot)
{
	return atomic_load_explicit(&slot->state, memory_order_acquire) == 0;
}

static inline pthread_mutex_t *slot_mutex(const struct slot *slot)
{
	return &slot_locks[(uintptr_t)slot / sizeof(*slot) % SLOT_LOCKS].mutex;
}

static inline void slot_lock(struct slot *slot)
{
	pthread_mutex_lock(slot_mutex(slot));
}

static inline void slot_unlock(struct slot *slot)
{
	pthread_mutex_unlock(slot_mutex(slot));
}

/* Returns what a locked slot says. */
static inline struct entry slot_get(const struct slot *slot)
{
	return (struct entry){
		.word = slot->word,
		.check = slot->check,
		.state = atomic_load_explicit(&slot->state, memory_order_relaxed),
	};
}

/* Leaves @entry in a locked slot. */
static inline void slot_set(struct slot *slot, const struct entry *entry)
{
	slot->word = entry->word;
	slot->check = entry->check;
	atomic_store_explicit(&slot->state, entry->state, memory_order_release);
}

/* Changes marks and stamp of a locked slot. */
static inline void slot_mark(struct slot *slot, uint32_t state)
{
	atomic_store_explicit(&slot->state, state, memory_order_relaxed);
}

/* Notes that a locked slot, which says @entry, is accessed now. */
static inline void slot_touch(struct slot *slot, const struct entry *entry)
{
	uint32_t state = (entry->state & ~(SLOT_IDLE | SLOT_STAMP)) | slot_stamp();

	if (state != entry->state)
		slot_mark(slot, state);
}

/* Puts @entry into the slot. Returns what was there, which is the caller's now. */
static inline struct entry slot_replace(struct slot *slot, const struct entry *entry)
{
	struct entry old;

	slot_lock(slot);
	old = slot_get(slot);
	slot_set(slot, entry);
	slot_unlock(slot);
	return old;
}

#endif /* ZRAM_SLOT_H */
