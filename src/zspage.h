/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A zspage: a chain of pages cut into equal slots.
 *
 *   entry ── zspage number ─> ref [ where | zspage ]
 *                                    │       └─> descriptor [ class, bitmap | chain | handles ]
 *                                    └─> chain [ slot | slot | slot | ... ]
 *
 * All that a free needs stands in the first line of the descriptor, never in the pages, which are
 * cold by then. Behind it are the chain and the reverse map, from slot to handle index, which
 * compaction needs. Numbers are dense: a reader goes from the ref's where to the object, and meets
 * no descriptor.
 *
 *   where   lock 8 | base of the chain 44 | 0 | class 9 | live 1 | frozen 1
 *
 * A ref's where changes under the class lock alone; 0 is a number without a zspage. A descriptor
 * may be looked at under that lock, or by a reader that counts an object in it: see read.h.
 */
#ifndef ZS_ZSPAGE_H
#define ZS_ZSPAGE_H

#include "class.h"
#include "table.h"

#define WHERE_FROZEN 1ULL /* its objects are moving; the lock is held */
#define WHERE_LIVE 2ULL
#define WHERE_CLASS_SHIFT 2
#define WHERE_LOCK_SHIFT 56
#define WHERE_BASE (((1ULL << WHERE_LOCK_SHIFT) - 1) & ~4095ULL)

#define DESCRIPTOR_MAX_LINES                                                                       \
	DIV_ROUND_UP(DESCRIPTOR_LINE + sizeof(struct port_chain) + ZS_MAX_CHAIN * sizeof(void *) + \
			     ZS_MAX_SLOTS * sizeof(u32),                                           \
		     DESCRIPTOR_LINE)

struct zspage {
	struct size_class *class;
	struct zspage *next; /* in the list of its group, or of dead descriptors */
	struct zspage *prev;
	u64 used[ZS_MAX_SLOTS / 64]; /* a bit a slot */
	u32 number;
	u16 inuse; /* slots in use */
	/* The cache lines behind the first. */
	struct port_chain chain __attribute__((aligned(8)));
};

struct zspage_ref {
	u64 where;
	union {
		struct zspage *zspage;
		u32 next_free; /* of a number without a zspage */
	};
};

/* A page of descriptors of one length, which stand behind this head. */
struct descriptor_page {
	struct port_page page;
	struct descriptor_page *next; /* that has dead ones */
	struct descriptor_page *prev;
	struct zspage *free; /* its dead descriptors, by their next */
	u32 used;
};

/* What is left of a zspage of which a slot was freed. */
enum zspage_left {
	ZSPAGE_SOME,
	ZSPAGE_HALF, /* less than half, and it was more */
	ZSPAGE_NONE, /* the zspage is dead: its memory is the caller's to release */
};

struct zspages {
	struct table refs; /* of struct zspage_ref */
	struct port_store store;
	struct port_lock lock; /* protects what follows, and the refs of numbers without a zspage */
	u32 free_number; /* the first of those that were used before; 0: none */
	u32 next_number; /* the first that was never used */
	/* Those with dead ones, by length. */
	struct descriptor_page *room[DESCRIPTOR_MAX_LINES + 1];
};

int zspages_init(struct zspages *zspages);
void zspages_destroy(struct zspages *zspages);
struct zspage *zspage_create(struct zspages *zspages, struct size_class *class, gfp_t flags,
			     int nid);
void zspage_add(struct zspages *zspages, struct zspage *zspage);
void zspage_die(struct zspages *zspages, struct zspage *zspage);
int zspage_release(struct zspages *zspages, struct zspage *zspage);
u8 zspage_take(struct zspage *zspage, u32 handle);
enum zspage_left zspage_put_slow(struct zspages *zspages, struct zspage *zspage, u8 last,
				 u32 count);
u32 zspages_end(const struct zspages *zspages);

static inline struct zspage_ref *zspage_ref(const struct zspages *zspages, u32 number)
{
	return table_at(&zspages->refs, number, sizeof(struct zspage_ref));
}

static inline u32 where_class(u64 where)
{
	return (u32)(where >> WHERE_CLASS_SHIFT) & (ZS_SIZE_STEPS - 1);
}

static inline u8 where_lock(u64 where)
{
	return (u8)(where >> WHERE_LOCK_SHIFT);
}

/* Returns the index of the handle of the object in each slot in use. */
static inline u32 *zspage_handles(struct zspage *zspage)
{
	return (u32 *)((char *)&zspage->chain + port_chain_bytes(zspage->class->geometry.pages));
}

static inline bool zspage_slot_used(const struct zspage *zspage, u32 slot)
{
	return zspage->used[slot / 64] >> slot % 64 & 1;
}

/* Returns the slot behind the last that is in use. */
static inline u32 zspage_end(const struct zspage *zspage)
{
	u32 word = (zspage->class->geometry.slots - 1U) / 64;

	while (word && !zspage->used[word])
		word--;
	return word * 64 + (u32)fls64(zspage->used[word]);
}

/* Returns a zspage of the fullest group that has one, or NULL. */
static inline struct zspage *class_partial(const struct size_class *class)
{
	port_assert_held(class->lock);
	for (u32 group = ZS_GROUPS; group-- > 0;)
		if (class->group[group])
			return class->group[group];
	return NULL;
}

/* Says that a slot is free, for zspage_put_done(). */
static inline void zspage_clear(struct zspage *zspage, u8 slot)
{
	port_assert(zspage_slot_used(zspage, slot));
	zspage->used[slot / 64] &= ~(1ULL << slot % 64);
}

/*
 * Counts slots of a zspage that zspage_clear() freed, of which @last is the last. Returns what is
 * left.
 * - Under the class lock, since the first was freed.
 */
static inline enum zspage_left zspage_put_done(struct zspages *zspages, struct zspage *zspage,
					       u8 last, u32 count)
{
	struct size_class *class = zspage->class;
	u32 inuse = zspage->inuse - count;

	port_assert_held(class->lock);
	WRITE_ONCE(class->objects, class->objects - count);
	/* Mostly a later slot is in use: the end is where it was, and the group the same. */
	if (likely(zspage->used[last / 64] >> last % 64 &&
		   class_group(class, inuse) == class_group(class, zspage->inuse))) {
		zspage->inuse = (u16)inuse;
		return ZSPAGE_SOME;
	}
	return zspage_put_slow(zspages, zspage, last, count);
}

/* Frees one slot: see zspage_put_done(). */
static inline enum zspage_left zspage_put(struct zspages *zspages, struct zspage *zspage, u8 slot)
{
	zspage_clear(zspage, slot);
	return zspage_put_done(zspages, zspage, slot, 1);
}

#endif /* ZS_ZSPAGE_H */
