/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Counting and showing: the tables that debugfs shows in the kernel, and zs_stats_classes() and
 * zs_stats_deferred() in a program. A lock is held for one zspage at a time: what changes meanwhile
 * is counted as it is seen.
 */
#include "pool.h"

static unsigned int tenth(const struct size_class *class, u32 inuse)
{
	if (inuse >= class->geometry.slots)
		return POOL_TENTHS - 1;
	return inuse ? (inuse * 10 - 1) / class->geometry.slots : 0;
}

static void count_zspage(const struct zspage *zspage, struct class_count *count)
{
	const struct size_class *class = zspage->class;

	count += class->index;
	count->zspages[tenth(class, zspage->inuse)]++;
	count->objects += zspage->inuse;
	count->pages += class_held(class, zspage_end(zspage));
}

/* Counts the zspages and objects of each class in @count, zeroed, one a class. No lock is held. */
void pool_count(const struct zs_pool *pool, struct class_count *count)
{
	for (u32 number = 1; number < zspages_end(&runtime.zspages); number++) {
		const struct zspage_ref *ref = zspage_ref(&runtime.zspages, number);
		u64 where = READ_ONCE(ref->where);
		struct port_lock *lock = class_lock_at(where_lock(where));

		if (!where)
			continue;
		port_lock(lock);
		where ^= READ_ONCE(ref->where);
		/* The same number and lock: the zspage lives as long as the lock is held. */
		if (READ_ONCE(ref->where) && !where_lock(where) && ref->zspage->class->pool == pool)
			count_zspage(ref->zspage, count);
		port_unlock(lock);
	}
}

/*
 * Returns how many pages the pool's zspages hold, without an estimate of what waits in the deferred
 * queue: zram compares that with its limit. In a process the pages behind the last object of a
 * zspage do not count.
 */
unsigned long pool_total_pages(const struct zs_pool *pool)
{
	u64 waited, objects, pages, pending;

	/* What comes or is drained in between counts: the total is too small, never too large. */
	do {
		u64 drained = smp_load_acquire(&runtime.queue.drained);

		waited = queue_pending_most(&runtime.queue);
		objects = unlikely(waited) ? pool_objects(pool) : 0;
		pages = (u64)atomic64_read_acquire(&pool->pages);
		pending = queue_pending_most(&runtime.queue);
		pending += READ_ONCE(runtime.queue.drained) - drained;
	} while (unlikely(pending && !waited));
	if (likely(!pending))
		return (unsigned long)pages;
	return pending < objects ? (unsigned long)(pages - pages * pending / objects) : 0;
}

/* Returns the smallest size of an object that takes a whole page, bytes. */
size_t pool_huge_size(const struct zs_pool *pool)
{
	return pool->table->geometry[pool->table->count - 2].size + 1UL;
}

/* Returns the index of the size class for objects of @size bytes; the largest above a page. */
unsigned int pool_class_index(const struct zs_pool *pool, size_t size)
{
	return class_for(pool->table, size < PORT_PAGE_SIZE ? size : PORT_PAGE_SIZE);
}

/* Prints a row, and adds it to @total. */
static void show_class(u32 index, struct geometry geometry, const struct class_count *count,
		       struct class_count *total, u64 *sums, struct port_out *out)
{
	u64 zspages = 0, needed = geometry_needed(geometry, count->objects);
	u64 slots, freeable;

	port_print(out, " %5u %5u", index, geometry.size);
	for (unsigned int i = 0; i < POOL_TENTHS; i++) {
		port_print(out, " %6u", count->zspages[i]);
		zspages += count->zspages[i];
		total->zspages[i] += count->zspages[i];
	}
	slots = zspages * geometry.slots;
	freeable = count->pages > needed ? count->pages - needed : 0;
	port_print(out, " %13llu %10llu %10llu %16u %8llu\n", (unsigned long long)slots,
		   (unsigned long long)count->objects, (unsigned long long)count->pages,
		   geometry.pages, (unsigned long long)freeable);
	total->objects += count->objects;
	sums[0] += slots;
	sums[1] += count->pages;
	sums[2] += freeable;
}

/*
 * Prints the table of size classes: fullness, objects, pages, in the columns of the kernel's own. A
 * zspage is counted under the tenth that it does not exceed; 99 % are all that are not quite full.
 */
void pool_show_classes(const struct zs_pool *pool, struct port_out *out)
{
	size_t bytes = pool->table->count * sizeof(struct class_count);
	struct class_count *count = port_alloc(bytes, GFP_KERNEL);
	struct class_count total = { .objects = 0 };
	u64 sums[3] = { 0, 0, 0 };

	if (!count) {
		port_print(out, "no memory to count with\n");
		return;
	}
	pool_count(pool, count);
	port_print(out, " %5s %5s", "class", "size");
	for (unsigned int i = 1; i < POOL_TENTHS; i++)
		port_print(out, " %5u%%", i < 10 ? i * 10 : 99);
	port_print(out, " %6s %13s %10s %10s %16s %8s\n", "100%", "obj_allocated", "obj_used",
		   "pages_used", "pages_per_zspage", "freeable");
	for (u32 i = 0; i < pool->table->count; i++)
		show_class(i, pool->table->geometry[i], &count[i], &total, sums, out);
	port_print(out, "\n %5s %5s", "Total", "");
	for (unsigned int i = 0; i < POOL_TENTHS; i++)
		port_print(out, " %6u", total.zspages[i]);
	port_print(out, " %13llu %10llu %10llu %16s %8llu\n", (unsigned long long)sums[0],
		   (unsigned long long)total.objects, (unsigned long long)sums[1], "",
		   (unsigned long long)sums[2]);
	port_free(count, bytes);
}

static void show_count(struct port_out *out, const char *name, u64 value)
{
	port_print(out, "%s: %llu\n", name, (unsigned long long)value);
}

/* Prints the deferred queue, which all pools share: what waits, and what was counted. No lock. */
void pool_show_deferred(const struct zs_pool *pool, struct port_out *out)
{
	const struct queue *queue = &runtime.queue;
	u64 drained = READ_ONCE(queue->drained), pending = queue_pending(queue);

	(void)pool;
	show_count(out, "pending", pending);
	show_count(out, "capacity", READ_ONCE(queue->capacity));
	show_count(out, "queued", drained + pending);
	show_count(out, "drained", drained);
	show_count(out, "drains", READ_ONCE(queue->drains));
	show_count(out, "fallbacks_full", (u64)atomic64_read(&queue->fallbacks[QUEUE_FULL]));
	show_count(out, "fallbacks_contended",
		   (u64)atomic64_read(&queue->fallbacks[QUEUE_CONTENDED]));
	show_count(out, "fallbacks_no_memory",
		   (u64)atomic64_read(&queue->fallbacks[QUEUE_NO_MEMORY]));
	show_count(out, "longest_drain_us", READ_ONCE(queue->longest_ns) / 1000);
}
