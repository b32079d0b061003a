/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* `zsmalloc classes`: the table of size classes, and what each wastes. */
#include "classes.h"

#include <stdbool.h>
#include <stdio.h>

#include "class_table.h"
#include "cli.h"
#include "json.h"
#include "zsmalloc.h"

struct arguments {
	unsigned int max_chain;
	bool json;
};

static const struct argp_option classes_options[] = {
	{ "chain", 'c', "PAGES", 0, "The longest that a zspage may be, 1 to 32 (default)", 0 },
	{ "json", 'j', NULL, 0, "Report in JSON", 0 },
	{ 0 },
};

static error_t parse_classes(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'c':
		arguments->max_chain = (unsigned int)cli_number("--chain", arg, 1, CHAIN_MAX);
		return 0;
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		fail("'zsmalloc classes' takes options only, not '%s'; see its --help", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child classes_children[] = { { &cli_argp, 0, NULL, 0 }, { 0 } };

static const struct argp classes_argp = {
	.options = classes_options,
	.parser = parse_classes,
	.doc = "Shows the size classes: which sizes each takes, how a zspage is cut for it, and "
	       "what of a full zspage holds no object's bytes.",
	.children = classes_children,
};

/* What of a full zspage's memory is wasted if all objects are of this size, in per cent. */
static double waste(const struct class_table *table, const struct class *class, size_t size)
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
		const struct class *class = &table->class[i];

		printf("%5zu %7zu - %5zu %6u %6u %6zu %14.2f %% - %6.2f %%\n", i, class->least,
		       class->size, class->pages, class->slots, class_tail(table, class),
		       waste(table, class, class->least), waste(table, class, class->size));
	}
}

static void print_all_json(const struct class_table *table)
{
	json_t *classes = json_array();

	for (size_t i = 0; i < table->count; i++) {
		const struct class *class = &table->class[i];

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
	static char name[] = "zsmalloc classes";
	struct arguments arguments = { .max_chain = CHAIN_MAX };
	struct class_table table;

	argv[0] = name;
	argp_parse(&classes_argp, argc, argv, CLI_ARGP_FLAGS, NULL, &arguments);
	class_table_create(&table, arguments.max_chain);
	if (arguments.json)
		print_all_json(&table);
	else
		print_text(&table);
	class_table_destroy(&table);
	if (fflush(stdout) != 0 || ferror(stdout))
		fail("cannot write the report");
	return 0;
}
