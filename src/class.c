/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Size classes: see class.h. Here is how sizes are cut into them.
 *
 * A class costs its objects' shares of their zspages, and what a zspage in use in part keeps idle.
 * Many classes of long chains are best for many objects, few of short ones for few. The cut is the
 * cheapest in all for a pool of some 150,000 objects. That has a number of each slot size, and a
 * number of bytes of each, so that small sizes are cut finely too. An object of a page has a zspage
 * of one page.
 */
#include "class.h"

#define CUT_OBJECTS 200 /* the cut is for this number of objects of each size in steps, */
#define CUT_PAGES 32 /* and for this number of pages of them more */

/* The last class of the cheapest way to cut the sizes up to its own. */
struct class_cut {
	u64 objects; /* of all sizes up to here */
	u64 cost; /* of this class and all before it, bytes */
	u32 first; /* the smallest size in the class, in steps */
	struct geometry geometry;
};

static struct geometry geometry_of(size_t size, u32 pages)
{
	size_t slots = pages * PORT_PAGE_SIZE / size;

	return (struct geometry){
		.pages = (u16)pages,
		.slots = (u16)(slots < ZS_MAX_SLOTS ? slots : ZS_MAX_SLOTS),
		.size = (u32)size,
	};
}

/* Returns the cost of a class: its objects' shares of zspages, and what a partial one wastes. */
static u64 geometry_cost(struct geometry geometry, u64 objects)
{
	size_t bytes = geometry.pages * PORT_PAGE_SIZE + descriptor_bytes(geometry);

	return objects * bytes / geometry.slots + port_chain_idle(geometry.pages);
}

/*
 * Returns the cheapest geometry for slots of @size bytes and this number of objects; the shortest
 * of equals.
 */
static struct geometry geometry_best(size_t size, u64 objects, unsigned int max_chain)
{
	struct geometry best = geometry_of(size, 1);
	u64 best_cost = geometry_cost(best, objects);

	if (size == PORT_PAGE_SIZE)
		return best;
	for (u32 pages = 2; pages <= max_chain; pages++) {
		struct geometry other = geometry_of(size, pages);
		u64 cost = geometry_cost(other, objects);

		if (cost < best_cost) {
			best = other;
			best_cost = cost;
		}
	}
	return best;
}

static size_t step_bytes(u32 steps)
{
	return steps * (PORT_PAGE_SIZE / ZS_SIZE_STEPS);
}

/* Returns the number of objects of a size in the pool that classes are cut for. */
static u64 cut_objects(u32 steps)
{
	return CUT_OBJECTS + CUT_PAGES * ZS_SIZE_STEPS / steps;
}

/*
 * Finds the best last class for the sizes up to @last, given the best cuts of the sizes below. When
 * a class costs more than the best by more than any zspage, a wider one does, too.
 */
static void cut_best(struct class_cut *cuts, u32 last, unsigned int max_chain)
{
	struct class_cut *best = &cuts[last];

	best->objects = cuts[last - 1].objects + cut_objects(last);
	best->cost = ~0ULL;
	for (u32 first = last; first >= ZS_MIN_STEPS; first--) {
		u64 objects = best->objects - cuts[first - 1].objects;
		struct geometry geometry = geometry_best(step_bytes(last), objects, max_chain);
		u64 cost = cuts[first - 1].cost + geometry_cost(geometry, objects);

		if (cost < best->cost) {
			best->cost = cost;
			best->first = first;
			best->geometry = geometry;
		} else if (cost - best->cost > 2 * ZS_MAX_CHAIN * PORT_PAGE_SIZE) {
			break;
		}
	}
}

/* Fills in the table from the largest class down; sizes below the smallest slot are in class 0. */
static void table_fill(struct class_table *table, const struct class_cut *cuts)
{
	u32 index = table->count;

	for (u32 last = ZS_SIZE_STEPS; last >= ZS_MIN_STEPS; last = cuts[last].first - 1) {
		table->geometry[--index] = cuts[last].geometry;
		for (u32 steps = cuts[last].first; steps <= last; steps++)
			table->by_steps[steps] = (u16)index;
	}
}

/*
 * Cuts the slot sizes into classes, for chains of 1 to @max_chain pages. Returns NULL for no
 * memory.
 */
struct class_table *classes_cut(unsigned int max_chain)
{
	const size_t bytes = (ZS_SIZE_STEPS + 1) * sizeof(struct class_cut);
	struct class_table *table = port_alloc(sizeof(*table), GFP_KERNEL);
	struct class_cut *cuts = port_alloc(bytes, GFP_KERNEL);

	if (table && cuts) {
		for (u32 last = ZS_MIN_STEPS; last <= ZS_SIZE_STEPS; last++)
			cut_best(cuts, last, max_chain);
		for (u32 last = ZS_SIZE_STEPS; last >= ZS_MIN_STEPS; last = cuts[last].first - 1)
			table->count++;
		table_fill(table, cuts);
	} else {
		port_free(table, sizeof(*table));
		table = NULL;
	}
	port_free(cuts, bytes);
	return table;
}

/* Makes an empty class of zeroed memory; its lock and its pool are the caller's to set. */
void class_init(struct size_class *class, u32 index, struct geometry geometry)
{
	class->index = (u16)index;
	class->geometry = geometry;
	class->group_scale = (u32)DIV_ROUND_UP(ZS_GROUPS * GROUP_ONE, geometry.slots);
}
