/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Objects as kernels before 6.15 look at them, mapped, and as scatterlists.
 *
 * Both pin the object. One that lies in one page is mapped by telling where it is; one that spans two
 * is copied to this CPU's buffer, and back if it was written, with preemption disabled in between.
 */
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/scatterlist.h>

#include "host_pool.h"

struct map_area {
	void *buffer; /* of a page */
	bool write; /* the object that is in it has to be written back */
};

static DEFINE_PER_CPU(struct map_area, map_areas);

int map_init(void)
{
	unsigned int cpu;

	if (!COMPAT_MAP)
		return 0;
	for_each_possible_cpu(cpu)
	{
		struct map_area *area = per_cpu_ptr(&map_areas, cpu);

		area->buffer = (void *)__get_free_page(GFP_KERNEL);
		if (!area->buffer) {
			map_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void map_exit(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
	{
		struct map_area *area = per_cpu_ptr(&map_areas, cpu);

		free_page((unsigned long)area->buffer);
		area->buffer = NULL;
	}
}

/* Of a pinned object, bytes. If somebody has freed it, which is a misuse, that of some class. */
static size_t slot_size(struct zs_pool *pool, unsigned long handle)
{
	return entry_size_class(pool, handle_word(&pool->handles, (u32)handle))->size;
}

void *map_begin(struct zs_pool *pool, unsigned long handle, bool read, bool write)
{
	struct zspage *zspage;
	struct map_area *area;
	size_t offset, size;
	void *memory;

	zspage = object_get(pool, handle, 0, &offset);
	if (!zspage)
		return NULL;
	size = slot_size(pool, handle);
	memory = port_chain_at(&zspage->chain, offset, size);
	if (memory)
		return memory;
	preempt_disable();
	area = this_cpu_ptr(&map_areas);
	area->write = write;
	if (read)
		port_chain_read(&zspage->chain, offset, area->buffer, size);
	return area->buffer;
}

void map_end(struct zs_pool *pool, unsigned long handle)
{
	size_t offset, size;
	struct zspage *zspage = object_pinned(pool, handle, &offset);

	if (!zspage)
		return;
	size = slot_size(pool, handle);
	if (!port_chain_at(&zspage->chain, offset, size)) {
		struct map_area *area = this_cpu_ptr(&map_areas);

		if (area->write)
			port_chain_write(&zspage->chain, offset, area->buffer, size);
		preempt_enable();
	}
	zspage_unpin(zspage);
}

void sg_begin(struct zs_pool *pool, unsigned long handle, struct scatterlist *sg, size_t len)
{
	struct zspage *zspage;
	size_t offset, first;
	struct page **page;

	zspage = object_get(pool, handle, len, &offset);
	if (!zspage) {
		sg_init_table(sg, 1);
		return;
	}
	page = &zspage->chain.page[offset >> PAGE_SHIFT];
	first = min_t(size_t, len, PAGE_SIZE - offset_in_page(offset));
	sg_init_table(sg, first < len ? 2 : 1);
	sg_set_page(sg, page[0], (unsigned int)first, offset_in_page(offset));
	if (first < len)
		sg_set_page(sg_next(sg), page[1], (unsigned int)(len - first), 0);
}

void sg_end(struct zs_pool *pool, unsigned long handle)
{
	size_t offset;
	struct zspage *zspage = object_pinned(pool, handle, &offset);

	if (zspage)
		zspage_unpin(zspage);
}
