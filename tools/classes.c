/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * `zsmalloc classes`: the table of size classes, and what each wastes.
 *
 * The allocator itself tells its classes. A pool with one object in each has one zspage of each;
 * zs_stats_classes() tells the slots and pages of that.
 */
#include "classes.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "util.h"
#include "zsmalloc.h"

/* Puts an object into each class, and finds out which sizes it takes. */
static void visit_classes(struct class_table *table, struct zs_pool *pool)
{
	for (size_t size = 1; size <= table->page_size; size++) {
		size_t index = zs_lookup_class_index(pool, (unsigned int)size);

		if (index < table->count) {
			table->classes[index].size = size;
			continue;
		}
		table->classes[index] = (struct size_class){ .least = size, .size = size };
		table->count = index + 1;
		if (zs_is_err(zs_malloc(pool, size, GFP_KERNEL, NUMA_NO_NODE)))
			fail("no memory for a pool's size classes");
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
		fail("no memory for a pool's size classes");
	rest = text;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		unsigned int slots;
		unsigned int pages;
		size_t index;

		if (!read_line(line, &index, &slots, &pages) || index >= table->count)
			continue;
		table->classes[index].slots = slots;
		table->classes[index].pages = pages;
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
	table->classes = zeroed(table->page_size, sizeof(*table->classes), "a pool's size classes");
	if (!pool)
		fail("no memory for a pool's size classes");
	visit_classes(table, pool);
	read_geometry(table, pool);
	zs_destroy_pool(pool);
}

void class_table_destroy(struct class_table *table)
{
	free(table->classes);
}

struct arguments {
	unsigned int max_chain;
	bool json;
};

static const struct cli_option classes_options[] = {
	{ "chain", 'c', "PAGES", "The longest that a zspage may be, 1 to 32 (default)" },
	{ "json", 'j', NULL, "Report in JSON" },
	{ 0 },
};

static const struct cli classes_cli = {
	.usage = "zsmalloc classes [OPTION...]",
	.summary = "Shows the size classes: which sizes each takes, how a zspage is cut for it, "
		   "and what of a full zspage holds no object's bytes.",
	.options = classes_options,
};

/* What of a full zspage's memory is wasted if all objects are of this size, in per cent. */
static double waste(const struct class_table *table, const struct size_class *class, size_t size)
{
	double memory = (double)(class->pages * table->page_size);

	return 100 * (1 - (double)(class->slots * size) / memory);
}

static void print_text(const struct class_table *table)
{
	printf("%zu size classes, of zspages of up to %u pages of %zu bytes\n\n", table->count,
	       table->max_chain, table->page_size);
	printf("%5s %15s %6s %6s %6s %28s\n", "class", "sizes, bytes", "pages", "slots", "tail",
	       "waste of smallest - largest");
	for (size_t i = 0; i < table->count; i++) {
		const struct size_class *class = &table->classes[i];

		printf("%5zu %7zu - %5zu %6u %6u %6zu %14.2f %% - %6.2f %%\n", i, class->least,
		       class->size, class->pages, class->slots, class_tail(table, class),
		       waste(table, class, class->least), waste(table, class, class->size));
	}
}

static void print_all_json(const struct class_table *table)
{
	json_t *classes = json_array();

	for (size_t i = 0; i < table->count; i++) {
		const struct size_class *class = &table->classes[i];

		append(classes,
		       json_pack("{s:o, s:o, s:o, s:o, s:o}", "least", number(class->least), "size",
				 number(class->size), "pages_per_zspage", number(class->pages),
				 "slots_per_zspage", number(class->slots), "tail",
				 number(class_tail(table, class))));
	}
	print_json(json_pack("{s:s, s:o, s:o, s:o}", "version", ZS_VERSION, "page_size",
			     number(table->page_size), "max_chain", number(table->max_chain),
			     "classes", classes));
}

int command_classes(int argc, char **argv)
{
	struct arguments arguments = { .max_chain = CHAIN_MAX };
	struct class_table table;
	int key;

	while ((key = cli_next(&classes_cli, argc, argv)))
		if (key == 'c')
			arguments.max_chain =
				(unsigned int)cli_number("--chain", optarg, 1, CHAIN_MAX);
		else
			arguments.json = true;
	cli_no_operands(argc, argv);
	class_table_create(&table, arguments.max_chain);
	if (arguments.json)
		print_all_json(&table);
	else
		print_text(&table);
	class_table_destroy(&table);
	return 0;
}
