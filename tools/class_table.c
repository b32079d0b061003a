/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Asks the allocator for its classes. A pool with one object in each has one zspage of each; its
 * table (zs_stats_classes()) tells the slots and pages of that.
 */
#include "class_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "zsmalloc.h"

static _Noreturn void no_memory_for_classes(void)
{
	fail("no memory for a pool's size classes");
}

/* Puts an object into each class, and finds out which sizes it takes. */
static void visit_classes(struct class_table *table, struct zs_pool *pool)
{
	for (size_t size = 1; size <= table->page_size; size++) {
		size_t index = zs_lookup_class_index(pool, (unsigned int)size);

		if (index < table->count) {
			table->class[index].size = size;
			continue;
		}
		table->class[index] = (struct class){ .least = size, .size = size };
		table->count = index + 1;
		if (zs_is_err(zs_malloc(pool, size, GFP_KERNEL, NUMA_NO_NODE)))
			no_memory_for_classes();
	}
}

/* Reads a line of the table: class, size, 11 counts, slots, objects, pages, pages of a zspage. */
static bool read_line(const char *line, size_t *index, unsigned int *slots, unsigned int *pages)
{
	return sscanf(line, "%zu %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %u %*u %*u %u",
		      index, slots, pages) == 3;
}

static void read_geometry(struct class_table *table, struct zs_pool *pool)
{
	char *text = NULL;
	size_t size = 0;
	size_t read = 0;
	FILE *out = open_memstream(&text, &size);
	char *rest;

	if (!out || zs_stats_classes(pool, out) != 0 || fclose(out) != 0)
		no_memory_for_classes();
	rest = text;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		unsigned int slots;
		unsigned int pages;
		size_t index;

		if (!read_line(line, &index, &slots, &pages) || index >= table->count)
			continue;
		table->class[index].slots = slots;
		table->class[index].pages = pages;
		read++;
	}
	free(text);
	if (read != table->count)
		fail("the pool's table of classes has %zu lines, not %zu", read, table->count);
}

void class_table_create(struct class_table *table, unsigned int max_chain)
{
	const struct zs_pool_options options = { .size = sizeof(options), .max_chain = max_chain };
	struct zs_pool *pool = zs_create_pool_with("classes", &options);

	*table = (struct class_table){
		.max_chain = max_chain,
		.page_size = (size_t)sysconf(_SC_PAGESIZE),
	};
	table->class = calloc(table->page_size, sizeof(*table->class));
	if (!pool || !table->class)
		no_memory_for_classes();
	visit_classes(table, pool);
	read_geometry(table, pool);
	zs_destroy_pool(pool);
}

void class_table_destroy(struct class_table *table)
{
	free(table->class);
}
