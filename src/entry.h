/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The bits of a handle and of its entry.
 *
 *   handle       0 | tag 15 | generation 16 | index 32
 *   name                      generation 16 | index 32
 *   live entry   generation 16 | zspage 31 | lock 8 | slot 8 | 1
 *   dead entry   generation 16 | 0     ...     | tag 15      | 0
 *
 * The entry, 8 bytes in a table, says where the object is and of which generation it is. One
 * comparison with the handle tells a live object from a double free, a stale handle and a made-up
 * number. The lock is the one of the object's size class: a free takes it before it looks at the
 * zspage. A dead entry keeps the tag of the pool that had it last.
 *
 * A live entry changes under that lock alone, and a move keeps the lock. A dead one belongs to the
 * thread that took it: handle_open() makes it live with the next generation. A free kills an entry
 * only if it is unchanged under the lock, so a second free fails. Any thread may look at any time.
 */
#ifndef ZS_ENTRY_H
#define ZS_ENTRY_H

#include "port.h"

#define HANDLE_INDEX_BITS 32
#define HANDLE_TAG_SHIFT 48
#define HANDLE_TAGS (1U << 15)

#define ENTRY_LIVE 1ULL
#define ENTRY_TAG_SHIFT 1
#define ENTRY_SLOT_SHIFT 1
#define ENTRY_LOCK_SHIFT 9
#define ENTRY_ZSPAGE_SHIFT 17
#define ENTRY_ZSPAGE_BITS 31
#define ENTRY_GEN_SHIFT 48

static inline u64 handle_name(unsigned long handle)
{
	return handle & ((1ULL << HANDLE_TAG_SHIFT) - 1);
}

static inline u32 handle_tag(unsigned long handle)
{
	return (u32)(handle >> HANDLE_TAG_SHIFT);
}

static inline u64 name_make(u16 gen, u32 index)
{
	return (u64)gen << HANDLE_INDEX_BITS | index;
}

static inline u16 name_gen(u64 name)
{
	return (u16)(name >> HANDLE_INDEX_BITS);
}

static inline unsigned long handle_make(u32 tag, u64 name)
{
	return (u64)tag << HANDLE_TAG_SHIFT | name;
}

static inline u64 entry_make(u16 gen, u32 zspage, u8 lock, u8 slot)
{
	return (u64)gen << ENTRY_GEN_SHIFT | (u64)zspage << ENTRY_ZSPAGE_SHIFT |
	       (u64)lock << ENTRY_LOCK_SHIFT | (u64)slot << ENTRY_SLOT_SHIFT | ENTRY_LIVE;
}

/* Makes the dead entry that follows a live one. */
static inline u64 entry_make_dead(u64 entry, u32 tag)
{
	return (entry >> ENTRY_GEN_SHIFT << ENTRY_GEN_SHIFT) | (u64)tag << ENTRY_TAG_SHIFT;
}

static inline u16 entry_gen(u64 entry)
{
	return (u16)(entry >> ENTRY_GEN_SHIFT);
}

static inline u32 entry_zspage(u64 entry)
{
	return (u32)(entry >> ENTRY_ZSPAGE_SHIFT) & ((1U << ENTRY_ZSPAGE_BITS) - 1);
}

static inline u8 entry_lock(u64 entry)
{
	return (u8)(entry >> ENTRY_LOCK_SHIFT);
}

static inline u8 entry_slot(u64 entry)
{
	return (u8)(entry >> ENTRY_SLOT_SHIFT);
}

/* Returns the tag in a dead entry. */
static inline u32 entry_tag(u64 entry)
{
	return (u32)(entry >> ENTRY_TAG_SHIFT) & (HANDLE_TAGS - 1);
}

/* Returns whether the entry is that of the live object of this name. */
static inline bool entry_is(u64 entry, u64 name)
{
	u64 differs = entry ^ name << (ENTRY_GEN_SHIFT - HANDLE_INDEX_BITS);

	return (differs & (~0ULL << ENTRY_GEN_SHIFT | ENTRY_LIVE)) == ENTRY_LIVE;
}

#endif /* ZS_ENTRY_H */
