/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_churn: 20,000,000 random replacements, the number of objects always the same: what is resident
 * over the stored bytes on the way and at the end, and how fast it goes; ours compacting by itself and
 * without compaction, and the peers.
 */
#include <stdio.h>

#include "peers.h"
#include "report.h"

enum {
	COMPACTING,
	UNCOMPACTED,
	GLIBC,
	JEMALLOC,
	MIMALLOC,
	TCMALLOC,
	CONTENDERS,
};

static const struct contender contenders[CONTENDERS] = {
	[COMPACTING] = { .name = "zsmalloc, compacting", .subject = "compacting" },
	[UNCOMPACTED] = { .name = "... without", .subject = "free" },
	[GLIBC] = PEER_GLIBC,
	[JEMALLOC] = PEER_JEMALLOC,
	[MIMALLOC] = PEER_MIMALLOC,
	[TCMALLOC] = PEER_TCMALLOC,
};

static const struct condition churn = {
	.name = "20,000,000 replacements",
	.words = { "20000000" },
	.rounds = 1,
};

/* What is resident more than the bytes, in percent, at the end. */
static double overhead(const struct results *results, size_t contender)
{
	return 100 * (results_over(results, contender, 0, "end.resident", "end.bytes").median - 1);
}

/* Nanoseconds a replacement. */
static double cost(const struct results *results, size_t contender, const char *name)
{
	return results_over(results, contender, 0, name, "replacements").median;
}

static size_t targets(const struct results *results, struct target *target)
{
	target[0] = (struct target){ "overhead at the end, compacting", "%", 5, false,
				     overhead(results, COMPACTING) };
	target[1] = (struct target){ "throughput compacting over that without", "", 0.9, true,
				     cost(results, UNCOMPACTED, "wall") /
					     cost(results, COMPACTING, "wall") };
	return 2;
}

static double sample_overhead(const json_t *sample)
{
	return 100 * (json_number_value(json_object_get(sample, "resident")) /
			      json_number_value(json_object_get(sample, "bytes")) -
		      1);
}

/* On the way, of the first round. */
static const json_t *samples(const struct results *results, size_t contender)
{
	return json_object_get(json_array_get(results->rounds[contender][0], 0), "samples");
}

static double worst_overhead(const struct results *results, size_t contender)
{
	const json_t *all = samples(results, contender);
	double worst = 0;

	for (size_t i = 0; i < json_array_size(all); i++) {
		double now = sample_overhead(json_array_get(all, i));

		worst = now > worst ? now : worst;
	}
	return worst;
}

static void tables(const struct results *results)
{
	printf("\nWhat is resident more than the bytes that are stored, in percent, and what a "
	       "replacement takes:\nthe caller waits so many ns; all threads' CPU time, ns\n\n"
	       "| stored by            | at the end | at worst |  ns each |   CPU ns |\n"
	       "|----------------------|-----------:|---------:|---------:|---------:|\n");
	for (size_t i = 0; i < CONTENDERS; i++)
		printf("| %-20s | %10.2f | %8.2f | %8.0f | %8.0f |\n", contenders[i].name,
		       overhead(results, i), worst_overhead(results, i), cost(results, i, "wall"),
		       cost(results, i, "cpu"));
}

/* A block for each contender: millions of replacements, and the overhead then. */
static void plot(const struct results *results, FILE *file)
{
	for (size_t i = 0; i < CONTENDERS; i++) {
		const json_t *all = samples(results, i);

		fprintf(file, "\"%s\"\n", contenders[i].name);
		for (size_t k = 0; k < json_array_size(all); k++) {
			const json_t *sample = json_array_get(all, k);

			fprintf(file, "%f %f\n",
				json_number_value(json_object_get(sample, "replaced")) / 1e6,
				sample_overhead(sample));
		}
		fprintf(file, "\n\n");
	}
}

static const struct bench bench = {
	.name = "churn",
	.title = "Churn",
	.contender = contenders,
	.contenders = CONTENDERS,
	.condition = &churn,
	.conditions = 1,
	.targets = targets,
	.tables = tables,
	.plot = plot,
};

int main(int argc, char **argv)
{
	return bench_main(&bench, argc, argv);
}
