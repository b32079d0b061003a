/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_density: what is resident over the bytes that are stored, ours and the peers': fresh, and after
 * a random share of the objects was freed and all was given back that can be. bench_density_zstd is
 * the same, of the same pages compressed by zstd.
 */
#include <stdio.h>

#include "peers.h"
#include "report.h"

enum {
	OURS,
	GLIBC,
	JEMALLOC,
	MIMALLOC,
	TCMALLOC,
	CONTENDERS,
};

static const struct contender contenders[CONTENDERS] = {
	[OURS] = { .name = "zsmalloc", .subject = "free" },
	[GLIBC] = PEER_GLIBC,
	[JEMALLOC] = PEER_JEMALLOC,
	[MIMALLOC] = PEER_MIMALLOC,
	[TCMALLOC] = PEER_TCMALLOC,
};

enum {
	FREE_50,
	FREE_80,
	FREE_95,
	SHARES,
};

static const struct condition shares[SHARES] = {
	[FREE_50] = { .name = "50 % freed", .words = { "50" }, .rounds = 1 },
	[FREE_80] = { .name = "80 % freed", .words = { "80" }, .rounds = 1 },
	[FREE_95] = { .name = "95 % freed", .words = { "95" }, .rounds = 1 },
};

/* What is resident more than the bytes, in percent. */
static double overhead(const struct results *results, size_t contender, size_t share,
		       const char *resident, const char *bytes)
{
	return 100 * (results_over(results, contender, share, resident, bytes).median - 1);
}

static double fresh(const struct results *results, size_t contender)
{
	return overhead(results, contender, FREE_50, "stored_resident", "stored_bytes");
}

static double left(const struct results *results, size_t contender, size_t share)
{
	return overhead(results, contender, share, "left_resident", "left_bytes");
}

static size_t targets(const struct results *results, struct target *target)
{
	target[0] = (struct target){ "fresh", "%", 1.5, false, fresh(results, OURS) };
	target[1] = (struct target){ "a random 50 % freed, compacted", "%", 5, false,
				     left(results, OURS, FREE_50) };
	target[2] = (struct target){ "a random 80 % freed, compacted", "%", 5, false,
				     left(results, OURS, FREE_80) };
	target[3] = (struct target){ "a random 95 % freed, compacted", "%", 5, false,
				     left(results, OURS, FREE_95) };
	return 4;
}

static void tables(const struct results *results)
{
	printf("\nWhat is resident more than the bytes that are stored, in percent: fresh; after a "
	       "random share was\nfreed; and after all that can be was given back. And ms that "
	       "this took\n\n"
	       "| stored by |   fresh |  50 %% freed | given back |   ms |  80 %% freed | given "
	       "back "
	       "|   ms |  95 %% freed | given back |   ms |\n"
	       "|-----------|--------:|------------:|-----------:|-----:|------------:|-----------:"
	       "|-----:|------------:|-----------:|-----:|\n");
	for (size_t i = 0; i < CONTENDERS; i++) {
		printf("| %-9s | %7.2f |", contenders[i].name, fresh(results, i));
		for (size_t share = 0; share < SHARES; share++)
			printf(" %11.1f | %10.2f | %4.0f |",
			       overhead(results, i, share, "freed_resident", "left_bytes"),
			       left(results, i, share),
			       results_over(results, i, share, "give_back", NULL).median / 1e6);
		printf("\n");
	}
}

static void plot(const struct results *results, FILE *file)
{
	for (size_t i = 0; i < CONTENDERS; i++) {
		fprintf(file, "%s %f", contenders[i].name, fresh(results, i));
		for (size_t share = 0; share < SHARES; share++)
			fprintf(file, " %f", left(results, i, share));
		fprintf(file, "\n");
	}
}

/* Enough for more than a gigabyte of objects. */
static const struct bench bench = {
#ifdef DENSITY_ZSTD
	.name = "density_zstd",
	.title = "Density, zstd",
	.codec = CORPUS_ZSTD,
#else
	.name = "density",
	.title = "Density, lz4",
#endif
	.objects = 600000,
	.contender = contenders,
	.contenders = CONTENDERS,
	.condition = shares,
	.conditions = SHARES,
	.targets = targets,
	.tables = tables,
	.plot = plot,
};

int main(int argc, char **argv)
{
	return bench_main(&bench, argc, argv);
}
