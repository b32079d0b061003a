/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_compact: what zs_compact() gives back and how fast, after a random share of the objects was
 * freed; whether its time grows with what it moves; and how long the calls of another thread take
 * meanwhile.
 */
#include <stdio.h>

#include "report.h"

enum {
	ALONE,
	BESIDE,
	CONTENDERS,
};

static const struct contender contenders[CONTENDERS] = {
	[ALONE] = { .name = "zs_compact", .subject = "alone" },
	[BESIDE] = { .name = "calls beside it", .subject = "beside" },
};

enum {
	EIGHTH,
	QUARTER,
	HALF,
	FREE_50,
	FREE_80,
	FREE_95,
	CONDITIONS,
};

/* The share that is freed; the part of the corpus that is stored before. */
static const struct condition conditions[CONDITIONS] = {
	[EIGHTH] = { .name = "50 %, of 1/8", .words = { "50", "8" }, .rounds = 3 },
	[QUARTER] = { .name = "50 %, of 1/4", .words = { "50", "4" }, .rounds = 3 },
	[HALF] = { .name = "50 %, of 1/2", .words = { "50", "2" }, .rounds = 3 },
	[FREE_50] = { .name = "50 %", .words = { "50", "1" }, .rounds = 3 },
	[FREE_80] = { .name = "80 %", .words = { "80", "1" }, .rounds = 3 },
	[FREE_95] = { .name = "95 %", .words = { "95", "1" }, .rounds = 3 },
};

static bool takes_part(size_t contender, size_t condition)
{
	return contender == ALONE || condition >= FREE_50;
}

static double figure(const struct results *results, size_t condition, const char *name)
{
	return results_over(results, ALONE, condition, name, NULL).median;
}

/* Of the pages that a perfect packing would give back, what came back, in percent. */
static double given_back(const struct results *results, size_t condition)
{
	return 100 *
	       (figure(results, condition, "pages") -
		figure(results, condition, "compacted_pages")) /
	       (figure(results, condition, "pages") - figure(results, condition, "perfect_pages"));
}

static double per_moved_byte(const struct results *results, size_t condition)
{
	return results_over(results, ALONE, condition, "cpu", "moved_bytes").median;
}

static const char *const calls[] = { "read", "write", "free" };

enum {
	CALLS = 3
};

static double percentile(const struct results *results, size_t condition, const char *when,
			 const char *call, const char *which)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s.%s", when, call, which);
	return results_over(results, BESIDE, condition, name, NULL).median;
}

/* The worst of the shares. */
static double slower(const struct results *results, const char *call)
{
	double worst = 0;

	for (size_t i = FREE_50; i <= FREE_95; i++) {
		double ratio = percentile(results, i, "compacting", call, "p99") /
			       percentile(results, i, "idle", call, "p99");

		worst = ratio > worst ? ratio : worst;
	}
	return worst;
}

static size_t targets(const struct results *results, struct target *target)
{
	const struct target all[] = {
		{ "of what a perfect packing gives back, 50 % freed", "%", 95, true,
		  given_back(results, FREE_50) },
		{ "of what a perfect packing gives back, 80 % freed", "%", 95, true,
		  given_back(results, FREE_80) },
		{ "of what a perfect packing gives back, 95 % freed", "%", 95, true,
		  given_back(results, FREE_95) },
		{ "time for a moved byte, all objects over an eighth", "", 1.5, false,
		  per_moved_byte(results, FREE_50) / per_moved_byte(results, EIGHTH) },
		{ "99th percentile of reads, compacting over idle", "", 2, false,
		  slower(results, "read") },
		{ "99th percentile of writes, compacting over idle", "", 2, false,
		  slower(results, "write") },
		{ "99th percentile of frees, compacting over idle", "", 2, false,
		  slower(results, "free") },
	};
	size_t count = sizeof(all) / sizeof(all[0]);

	for (size_t i = 0; i < count; i++)
		target[i] = all[i];
	return count;
}

static void print_compactions(const struct results *results)
{
	printf("\nPages that came back, of those that a perfect packing gives back; bytes moved; "
	       "CPU "
	       "time\n\n"
	       "| freed        |     pages | of perfect |    moved |       ms | ns a byte |   GB/s "
	       "| "
	       "memcpy GB/s |\n"
	       "|--------------|----------:|-----------:|---------:|---------:|----------:|-------:"
	       "|"
	       "------------:|\n");
	for (size_t i = 0; i < CONDITIONS; i++)
		printf("| %-12s | %9.0f | %8.2f %% | %5.0f MB | %8.1f | %9.2f | %6.2f | %11.2f |\n",
		       conditions[i].name,
		       figure(results, i, "pages") - figure(results, i, "compacted_pages"),
		       given_back(results, i), figure(results, i, "moved_bytes") / 1e6,
		       figure(results, i, "cpu") / 1e6, per_moved_byte(results, i),
		       results_over(results, ALONE, i, "moved_bytes", "cpu").median,
		       results_over(results, ALONE, i, "moved_bytes", "memcpy").median);
}

/* Where others want the cores, too, the calls had less of a compaction beside them than it seems. */
static double core_share(const struct results *results, size_t condition)
{
	return 100 *
	       results_over(results, BESIDE, condition, "compactor_cpu", "compactor_wall").median;
}

static void print_calls(const struct results *results)
{
	printf("\nA call of another thread, ns: idle, and while zs_compact() runs\n\n"
	       "| freed | call  | median |  compacting |   99 %% |  compacting | 99.9 %% |  "
	       "compacting "
	       "|\n"
	       "|-------|-------|-------:|------------:|-------:|------------:|-------:|-----------"
	       "-:"
	       "|\n");
	for (size_t i = FREE_50; i <= FREE_95; i++)
		for (int call = 0; call < CALLS; call++) {
			printf("| %-5s | %-5s |", conditions[i].name, calls[call]);
			for (int k = 0; k < 3; k++) {
				const char *which = (const char *[]){ "p50", "p99", "p999" }[k];

				printf(" %6.0f | %11.0f |",
				       percentile(results, i, "idle", calls[call], which),
				       percentile(results, i, "compacting", calls[call], which));
			}
			printf("\n");
		}
	printf("\nOf that time zs_compact() had a core for %.0f, %.0f and %.0f %%.\n",
	       core_share(results, FREE_50), core_share(results, FREE_80),
	       core_share(results, FREE_95));
}

static void tables(const struct results *results)
{
	print_compactions(results);
	print_calls(results);
}

static const struct bench bench = {
	.name = "compact",
	.title = "Compaction",
	.contender = contenders,
	.contenders = CONTENDERS,
	.condition = conditions,
	.conditions = CONDITIONS,
	.takes_part = takes_part,
	.targets = targets,
	.tables = tables,
};

int main(int argc, char **argv)
{
	return bench_main(&bench, argc, argv);
}
