/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Objects as the kernels look at them beside zs_obj_read_begin(): before 6.15 mapped, later also as
 * scatterlists. Both keep the object where it is, as any reader does.
 */
#include <linux/percpu.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <linux/local_lock.h> /* where it needs spinlock_t, it does not say what that is */

#include "../../src/read.h"
#include "host.h"

#if HAVE_MAP

/*
 * An object that lies in one page is mapped by its address. One that spans two is copied to this
 * CPU's buffer, and back if it was written. In between its task has the buffer's lock, and stays on
 * the CPU; with PREEMPT_RT it may be preempted.
 */
struct map_area {
	local_lock_t lock; /* protects the rest, and the buffer */
	bool write; /* the object in the buffer has to be written back */
};

static DEFINE_PER_CPU(struct map_area, map_areas) = { .lock = INIT_LOCAL_LOCK(lock) };
static char *map_buffers; /* a page for each CPU */

int map_init(void)
{
	map_buffers = kvmalloc_array(nr_cpu_ids, PAGE_SIZE, GFP_KERNEL);
	return map_buffers ? 0 : -ENOMEM;
}

void map_exit(void)
{
	kvfree(map_buffers);
}

/* Returns this CPU's buffer. Context: its lock is held. */
static char *map_buffer(void)
{
	return map_buffers + smp_processor_id() * PAGE_SIZE;
}

void *map_begin(struct zs_pool *pool, unsigned long handle, bool read, bool write)
{
	struct object object;
	void *memory;

	if (!read_begin(pool, handle, &object)) {
		misuse_handle(pool, "zs_map_object", handle);
		return NULL;
	}
	memory = object_at(&object, object.size);
	if (memory)
		return memory;
	local_lock(&map_areas.lock);
	this_cpu_write(map_areas.write, write);
	memory = map_buffer();
	if (read)
		port_chain_read(&object.ref->zspage->chain, object.offset, memory, object.size);
	return memory;
}

void map_end(struct zs_pool *pool, unsigned long handle)
{
	struct object object;

	if (!read_again(pool, handle, &object)) {
		misuse_handle(pool, "zs_unmap_object", handle);
		return;
	}
	if (!object_at(&object, object.size)) {
		if (this_cpu_read(map_areas.write))
			port_chain_write(&object.ref->zspage->chain, object.offset, map_buffer(),
					 object.size);
		local_unlock(&map_areas.lock);
	}
	read_end(&object);
}

#else

void sg_begin(struct zs_pool *pool, unsigned long handle, struct scatterlist *sg, size_t len)
{
	struct object object;
	struct page **page;
	size_t first;

	sg_init_table(sg, 1);
	if (!read_begin(pool, handle, &object)) {
		misuse_handle(pool, "zs_obj_read_sg_begin", handle);
		return;
	}
	if (len > object.size) {
		read_end(&object);
		misuse_pool(pool, "zs_obj_read_sg_begin",
			    "access beyond the end of the slot of handle", handle);
		return;
	}
	page = &object.ref->zspage->chain.page[object.offset >> PAGE_SHIFT];
	first = min_t(size_t, len, PAGE_SIZE - offset_in_page(object.offset));
	sg_init_table(sg, first < len ? 2 : 1);
	sg_set_page(sg, page[0], (unsigned int)first, offset_in_page(object.offset));
	if (first < len)
		sg_set_page(sg_next(sg), page[1], (unsigned int)(len - first), 0);
}

void sg_end(struct zs_pool *pool, unsigned long handle)
{
	struct object object;

	if (read_again(pool, handle, &object))
		read_end(&object);
	else
		misuse_handle(pool, "zs_obj_read_sg_end", handle);
}

#endif
