/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Counting and showing: the tables that debugfs shows in the kernel, and zs_stats_classes() and
 * zs_stats_deferred() in a program. No lock is taken that a caller might have to wait for long: the
 * zspages are counted as they are seen.
 */
#include "pool.h"

static unsigned int tenth(const struct size_class *class, u32 inuse)
{
	if (inuse >= class->geometry.slots)
		return POOL_TENTHS - 1;
	return inuse ? (inuse * 10 - 1) / class->geometry.slots : 0;
}

/**
 * pool_count() - count the zspages and objects of each class.
 * @pool: the pool
 * @count: zeroed, one a class
 *
 * Context: Any. Takes no lock: what changes meanwhile is counted as it is seen.
 */
void pool_count(const struct zs_pool *pool, struct class_count *count)
{
	for (u32 number = 0; (number = zspage_next(&pool->zspages, number));) {
		const struct zspage *zspage = zspage_at(&pool->zspages, number);
		u32 class = READ_ONCE(zspage->class); /* it may have died since */
		u32 inuse = READ_ONCE(zspage->inuse);

		if (!class)
			continue;
		count[class - 1].zspages[tenth(&pool->classes.class[class - 1], inuse)]++;
		count[class - 1].objects += inuse;
		count[class - 1].pages += zspage_held(zspage, &pool->classes.class[class - 1]);
	}
}

/* The pages that so many objects of a class hold when they are as close together as can be. */
static u64 pages_needed(const struct size_class *class, u64 objects)
{
	u32 slots = class->geometry.slots;
	u32 rest = (u32)(objects % slots);

	return objects / slots * class_held(class, slots) + (rest ? class_held(class, rest) : 0);
}

/* A row, added to @total. */
static void show_class(const struct size_class *class, const struct class_count *count,
		       struct class_count *total, u64 *sums, struct port_out *out)
{
	u64 zspages = 0, needed = pages_needed(class, count->objects);
	u64 slots, freeable;

	port_print(out, " %5u %5u", class->index, class->size);
	for (unsigned int i = 0; i < POOL_TENTHS; i++) {
		port_print(out, " %6u", count->zspages[i]);
		zspages += count->zspages[i];
		total->zspages[i] += count->zspages[i];
	}
	slots = zspages * class->geometry.slots;
	freeable = count->pages > needed ? count->pages - needed : 0;
	port_print(out, " %13llu %10llu %10llu %16u %8llu\n", (unsigned long long)slots,
		   (unsigned long long)count->objects, (unsigned long long)count->pages,
		   class->geometry.pages, (unsigned long long)freeable);
	total->objects += count->objects;
	sums[0] += slots;
	sums[1] += count->pages;
	sums[2] += freeable;
}

/**
 * pool_show_classes() - the table of size classes: fullness, objects, pages.
 * @pool: the pool
 * @out: where to print it
 *
 * The columns are those of the kernel's own table. A zspage is counted under the tenth that it
 * does not exceed, 99 % being all that are not quite full.
 *
 * Context: May sleep. Takes no lock.
 */
void pool_show_classes(const struct zs_pool *pool, struct port_out *out)
{
	size_t bytes = pool->classes.count * sizeof(struct class_count);
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
	for (u32 i = 0; i < pool->classes.count; i++)
		show_class(&pool->classes.class[i], &count[i], &total, sums, out);
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

/**
 * pool_show_deferred() - the deferred queue: what waits, and what has been counted.
 * @pool: the pool
 * @out: where to print it
 *
 * Context: May sleep. Takes no lock.
 */
void pool_show_deferred(const struct zs_pool *pool, struct port_out *out)
{
	struct deferred_stats stats;

	deferred_stats(&pool->deferred, &stats);
	show_count(out, "pending", stats.pending);
	show_count(out, "capacity", stats.capacity);
	show_count(out, "queued", stats.queued);
	show_count(out, "drained", stats.drained);
	show_count(out, "drains", stats.drains);
	show_count(out, "helpers", stats.helpers);
	show_count(out, "fallbacks_full", stats.fallbacks[DEFERRED_FULL]);
	show_count(out, "fallbacks_contended", stats.fallbacks[DEFERRED_CONTENDED]);
	show_count(out, "fallbacks_no_memory", stats.fallbacks[DEFERRED_NO_MEMORY]);
	show_count(out, "longest_drain_us", stats.longest_ns / 1000);
}
