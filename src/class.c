/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Size classes: see class.h. Here is how they are cut.
 *
 * For each slot size the chain is as long as wastes least: the memory of a zspage, its descriptor
 * included, over the slots in it. Neighbouring sizes that come out alike are one class, whose slot
 * is the largest of them: more classes would not save a byte.
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

/**
 * geometry_best() - the chain that wastes least.
 * @size: of a slot, bytes, at most the page size
 * @max_chain: pages that a zspage may have
 *
 * Context: Any.
 * Return: the geometry with the fewest bytes a slot; the shortest of equals.
 */
struct geometry geometry_best(size_t size, unsigned int max_chain)
{
	struct geometry best = geometry_of(size, 1);

	for (u32 pages = 2; pages <= max_chain; pages++) {
		struct geometry other = geometry_of(size, pages);

		if (geometry_bytes(other) * best.slots < geometry_bytes(best) * other.slots)
			best = other;
	}
	return best;
}

static void class_init(struct size_class *class, u32 index, size_t size, struct geometry geometry)
{
	port_lock_init(&class->lock, PORT_RANK_CLASS);
	class->index = index;
	class->size = (u32)size;
	class->geometry = geometry;
}

static bool geometry_same(struct geometry a, struct geometry b)
{
	return a.pages == b.pages && a.slots == b.slots;
}

/*
 * Classes are numbered from the smallest, and found from the largest: the first size to have its
 * geometry is the largest that does. @class may be NULL, to count.
 */
static u32 classes_cut(struct size_class *class, u32 count, u16 *by_steps, unsigned int max_chain)
{
	struct geometry last = { 0, 0 };
	u32 found = 0;

	for (u32 steps = ZS_SIZE_STEPS; steps >= ZS_MIN_STEPS; steps--) {
		size_t size = steps * (PORT_PAGE_SIZE / ZS_SIZE_STEPS);
		struct geometry geometry = geometry_best(size, max_chain);

		if (!geometry_same(geometry, last)) {
			last = geometry;
			found++;
			if (class)
				class_init(&class[count - found], count - found, size, geometry);
		}
		by_steps[steps] = (u16)(count - found);
	}
	for (u32 steps = 0; steps < ZS_MIN_STEPS; steps++)
		by_steps[steps] = 0;
	return found;
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
	classes->count = classes_cut(NULL, 0, classes->by_steps, max_chain);
	classes->class = port_alloc(classes->count * sizeof(*classes->class), GFP_KERNEL);
	if (!classes->class)
		return -ENOMEM;
	classes_cut(classes->class, classes->count, classes->by_steps, max_chain);
	return 0;
}

void classes_destroy(struct classes *classes)
{
	for (u32 i = 0; i < classes->count; i++)
		port_lock_destroy(&classes->class[i].lock);
	port_free(classes->class, classes->count * sizeof(*classes->class));
}
