/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Size classes: all objects of one slot size, the zspages that hold them, and the lock over these.
 */
#ifndef ZS_CLASS_H
#define ZS_CLASS_H

#include "port.h"

#define ZS_MAX_CHAIN PORT_MAX_CHAIN /* pages in a zspage */
#define ZS_MAX_SLOTS 256 /* slots in a zspage: a slot's number is a byte */
#define ZS_STEPS_SHIFT 9
#define ZS_SIZE_STEPS                                                                              \
	(1U << ZS_STEPS_SHIFT) /* slot sizes are multiples of a 512th of a page: 8 bytes of 4 KiB */
#define ZS_MIN_STEPS 2 /* the smallest slot, of which ZS_MAX_SLOTS fill a page */
#define CUT_OBJECTS 200 /* classes are cut for so many objects of each size in steps, */
#define CUT_PAGES 32 /* and for so many pages of them more */
#define ZS_GROUPS 4 /* fullness groups, by quarters; a full zspage is in none */
#define GROUP_ONE (ZS_MAX_SLOTS * ZS_MAX_SLOTS) /* so fine that rounding up makes no difference */

/* How a zspage of some class is cut. */
struct geometry {
	u32 pages;
	u32 slots;
};

/* The last class of the cheapest way to cut the sizes up to its own: see class.c. */
struct class_cut {
	u64 objects; /* that there are of all sizes up to here */
	u64 cost; /* of this class and all before it, bytes */
	u32 first; /* the smallest size in it, in steps */
	struct geometry geometry;
};

struct size_class {
	/* One cache line, which is all that most calls need. */
	struct port_lock lock; /* protects all that is not constant; see pool.c */
	u32 group_scale; /* constant: fullness groups a slot, in parts of GROUP_ONE, rounded up */
	u32 index; /* constant */
	u32 size; /* of a slot, bytes, constant */
	struct geometry geometry; /* constant */
	u32 partial[ZS_GROUPS]; /* the first zspage of each group, 0 for none */
	unsigned long objects; /* written under the lock, read without */
	/* The rest. */
	unsigned long zspages; /* as well */
	u64 held; /* pages that the zspages hold more than if they were empty */
} __attribute__((aligned(PORT_CACHELINE)));

struct classes {
	u32 count;
	struct size_class *class;
	u16 by_steps[ZS_SIZE_STEPS + 1]; /* slot size in steps, rounded up, to class */
};

struct geometry geometry_best(size_t size, u64 objects, unsigned int max_chain);
u32 classes_cut(struct class_cut *cuts, unsigned int max_chain);
int classes_init(struct classes *classes, unsigned int max_chain);
void classes_destroy(struct classes *classes);

/* The class for objects of @size bytes, 1 to the page size. */
static inline struct size_class *class_for(const struct classes *classes, size_t size)
{
	unsigned int shift = PORT_PAGE_SHIFT - ZS_STEPS_SHIFT;

	return &classes->class[classes->by_steps[(size + (1UL << shift) - 1) >> shift]];
}

/* Wait until whoever has the lock of a class has released it. */
static inline void class_await(struct size_class *class)
{
	port_lock(&class->lock);
	port_unlock(&class->lock);
}

#endif /* ZS_CLASS_H */
