/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_back: when is the memory back with the system, after the last of a gigabyte's frees? The process
 * does nothing more.
 */
#include <stdio.h>

#include "peers.h"
#include "report.h"

#define MB 1e6
#define WITHIN 0.05 /* of the stored bytes: what may be left, or be resident from before */

enum {
	DEFERRED,
	ZS_FREE,
	ORIGINAL,
	GLIBC,
	JEMALLOC,
	MIMALLOC,
	TCMALLOC,
	CONTENDERS,
};

static const struct contender contenders[CONTENDERS] = {
	[DEFERRED] = { .name = "zs_free_deferred", .subject = "default" },
	[ZS_FREE] = { .name = "zs_free", .subject = "free" },
	[ORIGINAL] = { .name = "original proposal", .subject = "original" },
	[GLIBC] = PEER_GLIBC,
	[JEMALLOC] = PEER_JEMALLOC,
	[MIMALLOC] = PEER_MIMALLOC,
	[TCMALLOC] = PEER_TCMALLOC,
};

static const struct condition gigabyte[] = {
	{ .name = "a gigabyte", .rounds = 3 },
};

static struct spread bytes(const struct results *results, size_t contender, const char *name)
{
	return results_over(results, contender, 0, name, NULL);
}

/* What is resident in the end and was not in the beginning, as a share of what was stored. */
static double left(const struct results *results, size_t contender)
{
	return (bytes(results, contender, "left_bytes").median -
		bytes(results, contender, "began_bytes").median) /
	       bytes(results, contender, "stored_bytes").median;
}

static size_t targets(const struct results *results, struct target *target)
{
	target[0] = (struct target){
		.what = "the memory is back, after zs_free_deferred",
		.unit = "ms",
		.limit = 500,
		.measured = bytes(results, DEFERRED, "back").median / 1e6,
	};
	target[1] = (struct target){
		.what = "what is left then, over what was stored",
		.unit = "%",
		.limit = 100 * WITHIN,
		.measured = 100 * left(results, DEFERRED),
	};
	return 2;
}

static void tables(const struct results *results)
{
	printf("\nAnonymous memory that is resident, MB, and ms from the last free until it is "
	       "within "
	       "5 %% of the stored\nbytes of where it began: medians, and the most\n\n"
	       "| freed by           | in the beginning |    full | 1 s later | ms until back | "
	       "at most |\n"
	       "|--------------------|-----------------:|--------:|----------:|--------------:|"
	       "--------:|\n");
	for (size_t i = 0; i < CONTENDERS; i++) {
		struct spread back = bytes(results, i, "back");

		printf("| %-18s | %16.1f | %7.1f | %9.1f |", contenders[i].name,
		       bytes(results, i, "began_bytes").median / MB,
		       bytes(results, i, "full_bytes").median / MB,
		       bytes(results, i, "left_bytes").median / MB);
		if (left(results, i) > WITHIN)
			printf(" %13s | %7s |\n", "never in 1 s", "");
		else
			printf(" %13.0f | %7.0f |\n", back.median / 1e6, back.most / 1e6);
	}
}

/* The first round of each. */
static void plot(const struct results *results, FILE *file)
{
	for (size_t i = 0; i < CONTENDERS; i++) {
		const json_t *looks =
			json_object_get(json_array_get(results->rounds[i][0], 0), "resident");

		fprintf(file, "\"%s\"\n", contenders[i].name);
		for (size_t k = 0; k < json_array_size(looks); k++) {
			const json_t *look = json_array_get(looks, k);

			fprintf(file, "%f %f\n", json_number_value(json_array_get(look, 0)) / 1e6,
				json_number_value(json_array_get(look, 1)) / MB);
		}
		fprintf(file, "\n\n");
	}
}

static const struct bench bench = {
	.name = "back",
	.title = "When the memory is back",
	.contender = contenders,
	.contenders = CONTENDERS,
	.condition = gigabyte,
	.conditions = 1,
	.targets = targets,
	.tables = tables,
	.plot = plot,
};

int main(int argc, char **argv)
{
	return bench_main(&bench, argc, argv);
}
