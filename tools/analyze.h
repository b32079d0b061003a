/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The command `zsmalloc analyze`: what a store would make of pages. That is the sizes that each
 * algorithm makes of them, the size classes of these, and the memory that they take, by the longest
 * chain.
 */
#ifndef TOOLS_ANALYZE_H
#define TOOLS_ANALYZE_H

#include <stdint.h>

#include "classes.h"
#include "source.h"

/* What a class holds, and what it wastes, in bytes. */
struct class_use {
	uint64_t objects;
	uint64_t zspages;
	uint64_t pages; /* up to the last object of each zspage */
	uint64_t rounding; /* in slots, behind their objects */
	uint64_t tails; /* in full zspages, behind their last slots */
	uint64_t free; /* behind the last object, on its page */
};

/* What one algorithm makes of the pages. */
struct outcome {
	const char *algorithm;
	uint64_t *sizes; /* pages of each compressed size, up to the page size */
	uint64_t objects; /* pages that take memory */
	uint64_t compressed; /* bytes of these */
	uint64_t incompressible; /* of these, kept as they are */
	uint64_t memory[CHAIN_MAX + 1]; /* bytes of zspages, by their longest chain from 1 */
	unsigned int best_chain; /* the shortest that takes the least */
	struct class_use *use; /* with the longest chain that there is; one a class */
};

struct analysis {
	const struct source *source;
	uint64_t same_filled; /* pages that take no memory, whatever the algorithm */
	struct class_table classes; /* with the longest chain that there is */
	unsigned int algorithms;
	struct outcome *outcome; /* one an algorithm */
};

void analysis_run(struct analysis *analysis, const struct source *source);
void analysis_destroy(struct analysis *analysis);

/* NULL if there is no such algorithm. */
const struct outcome *analysis_find(const struct analysis *analysis, const char *algorithm);

/* Memory over the compressed bytes, in per cent; 0 if there are none. */
double outcome_overhead(const struct outcome *outcome, unsigned int max_chain);

/* Bytes that were loaded over those that are kept; 0 if none are. */
double outcome_ratio(const struct analysis *analysis, const struct outcome *outcome);

static inline uint64_t class_use_waste(const struct class_use *use)
{
	return use->rounding + use->tails + use->free;
}

/* The report on stdout: text with the details of one outcome, or JSON with those of all. */
void analysis_print(const struct analysis *analysis, const struct outcome *outcome);
void analysis_print_json(const struct analysis *analysis);

/* Ends the command if the file cannot be written: to know that before the work is done. */
void analysis_plot_check(const char *file);

/* Writes an SVG to a file; what fails ends the command. */
void analysis_plot(const struct analysis *analysis, const struct outcome *outcome,
		   const char *file);

int command_analyze(int argc, char **argv);

#endif /* TOOLS_ANALYZE_H */
