/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_latency: how long another thread's calls take while a million objects are freed, beside what
 * they take when nothing is.
 */
#include <stdio.h>

#include "report.h"

enum {
	DEFERRED,
	ZS_FREE,
	CONTENDERS,
};

static const struct contender contenders[CONTENDERS] = {
	[DEFERRED] = { .name = "a drain", .subject = "late" },
	[ZS_FREE] = { .name = "zs_free", .subject = "free" },
};

static const struct condition million[] = {
	{ .name = "a million", .rounds = 3, .objects = 1000000 },
};

struct measure {
	const char *call;
	const char *percentile;
	const char *idle; /* names of figures */
	const char *freeing;
};

static const struct measure measures[] = {
	{ "zs_malloc and write", "50", "idle.store.p50", "freeing.store.p50" },
	{ "zs_malloc and write", "99", "idle.store.p99", "freeing.store.p99" },
	{ "zs_malloc and write", "99.9", "idle.store.p999", "freeing.store.p999" },
	{ "read", "50", "idle.read.p50", "freeing.read.p50" },
	{ "read", "99", "idle.read.p99", "freeing.read.p99" },
	{ "read", "99.9", "idle.read.p999", "freeing.read.p999" },
};

#define MEASURES (sizeof(measures) / sizeof(measures[0]))

static struct spread over_idle(const struct results *results, size_t contender,
			       const struct measure *measure)
{
	return results_over(results, contender, 0, measure->freeing, measure->idle);
}

static size_t targets(const struct results *results, struct target *target)
{
	static const char *const what[MEASURES] = {
		[1] = "99 % of zs_malloc and write, draining over idle",
		[2] = "99.9 % of zs_malloc and write, draining over idle",
		[4] = "99 % of reads, draining over idle",
		[5] = "99.9 % of reads, draining over idle",
	};
	size_t count = 0;

	for (size_t i = 0; i < MEASURES; i++)
		if (what[i])
			target[count++] = (struct target){
				.what = what[i],
				.unit = "",
				.limit = 2,
				.measured = over_idle(results, DEFERRED, &measures[i]).median,
			};
	return count;
}

static void tables(const struct results *results)
{
	if (results_over(results, DEFERRED, 0, "cpus", NULL).least < 2)
		printf("\nThere is one CPU only: the worker shares it with the thread that "
		       "calls.\n");
	printf("\nHow long a call takes, ns, by percentiles: medians of the rounds; and how many "
	       "times as long as idle:\nmedian, least..most\n\n"
	       "| beside             | call                | percentile |     idle |  beside |   "
	       "           times as long |\n"
	       "|--------------------|---------------------|-----------:|---------:|--------:|---"
	       "----------------------:|\n");
	for (size_t k = 0; k < CONTENDERS; k++)
		for (size_t i = 0; i < MEASURES; i++) {
			printf("| %-18s | %-19s | %8s %% | %8.0f | %7.0f |", contenders[k].name,
			       measures[i].call, measures[i].percentile,
			       results_over(results, k, 0, measures[i].idle, NULL).median,
			       results_over(results, k, 0, measures[i].freeing, NULL).median);
			report_spread(over_idle(results, k, &measures[i]));
			printf("\n");
		}
}

static void plot(const struct results *results, FILE *file)
{
	for (size_t i = 0; i < MEASURES; i++) {
		fprintf(file, "\"%s, %s %%\" %f", measures[i].call, measures[i].percentile,
			results_over(results, DEFERRED, 0, measures[i].idle, NULL).median);
		for (size_t k = 0; k < CONTENDERS; k++)
			fprintf(file, " %f",
				results_over(results, k, 0, measures[i].freeing, NULL).median);
		fprintf(file, "\n");
	}
}

static const struct bench bench = {
	.name = "latency",
	.title = "Another thread's calls beside a drain",
	.contender = contenders,
	.contenders = CONTENDERS,
	.condition = million,
	.conditions = 1,
	.targets = targets,
	.tables = tables,
	.plot = plot,
};

int main(int argc, char **argv)
{
	return bench_main(&bench, argc, argv);
}
