/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A zspage: a chain of pages cut into equal slots.
 *
 * All that is known of it stands in its descriptor, never in its pages, which are cold when an
 * object is freed. A descriptor is a run of cache lines in a table: the first line is all that a
 * free needs, behind it come the rest of the chain and the reverse map, from slot to handle index,
 * which compaction needs. It is named by the number of its first line.
 *
 * Descriptors are type-stable: a run of lines is a descriptor of that length for ever, so that a
 * reader that pins one too late, when it has died or serves another zspage, changes nothing but
 * its count of pins, and takes that back.
 */
#ifndef ZS_ZSPAGE_H
#define ZS_ZSPAGE_H

#include "class.h"

#define ZSPAGE_LINE PORT_CACHELINE
#define ZSPAGE_MAX_LINES                                                                           \
	DIV_ROUND_UP(offsetof(struct zspage, chain) + ZS_MAX_CHAIN * sizeof(void *) +              \
			     ZS_MAX_SLOTS * sizeof(u32),                                           \
		     ZSPAGE_LINE)
#define ZSPAGE_FROZEN (1 << 30) /* in the pins: its objects are being moved */

struct zspage {
	atomic_t
		pins; /* readers, plus ZSPAGE_FROZEN while the class lock is held to move objects */
	u16 class; /* its index plus 1 from birth to death, else 0 */
	u16 inuse; /* slots; this and what follows is protected by the class lock */
	u32 prev; /* in the list of a fullness group */
	u32 next;
	u64 used[ZS_MAX_SLOTS / 64]; /* a bit a slot */
	struct port_chain chain;
};

struct zspages {
	struct table lines;
	struct port_store store;
	struct port_lock lock; /* protects what follows */
	u32 free[ZSPAGE_MAX_LINES + 1]; /* first dead descriptor, by lines; linked by next */
	u32 fresh[ZSPAGE_MAX_LINES + 1]; /* next line that was never used, by lines */
	atomic64_t pages; /* that the zspages hold; needs no lock */
};

/* The first line of each chunk of the table says how it is cut. */
struct zspage_chunk {
	u32 lines; /* of each descriptor in it; 0 if it has none yet */
};

int zspages_init(struct zspages *zspages);
void zspages_destroy(struct zspages *zspages, const struct classes *classes);
u32 zspage_create(struct zspages *zspages, const struct size_class *class, gfp_t flags, int nid);
int zspage_release(struct zspages *zspages, const struct size_class *class, u32 number);
u32 zspage_next(const struct zspages *zspages, u32 number);

void zspage_list(struct zspages *zspages, struct size_class *class, u32 number);
void zspage_unlist(struct zspages *zspages, struct size_class *class, u32 number);
u8 zspage_take(struct zspages *zspages, struct size_class *class, u32 number, u32 handle);
bool zspage_put(struct zspages *zspages, struct size_class *class, u32 number, u8 slot);

static inline struct zspage *zspage_at(const struct zspages *zspages, u32 number)
{
	return table_at(&zspages->lines, number, ZSPAGE_LINE);
}

/* The class of a zspage that lives. */
static inline struct size_class *zspage_class(const struct zspage *zspage,
					      const struct classes *classes)
{
	return &classes->class[zspage->class - 1];
}

/* The lines that a descriptor takes. */
static inline u32 zspage_lines(struct geometry geometry)
{
	size_t bytes = offsetof(struct zspage, chain) + port_chain_bytes(geometry.pages) +
		       geometry.slots * sizeof(u32);

	return (u32)DIV_ROUND_UP(bytes, ZSPAGE_LINE);
}

/* The index of the handle of the object in each slot that is used. */
static inline u32 *zspage_handles(struct zspage *zspage, const struct size_class *class)
{
	return (u32 *)((char *)&zspage->chain + port_chain_bytes(class->geometry.pages));
}

/* inuse * ZS_GROUPS / slots, for less than a division takes; below ZS_GROUPS unless it is full. */
static inline u32 zspage_group(const struct size_class *class, u32 inuse)
{
	u32 slots = class->geometry.slots;
	u32 group = 0;

	inuse *= ZS_GROUPS;
	while (group < ZS_GROUPS && inuse >= slots) {
		inuse -= slots;
		group++;
	}
	return group;
}

/* Where in a zspage nothing is stored any more: the slot behind the last that is used. */
static inline u32 zspage_end(const struct zspage *zspage, const struct size_class *class)
{
	u32 word = (class->geometry.slots - 1) / 64;

	while (word && !READ_ONCE(zspage->used[word]))
		word--;
	return word * 64 + (u32)fls64(READ_ONCE(zspage->used[word]));
}

/* The pages that a zspage holds if that is its end. */
static inline u32 class_held(const struct size_class *class, u32 end)
{
	return port_chain_held(class->geometry.pages, (size_t)end * class->size);
}

static inline u32 zspage_held(const struct zspage *zspage, const struct size_class *class)
{
	return class_held(class, zspage_end(zspage, class));
}

static inline bool zspage_is_full(const struct zspage *zspage, const struct size_class *class)
{
	return zspage->inuse == class->geometry.slots;
}

/* A zspage of the fullest group that has one, or 0. Under the class lock. */
static inline u32 class_partial(const struct size_class *class)
{
	for (u32 group = ZS_GROUPS; group-- > 0;)
		if (class->partial[group])
			return class->partial[group];
	return 0;
}

/*
 * Keep a zspage's objects from moving, unless they are just being moved. No lock.
 * The acquire pairs with the release of zspage_thaw(): who pins after it sees where objects went.
 */
static inline bool zspage_pin(struct zspage *zspage)
{
	if (likely(!(atomic_fetch_add_acquire(1, &zspage->pins) & ZSPAGE_FROZEN)))
		return true;
	atomic_fetch_sub_release(1, &zspage->pins);
	return false;
}

/* Pairs with the acquire of zspage_freeze(): what was done under the pin is done. */
static inline void zspage_unpin(struct zspage *zspage)
{
	atomic_fetch_sub_release(1, &zspage->pins);
}

static inline int zspage_pins(const struct zspage *zspage)
{
	return atomic_read(&zspage->pins) & ~ZSPAGE_FROZEN;
}

/* Under the class lock: have the zspage to oneself, if nobody has pinned it. */
static inline bool zspage_freeze(struct zspage *zspage)
{
	return atomic_cmpxchg_acquire(&zspage->pins, 0, ZSPAGE_FROZEN) == 0;
}

static inline void zspage_thaw(struct zspage *zspage)
{
	atomic_fetch_sub_release(ZSPAGE_FROZEN, &zspage->pins);
}

#endif /* ZS_ZSPAGE_H */
