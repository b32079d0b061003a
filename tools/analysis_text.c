/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* An analysis for people. */
#include <inttypes.h>
#include <stdio.h>

#include "analysis_report.h"
#include "head.h"

enum {
	BINS = 16, /* of the histogram */
};

static const char full_bar[] = "########################################";

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

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
	for (size_t bin = 0; bin < BINS; bin++)
		printf("  %5zu - %5zu %10" PRIu64 " %5.1f %% [%-*.*s]\n", bin * width + 1,
		       (bin + 1) * width, pages[bin], percent(pages[bin], outcome->objects),
		       (int)sizeof(full_bar) - 1, (int)(pages[bin] * (sizeof(full_bar) - 1) / most),
		       full_bar);
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
		printf("  %5zu %5u %5u", table->class[i].size, table->class[i].pages,
		       table->class[i].slots);
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

void analysis_text(const struct analysis *analysis, const struct outcome *outcome,
		   const struct machine *machine)
{
	print_machine("analyze", machine);
	print_source(analysis->source);
	print_algorithms(analysis);
	print_histogram(analysis, outcome);
	print_chains(outcome);
	print_classes(analysis, outcome);
}
