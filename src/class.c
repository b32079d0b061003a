/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Size classes: see class.h. Here is how they are cut.
 *
 * A class costs its objects' shares of the zspages that hold them, and, as one zspage is seldom full, what
 * such a one keeps idle. Many classes of long chains are best for many objects, few of short ones for few.
 * So sizes are cut into classes, and each class gets its chain, as is cheapest in all for a pool of some
 * 150,000 objects: as many of each slot size, and then as many bytes, so that small ones are cut as
 * finely. A pool of any number is hardly worse off than if it had been cut for that.
 */
#include "class.h"
#include "zspage.h"

static struct geometry geometry_of(size_t size, u32 pages)
{
	size_t slots = pages * PORT_PAGE_SIZE / size;
	struct geometry geometry = {
		.pages = pages,
		.slots = slots < ZS_MAX_SLOTS ? (u32)slots : ZS_MAX_SLOTS,
	};

	return geometry;
}

static size_t geometry_bytes(struct geometry geometry)
{
	return geometry.pages * PORT_PAGE_SIZE + zspage_lines(geometry) * (size_t)ZSPAGE_LINE;
}

/* What a class costs: its objects' shares of zspages, and what one in use in part keeps idle. */
static u64 geometry_cost(struct geometry geometry, u64 objects)
{
	return objects * geometry_bytes(geometry) / geometry.slots +
	       port_chain_idle(geometry.pages);
}

/**
 * geometry_best() - the chain that is cheapest.
 * @size: of a slot, bytes, at most the page size
 * @objects: how many the class is cut for
 * @max_chain: pages that a zspage may have
 *
 * Context: Any.
 * Return: the geometry that costs the fewest bytes; the shortest of equals.
 */
struct geometry geometry_best(size_t size, u64 objects, unsigned int max_chain)
{
	struct geometry best = geometry_of(size, 1);
	u64 best_cost = geometry_cost(best, objects);

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

static void class_init(struct size_class *class, u32 index, size_t size, struct geometry geometry)
{
	port_lock_init(&class->lock, PORT_RANK_CLASS);
	class->index = index;
	class->size = (u32)size;
	class->geometry = geometry;
	class->group_scale = DIV_ROUND_UP(ZS_GROUPS * GROUP_ONE, geometry.slots);
}

static size_t step_bytes(u32 steps)
{
	return steps * (PORT_PAGE_SIZE / ZS_SIZE_STEPS);
}

/* How many objects there are of a size in the pool that classes are cut for. */
static u64 cut_objects(u32 steps)
{
	return CUT_OBJECTS + CUT_PAGES * ZS_SIZE_STEPS / steps;
}

/*
 * The best last class for the sizes up to @last, given the best cuts of the sizes below. When a class
 * costs so much more than the best that no zspage makes up for it, a wider one does so, too.
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

/**
 * classes_cut() - cut the slot sizes into classes.
 * @cuts: zeroed, ZS_SIZE_STEPS + 1 of them
 * @max_chain: pages that a zspage may have, 1 to ZS_MAX_CHAIN
 *
 * Fills @cuts in for each size in steps: the last class of the cheapest way to cut up to there.
 *
 * Context: Any.
 * Return: how many classes the whole is cut into.
 */
u32 classes_cut(struct class_cut *cuts, unsigned int max_chain)
{
	u32 count = 0;

	for (u32 last = ZS_MIN_STEPS; last <= ZS_SIZE_STEPS; last++)
		cut_best(cuts, last, max_chain);
	for (u32 last = ZS_SIZE_STEPS; last >= ZS_MIN_STEPS; last = cuts[last].first - 1)
		count++;
	return count;
}

/* Make the classes of the best cut, from the largest; what is below the smallest slot is in the first. */
static void classes_make(struct classes *classes, const struct class_cut *cuts)
{
	u32 index = classes->count;

	for (u32 last = ZS_SIZE_STEPS; last >= ZS_MIN_STEPS; last = cuts[last].first - 1) {
		index--;
		class_init(&classes->class[index], index, step_bytes(last), cuts[last].geometry);
		for (u32 steps = cuts[last].first; steps <= last; steps++)
			classes->by_steps[steps] = (u16)index;
	}
}

/**
 * classes_init() - make a pool's size classes.
 * @classes: zeroed memory
 * @max_chain: pages that a zspage may have, 1 to ZS_MAX_CHAIN
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int classes_init(struct classes *classes, unsigned int max_chain)
{
	const size_t bytes = (ZS_SIZE_STEPS + 1) * sizeof(struct class_cut);
	struct class_cut *cuts = port_alloc(bytes, GFP_KERNEL);

	if (!cuts)
		return -ENOMEM;
	classes->count = classes_cut(cuts, max_chain);
	classes->class = port_alloc(classes->count * sizeof(*classes->class), GFP_KERNEL);
	if (classes->class)
		classes_make(classes, cuts);
	port_free(cuts, bytes);
	return classes->class ? 0 : -ENOMEM;
}

void classes_destroy(struct classes *classes)
{
	for (u32 i = 0; i < classes->count; i++)
		port_lock_destroy(&classes->class[i].lock);
	port_free(classes->class, classes->count * sizeof(*classes->class));
}
