/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The report for people. */
#include <stdio.h>

#include "head.h"
#include "report.h"
#include "summary.h"

static const double mib = 1024 * 1024;

/* Every run stores the same pages: the first speaks for all. */
static void print_store(const struct experiment *experiment)
{
	const struct zram_mm_stat *stat = &experiment->runs[0][0].stored;
	double compressed = (double)stat->compr_data_size;
	double used = (double)stat->mem_used_total;

	printf("Stored     %.1f MiB compressed by %s to %.1f MiB",
	       (double)stat->orig_data_size / mib, experiment->options.algorithm, compressed / mib);
	if (compressed > 0)
		printf(", a ratio of %.2f", (double)stat->orig_data_size / compressed);
	printf("; %llu pages same-filled, %llu huge\n", (unsigned long long)stat->same_pages,
	       (unsigned long long)stat->huge_pages);
	printf("           in %.1f MiB of memory", used / mib);
	if (compressed > 0)
		printf(", %.2f %% over the compressed pages",
		       100 * (used - compressed) / compressed);
	putchar('\n');
}

static void print_exits(const struct experiment *experiment)
{
	const struct experiment_options *options = &experiment->options;
	unsigned int fills = POLICIES * options->rounds;

	printf("Read back  %zu pages, hash mismatches: %zu\n", experiment->source->count * fills,
	       experiment->mismatches);
	printf("Exits      %u process%s at once, together %zu swapped pages, swapped out in "
	       "random\n"
	       "           order, and %zu resident; %u round%s, alternating;\n           ",
	       options->processes, options->processes == 1 ? "" : "es", experiment->source->count,
	       experiment->resident_pages, options->rounds, options->rounds == 1 ? "" : "s");
	if (!options->budget)
		printf("deferred as pools do by default\n\n");
	else if (options->budget == SIZE_MAX)
		printf("deferred without a budget\n\n");
	else
		printf("deferred with a budget of %.1f MiB\n\n", (double)options->budget / mib);
}

static void print_header(void)
{
	printf("%-13s %26s %8s %29s %8s %9s\n", "", "exit of a process, ms   ", "ns per",
	       "back after, ms        ", "CPU,", "");
	printf("%-13s %8s %8s %8s %8s %8s %8s %11s %8s %9s\n", "policy", "median", "worst", "CPU",
	       "slot", "resident", "empty", "compressed", "all, ms", "fallbacks");
}

static void print_ms(double ns, int width)
{
	printf(" %*.2f", width, ns / 1e6);
}

static void print_summary(const char *policy, const struct summary *summary)
{
	printf("%-13s", policy);
	print_ms(summary->exit, 8);
	print_ms(summary->exit_worst, 8);
	print_ms(summary->exit_cpu, 8);
	printf(" %8.1f", summary->slot_per_page);
	print_ms(summary->resident_back, 8);
	print_ms(summary->store_empty, 8);
	print_ms(summary->compressed_back, 11);
	print_ms(summary->cpu, 8);
	printf(" %9.0f\n", summary->fallbacks);
}

static void print_ratio(double now, double deferred, int width)
{
	if (deferred > 0)
		printf(" %*.2fx", width - 1, now / deferred);
	else
		printf(" %*s", width, "-");
}

static void print_ratios(const struct summary *now, const struct summary *deferred)
{
	printf("%-13s", "ratio");
	print_ratio(now->exit, deferred->exit, 8);
	print_ratio(now->exit_worst, deferred->exit_worst, 8);
	print_ratio(now->exit_cpu, deferred->exit_cpu, 8);
	print_ratio(now->slot_per_page, deferred->slot_per_page, 8);
	print_ratio(now->resident_back, deferred->resident_back, 8);
	print_ratio(now->store_empty, deferred->store_empty, 8);
	print_ratio(now->compressed_back, deferred->compressed_back, 11);
	print_ratio(now->cpu, deferred->cpu, 8);
	putchar('\n');
}

static void print_verdict(const char *what, double now, double deferred)
{
	if (now <= 0 || deferred <= 0)
		return;
	printf("%s: deferred is %.1f times %s.\n", what,
	       now >= deferred ? now / deferred : deferred / now,
	       now >= deferred ? "faster" : "slower");
}

void report_table(const struct experiment *experiment, const struct machine *machine)
{
	struct summary now;
	struct summary deferred;

	summarize(experiment, ZRAM_FREE_NOW, &now);
	summarize(experiment, ZRAM_FREE_DEFERRED, &deferred);
	print_machine("exit", machine);
	print_source(experiment->source);
	print_store(experiment);
	print_exits(experiment);
	print_header();
	print_summary("freed at once", &now);
	print_summary("deferred", &deferred);
	print_ratios(&now, &deferred);
	putchar('\n');
	print_verdict("The exit of a process", now.exit, deferred.exit);
	print_verdict("Its swapped slots alone", now.slots, deferred.slots);
}
