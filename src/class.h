/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Size classes: all objects of one slot size, and the zspages that hold them.
 *
 * How sizes are cut into classes depends on the longest chain alone: a class table has that, and
 * the pools share it. A pool's own classes have the lists and the counts. A class is zeroed memory,
 * which takes nothing, until its first object comes.
 */
#ifndef ZS_CLASS_H
#define ZS_CLASS_H

#include "port.h"

#define ZS_MAX_CHAIN PORT_MAX_CHAIN /* pages in a zspage */
#define ZS_MAX_SLOTS 256 /* slots in a zspage: the number of a slot is a byte */
#define ZS_STEPS_SHIFT 9
/* Slot sizes are multiples of a step, a 512th of a page: 8 bytes of 4 KiB. */
#define ZS_SIZE_STEPS (1U << ZS_STEPS_SHIFT)
#define ZS_MIN_STEPS 2 /* the smallest slot: ZS_MAX_SLOTS of them fill a page */
#define ZS_GROUPS 4 /* fullness groups, by quarters */
#define ZS_FULL ZS_GROUPS /* the list of full zspages, behind those of the groups */
#define ZS_LOCKS 256 /* class locks, which all pools share */

struct zspage;
struct zs_pool;

/* How the zspages of a class are cut. */
struct geometry {
	u32 size; /* of a slot, bytes */
	u16 slots;
	u16 pages;
};

struct class_table {
	u32 count;
	struct geometry geometry[ZS_SIZE_STEPS];
	u16 by_steps[ZS_SIZE_STEPS + 1]; /* slot size in steps, rounded up, to class */
};

struct size_class {
	/* What a free touches. All that is constant is so from class_open() on. */
	u64 objects; /* written under the lock, read without */
	struct zspage *group[ZS_GROUPS + 1]; /* the first zspage of each group, and the full ones */
	struct geometry geometry; /* constant */
	u32 group_scale; /* constant: groups a slot, in parts of GROUP_ONE, rounded up */
	u16 tag; /* constant: the pool's */
	u16 index; /* constant */
	/* The second cache line. */
	struct port_lock *lock; /* constant; protects all that is not: see pool.h */
	struct zs_pool *pool; /* constant; NULL until the first object: see class_open() */
	atomic64_t *pages; /* constant: the pool's count of the pages that its zspages hold */
	u64 zspages; /* written under the lock, read without */
	u64 held; /* pages that the zspages hold more than if they were empty */
	u8 lock_number; /* constant */
} __attribute__((aligned(PORT_CACHELINE)));

#define GROUP_ONE (ZS_MAX_SLOTS * ZS_MAX_SLOTS) /* so fine that rounding makes no difference */

/*
 * A zspage's descriptor: a line, the chain, and 4 bytes a slot. What a zspage costs is needed here,
 * before zspage.h says what it is.
 */
#define DESCRIPTOR_LINE 64U

static inline size_t descriptor_bytes(struct geometry geometry)
{
	return DESCRIPTOR_LINE + port_chain_bytes(geometry.pages) + geometry.slots * sizeof(u32);
}

struct class_table *classes_cut(unsigned int max_chain);
void class_init(struct size_class *class, u32 index, struct geometry geometry);

/* Returns the index of the class for objects of @size bytes, 1 to the page size. */
static inline u32 class_for(const struct class_table *table, size_t size)
{
	unsigned int shift = PORT_PAGE_SHIFT - ZS_STEPS_SHIFT;

	return table->by_steps[(size + (1UL << shift) - 1) >> shift];
}

/* Returns inuse * ZS_GROUPS / slots without a division; ZS_FULL if all slots are in use. */
static inline u32 class_group(const struct size_class *class, u32 inuse)
{
	return inuse * class->group_scale / GROUP_ONE;
}

/* Returns the pages that a zspage holds while nothing is stored from slot @end on. */
static inline u32 geometry_held(struct geometry geometry, u32 end)
{
	return port_chain_held(geometry.pages, (size_t)end * geometry.size);
}

/* Returns the pages that a number of objects hold when they are as close as can be. */
static inline u64 geometry_needed(struct geometry geometry, u64 objects)
{
	u32 slots = geometry.slots;
	u32 rest = (u32)(objects % slots);

	return objects / slots * geometry_held(geometry, slots) +
	       (rest ? geometry_held(geometry, rest) : 0);
}

static inline u32 class_held(const struct size_class *class, u32 end)
{
	return geometry_held(class->geometry, end);
}

#endif /* ZS_CLASS_H */
