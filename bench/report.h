/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* What all benchmarks tell in the same way. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench.h"

/* Over the rounds. */
struct spread {
	double median;
	double least;
	double most;
};

/*
 * The spread of the figure of that name, divided by another of the same round, or, if that is NULL, as
 * it is. A figure that is in an object of its own is named "object.figure".
 */
struct spread results_over(const struct results *results, size_t contender, size_t condition,
			   const char *name, const char *by);

/* The same by the number of objects: nanoseconds an object. */
struct spread results_cost(const struct results *results, size_t contender, size_t condition,
			   const char *name);

/* Whether there are figures of this contender under this condition. */
bool results_has(const struct results *results, size_t contender, size_t condition);

/* A cell of a table, 25 wide: "median least..most". */
void report_spread(struct spread spread);

/* Prints the report and writes its files into @directory. */
void report(const struct results *results, const char *directory);

#endif /* BENCH_REPORT_H */
