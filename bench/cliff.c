/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_cliff: what the caller pays when more and more exits at once, 64 MiB to 16 GiB of it. A queue
 * that can fill up has a cliff here; one that lives in what it is about to free has none.
 */
#include <stdio.h>

#include "report.h"

#define PAGE 4096.0 /* an object is what a page became */
#define MIB 1048576.0

enum {
	ZS_FREE,
	ORIGINAL,
	SMALL,
	DEFAULT,
	LIFTED,
	PARKED,
	CONTENDERS,
};

static const struct contender contenders[CONTENDERS] = {
	[ZS_FREE] = { .name = "zs_free", .subject = "free" },
	[ORIGINAL] = { .name = "original proposal", .subject = "original" },
	[SMALL] = { .name = "deferred, 128 MiB", .subject = "small" },
	[DEFAULT] = { .name = "deferred, default budget", .subject = "default" },
	[LIFTED] = { .name = "deferred, budget lifted", .subject = "lifted" },
	[PARKED] = { .name = "deferred, worker parked", .subject = "parked" },
};

static const struct condition sizes[] = {
	{ "64 MiB", { "in order", "16384" }, 7, 16384 },
	{ "256 MiB", { "in order", "65536" }, 5, 65536 },
	{ "1 GiB", { "in order", "262144" }, 3, 262144 },
	{ "4 GiB", { "in order", "1048576" }, 3, 1048576 },
	{ "16 GiB", { "in order", "4194304" }, 3, 4194304 },
};

enum {
	LARGEST = sizeof(sizes) / sizeof(sizes[0]) - 1,
};

/* A small budget has shown all it has to show long before. */
static bool takes_part(size_t contender, size_t size)
{
	return contender != SMALL || size != LARGEST;
}

static struct spread caller(const struct results *results, size_t contender, size_t size)
{
	return results_cost(results, contender, size, "caller");
}

/* The time for an object at the largest size, over that at the smallest. */
static double growth(const struct results *results, size_t contender)
{
	return caller(results, contender, results->conditions - 1).median /
	       caller(results, contender, 0).median;
}

static double queue_mib(const struct results *results)
{
	return results_over(results, PARKED, results->conditions - 1, "queue_bytes", NULL).most /
	       MIB;
}

static size_t targets(const struct results *results, struct target *target)
{
	target[0] = (struct target){
		.what = "a handle's time, largest size over smallest, parked",
		.limit = 1.5,
		.measured = growth(results, PARKED),
	};
	target[1] = (struct target){
		.what = "the same, budget lifted, worker beside it",
		.limit = 1.5,
		.measured = growth(results, LIFTED),
	};
	target[2] = (struct target){
		.what = "the queue's own memory at the largest size",
		.limit = 1,
		.unit = "MiB",
		.measured = queue_mib(results),
	};
	for (size_t i = 0; i < 2; i++)
		target[i].unit = "";
	return 3;
}

static void print_sizes(const struct results *results)
{
	printf("| freed by                  |");
	for (size_t i = 0; i < results->conditions; i++)
		printf(" %23s |", sizes[i].name);
	printf("\n|---------------------------|");
	for (size_t i = 0; i < results->conditions; i++)
		printf("------------------------:|");
	printf("\n");
}

/* How long the exit took, and how much of it fell back. */
static void print_exit(const struct results *results, size_t contender, size_t size)
{
	char fallbacks[16] = "";

	if (!results_has(results, contender, size)) {
		printf(" %23s |", "");
		return;
	}
	if (contender != ZS_FREE)
		snprintf(fallbacks, sizeof(fallbacks), "(%5.1f %%)",
			 100 * results_cost(results, contender, size, "fallbacks").median);
	printf(" %11.2f %11s |",
	       results_over(results, contender, size, "caller", NULL).median / 1e6, fallbacks);
}

static void tables(const struct results *results)
{
	printf("\nThe caller's time for an object by the size of what exits, ns: median, "
	       "least..most\n\n");
	print_sizes(results);
	for (size_t i = 0; i < CONTENDERS; i++) {
		printf("| %-25s |", contenders[i].name);
		for (size_t k = 0; k < results->conditions; k++)
			if (results_has(results, i, k))
				report_spread(caller(results, i, k));
			else
				printf(" %23s |", "");
		printf("\n");
	}
	printf("\nThe exit's time, ms: median. In brackets the share of the frees that fell "
	       "back\n\n");
	print_sizes(results);
	for (size_t i = 0; i < CONTENDERS; i++) {
		printf("| %-25s |", contenders[i].name);
		for (size_t k = 0; k < results->conditions; k++)
			print_exit(results, i, k);
		printf("\n");
	}
}

static void plot(const struct results *results, FILE *file)
{
	for (size_t i = 0; i < CONTENDERS; i++) {
		fprintf(file, "\"%s\"\n", contenders[i].name);
		for (size_t k = 0; k < results->conditions; k++) {
			double objects = (double)sizes[k].objects;
			struct spread cost;

			if (!results_has(results, i, k))
				continue;
			cost = caller(results, i, k);
			fprintf(file, "%f %f %f %f %f\n", objects * PAGE / MIB,
				cost.median * objects / 1e6, cost.median, cost.least, cost.most);
		}
		fprintf(file, "\n\n");
	}
}

static const struct bench bench = {
	.name = "cliff",
	.title = "The exit's time over the size of what exits",
	.contender = contenders,
	.contenders = CONTENDERS,
	.condition = sizes,
	.conditions = LARGEST + 1,
	.takes_part = takes_part,
	.targets = targets,
	.tables = tables,
	.plot = plot,
};

int main(int argc, char **argv)
{
	return bench_main(&bench, argc, argv);
}
