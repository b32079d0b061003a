/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The report of an analysis: text for people, or JSON for programs, where sizes are in bytes. */
#include "analyze.h"

#include <inttypes.h>

#include "util.h"
#include "zsmalloc.h"

enum {
	BINS = 16, /* of the histogram */
};

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

static void print_algorithms(const struct analysis *analysis)
{
	size_t pages = analysis->source->count;

	printf("Same-filled pages, which take no memory: %" PRIu64 " (%.1f %%)\n\n",
	       analysis->same_filled, percent(analysis->same_filled, pages));
	printf("%-9s %6s %15s %21s %14s %9s %11s\n", "algorithm", "ratio", "compressed, MiB",
	       "incompressible pages", "in zspages, MiB", "overhead", "best chain");
	for (unsigned int i = 0; i < analysis->algorithms; i++) {
		const struct outcome *outcome = &analysis->outcome[i];

		printf("%-9s ", outcome->algorithm);
		if (outcome->compressed)
			printf("%6.2f", outcome_ratio(analysis, outcome));
		else
			printf("%6s", "-");
		printf(" %15.1f %12" PRIu64 " (%4.1f %%) %15.1f %7.2f %% %11u\n",
		       mib(outcome->compressed), outcome->incompressible,
		       percent(outcome->incompressible, pages), mib(outcome->memory[CHAIN_MAX]),
		       outcome_overhead(outcome, CHAIN_MAX), outcome->best_chain);
	}
}

/* The longest bar stands for the most pages. */
static void print_histogram(const struct analysis *analysis, const struct outcome *outcome)
{
	size_t width = analysis->source->page_size / BINS;
	uint64_t pages[BINS] = { 0 };
	uint64_t most = 1;

	for (size_t size = 1; size <= analysis->source->page_size; size++) {
		uint64_t *bin = &pages[(size - 1) / width];

		*bin += outcome->sizes[size];
		if (*bin > most)
			most = *bin;
	}
	printf("\nPages by compressed size, %s:\n", outcome->algorithm);
	for (size_t bin = 0; bin < BINS; bin++) {
		printf("  %5zu - %5zu %10" PRIu64 " %5.1f %% ", bin * width + 1, (bin + 1) * width,
		       pages[bin], percent(pages[bin], outcome->objects));
		print_bar(stdout, pages[bin], most);
		putchar('\n');
	}
}

static void print_chains(const struct outcome *outcome)
{
	printf("\nMemory of zspages by the longest chain, %s:\n", outcome->algorithm);
	printf("  %5s %10s %9s\n", "pages", "MiB", "overhead");
	for (unsigned int chain = 1; chain <= CHAIN_MAX; chain++)
		printf("  %5u %10.1f %7.2f %%%s\n", chain, mib(outcome->memory[chain]),
		       outcome_overhead(outcome, chain),
		       chain == outcome->best_chain ? "  best" : "");
}

static void print_use(const struct class_use *use, uint64_t memory)
{
	printf(" %10" PRIu64 " %8" PRIu64 " %10.2f %8.2f %% %6.2f %% %6.2f %% %6.2f %%\n",
	       use->objects, use->zspages, mib(memory), percent(use->rounding, memory),
	       percent(use->tails, memory), percent(use->free, memory),
	       percent(class_use_waste(use), memory));
}

static void print_classes(const struct analysis *analysis, const struct outcome *outcome)
{
	const struct class_table *table = &analysis->classes;
	struct class_use total = { .objects = 0 };

	printf("\nSize classes used, %s, chains up to %u pages; waste in shares of the memory:\n",
	       outcome->algorithm, table->max_chain);
	printf("  %5s %5s %5s %10s %8s %10s %10s %8s %8s %8s\n", "size", "pages", "slots",
	       "objects", "zspages", "MiB", "rounding", "tails", "free", "waste");
	for (size_t i = 0; i < table->count; i++) {
		const struct class_use *use = &outcome->use[i];

		if (!use->objects)
			continue;
		printf("  %5zu %5u %5u", table->classes[i].size, table->classes[i].pages,
		       table->classes[i].slots);
		print_use(use, use->pages * table->page_size);
		total.objects += use->objects;
		total.zspages += use->zspages;
		total.rounding += use->rounding;
		total.tails += use->tails;
		total.free += use->free;
	}
	printf("  %-17s", "all");
	print_use(&total, outcome->memory[table->max_chain]);
}

void analysis_print(const struct analysis *analysis, const struct outcome *outcome)
{
	print_machine();
	source_print(analysis->source);
	print_algorithms(analysis);
	print_histogram(analysis, outcome);
	print_chains(outcome);
	print_classes(analysis, outcome);
}

static json_t *class_json(const struct size_class *class, const struct class_use *use)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "size",
			 number(class->size), "pages_per_zspage", number(class->pages),
			 "slots_per_zspage", number(class->slots), "objects", number(use->objects),
			 "zspages", number(use->zspages), "pages", number(use->pages),
			 "waste_rounding", number(use->rounding), "waste_tails", number(use->tails),
			 "waste_free", number(use->free));
}

static json_t *classes_json(const struct class_table *table, const struct outcome *outcome)
{
	json_t *classes = json_array();

	for (size_t i = 0; i < table->count; i++)
		if (outcome->use[i].objects)
			append(classes, class_json(&table->classes[i], &outcome->use[i]));
	return classes;
}

static json_t *chains_json(const struct outcome *outcome)
{
	json_t *chains = json_array();

	for (unsigned int chain = 1; chain <= CHAIN_MAX; chain++)
		append(chains, json_pack("{s:o, s:o, s:f}", "pages", number(chain), "memory",
					 number(outcome->memory[chain]), "overhead_percent",
					 outcome_overhead(outcome, chain)));
	return chains;
}

static json_t *sizes_json(const struct analysis *analysis, const struct outcome *outcome)
{
	json_t *sizes = json_array();

	for (size_t size = 1; size <= analysis->source->page_size; size++)
		if (outcome->sizes[size])
			append(sizes, json_pack("{s:o, s:o}", "size", number(size), "pages",
						number(outcome->sizes[size])));
	return sizes;
}

static json_t *outcome_json(const struct analysis *analysis, const struct outcome *outcome)
{
	return json_pack("{s:s, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "algorithm",
			 outcome->algorithm, "ratio", outcome_ratio(analysis, outcome), "objects",
			 number(outcome->objects), "compressed", number(outcome->compressed),
			 "incompressible_pages", number(outcome->incompressible), "best_chain",
			 number(outcome->best_chain), "chains", chains_json(outcome), "sizes",
			 sizes_json(analysis, outcome), "classes",
			 classes_json(&analysis->classes, outcome));
}

void analysis_print_json(const struct analysis *analysis)
{
	json_t *outcomes = json_array();

	for (unsigned int i = 0; i < analysis->algorithms; i++)
		append(outcomes, outcome_json(analysis, &analysis->outcome[i]));
	print_json(json_pack("{s:s, s:o, s:o, s:o, s:o}", "version", ZS_VERSION, "machine",
			     machine_json(), "loaded", source_json(analysis->source),
			     "same_filled_pages", number(analysis->same_filled), "algorithms",
			     outcomes));
}
