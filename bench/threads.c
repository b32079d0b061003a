/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_threads: several threads that exit at once, with objects of one pool. Do they meet in the
 * queue, and how much sooner are they done than by zs_free()?
 */
#include <stdio.h>

#include "report.h"

enum {
	ZS_FREE,
	ORIGINAL,
	PARKED,
	RUNNING,
	CONTENDERS,
};

static const struct contender contenders[CONTENDERS] = {
	[ZS_FREE] = { .name = "zs_free", .subject = "free" },
	[ORIGINAL] = { .name = "original proposal", .subject = "original" },
	[PARKED] = { .name = "deferred, parked", .subject = "parked" },
	[RUNNING] = { .name = "deferred, running", .subject = "running" },
};

enum {
	ONE,
	TWO,
	FOUR,
	REFILL_TWO,
	REFILL_FOUR,
	CONDITIONS,
};

static const struct condition conditions[CONDITIONS] = {
	[ONE] = { .name = "1 thread", .words = { "exit", "1" }, .rounds = 5 },
	[TWO] = { .name = "2 threads", .words = { "exit", "2" }, .rounds = 5 },
	[FOUR] = { .name = "4 threads", .words = { "exit", "4" }, .rounds = 3 },
	[REFILL_TWO] = { .name = "10 million, 2 threads", .words = { "refill", "2" }, .rounds = 1 },
	[REFILL_FOUR] = { .name = "10 million, 4 threads",
			  .words = { "refill", "4" },
			  .rounds = 1 },
};

/*
 * Two threads show what the original proposal has to show; and threads that refill meet the worker
 * besides.
 */
static bool takes_part(size_t contender, size_t condition)
{
	if (contender == ORIGINAL)
		return condition == TWO;
	return condition < REFILL_TWO || contender == RUNNING;
}

static double exit_ms(const struct results *results, size_t contender, size_t condition)
{
	return results_over(results, contender, condition, "exit", NULL).median / 1e6;
}

static double sooner(const struct results *results, size_t condition)
{
	return exit_ms(results, ZS_FREE, condition) / exit_ms(results, RUNNING, condition);
}

static double contended(const struct results *results, size_t condition)
{
	return results_over(results, RUNNING, condition, "contended", NULL).most;
}

static size_t targets(const struct results *results, struct target *target)
{
	target[0] = (struct target){
		.what = "fallbacks for contention, 2 threads, ten million handles",
		.measured = contended(results, REFILL_TWO),
	};
	target[1] = (struct target){
		.what = "fallbacks for contention, 4 threads, ten million handles",
		.measured = contended(results, REFILL_FOUR),
	};
	target[2] = (struct target){
		.what = "two threads' time for a handle over one's, parked",
		.limit = 1.15,
		.measured = results_cost(results, PARKED, TWO, "caller").median /
			    results_cost(results, PARKED, ONE, "caller").median,
	};
	target[3] = (struct target){
		.what = "exit of two threads: zs_free over deferred, running",
		.limit = 3,
		.at_least = true,
		.measured = sooner(results, TWO),
	};
	target[4] = (struct target){
		.what = "exit of four threads: zs_free over deferred, running",
		.limit = 3,
		.at_least = true,
		.measured = sooner(results, FOUR),
	};
	for (size_t i = 0; i < 5; i++)
		target[i].unit = "";
	return 5;
}

static void print_exits(const struct results *results)
{
	printf("\nThe frees of one process by several threads. A thread's time for an object, ns, "
	       "and "
	       "its CPU time: medians.\nAnd ms until the last thread is done: median, "
	       "least..most\n\n"
	       "| freed by           | threads |     time | CPU time |                   exit ms "
	       "|\n"
	       "|--------------------|--------:|---------:|---------:|--------------------------:|"
	       "\n");
	for (size_t i = 0; i < CONTENDERS; i++)
		for (size_t k = 0; k < REFILL_TWO; k++) {
			struct spread ms;

			if (!results_has(results, i, k))
				continue;
			ms = results_over(results, i, k, "exit", NULL);
			printf("| %-18s | %7s | %8.1f | %8.1f | %9.2f %7.2f..%-6.2f |\n",
			       contenders[i].name, conditions[k].words[1],
			       results_cost(results, i, k, "caller").median,
			       results_cost(results, i, k, "caller_cpu").median, ms.median / 1e6,
			       ms.least / 1e6, ms.most / 1e6);
		}
}

static void print_refills(const struct results *results)
{
	printf("\nStored and freed again and again, ten million objects altogether, worker "
	       "running\n\n"
	       "| threads |  handles | fallbacks | for contention |\n"
	       "|--------:|---------:|----------:|---------------:|\n");
	for (size_t k = REFILL_TWO; k < CONDITIONS; k++)
		printf("| %7s | %8.0f | %9.0f | %14.0f |\n", conditions[k].words[1],
		       results_over(results, RUNNING, k, "objects", NULL).most,
		       results_over(results, RUNNING, k, "fallbacks", NULL).most,
		       contended(results, k));
}

static void tables(const struct results *results)
{
	print_exits(results);
	print_refills(results);
}

static void plot(const struct results *results, FILE *file)
{
	for (size_t i = 0; i < CONTENDERS; i++) {
		fprintf(file, "\"%s\"", contenders[i].name);
		for (size_t k = 0; k < REFILL_TWO; k++) {
			struct spread ms;

			if (!results_has(results, i, k)) {
				fprintf(file, " - - -");
				continue;
			}
			ms = results_over(results, i, k, "exit", NULL);
			fprintf(file, " %f %f %f", ms.median / 1e6, ms.least / 1e6, ms.most / 1e6);
		}
		fprintf(file, "\n");
	}
}

static const struct bench bench = {
	.name = "threads",
	.title = "Several threads exit at once",
	.contender = contenders,
	.contenders = CONTENDERS,
	.condition = conditions,
	.conditions = CONDITIONS,
	.takes_part = takes_part,
	.targets = targets,
	.tables = tables,
	.plot = plot,
};

int main(int argc, char **argv)
{
	return bench_main(&bench, argc, argv);
}
