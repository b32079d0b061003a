/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The report of the experiment: the medians of all rounds, in a table for people; or JSON for
 * programs, with every figure of every round.
 */
#include "exit.h"

#include <stdlib.h>

#include "util.h"
#include "zsmalloc.h"

/* What the rounds come to. Medians in nanoseconds, unless it says otherwise. */
struct summary {
	double exit;
	double exit_worst; /* the most */
	double exit_cpu;
	double slots; /* part of the exit: handing over the swapped slots */
	double resident; /* part of the exit: releasing the resident pages */
	double slot_per_page; /* slots, for each swapped page */
	double resident_back;
	double store_empty;
	double compressed_back;
	double cpu;
	double fallbacks; /* a number, not a time */
};

static int compare_numbers(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the numbers, so that the last is the most. */
static double median(double *numbers, size_t count)
{
	qsort(numbers, count, sizeof(*numbers), compare_numbers);
	return (numbers[(count - 1) / 2] + numbers[count / 2]) / 2;
}

/* Figures of a policy, each as an array of numbers: one an exit, or one a round. */
enum figure {
	EXIT,
	EXIT_CPU,
	SLOTS,
	RESIDENT,
	SLOT_PER_PAGE,
	RESIDENT_BACK,
	STORE_EMPTY,
	COMPRESSED_BACK,
	CPU,
	FALLBACKS,
	FIGURES,
};

static void collect(const struct experiment *experiment, enum zram_free_policy policy,
		    double *figure[FIGURES])
{
	const struct run *run = experiment->runs[policy];
	size_t processes = experiment->options.processes;

	for (size_t round = 0; round < experiment->options.rounds; round++, run++) {
		figure[RESIDENT_BACK][round] = (double)run->resident_back;
		figure[STORE_EMPTY][round] = (double)run->store_empty;
		figure[COMPRESSED_BACK][round] = (double)run->compressed_back;
		figure[CPU][round] = (double)run->cpu;
		figure[FALLBACKS][round] = (double)run->fallbacks;
		for (size_t i = 0; i < processes; i++) {
			const struct exit_times *times = &run->exits[i];
			size_t exit = round * processes + i;

			figure[EXIT][exit] = (double)times->wall;
			figure[EXIT_CPU][exit] = (double)times->cpu;
			figure[SLOTS][exit] = (double)times->slots;
			figure[RESIDENT][exit] = (double)times->resident;
			figure[SLOT_PER_PAGE][exit] =
				(double)times->slots / (double)times->swapped_pages;
		}
	}
}

static struct summary summarize(const struct experiment *experiment, enum zram_free_policy policy)
{
	size_t rounds = experiment->options.rounds;
	size_t exits = rounds * experiment->options.processes;
	double *numbers = zeroed(FIGURES * exits, sizeof(*numbers), "a summary");
	double *figure[FIGURES];
	struct summary summary;

	for (size_t i = 0; i < FIGURES; i++)
		figure[i] = numbers + i * exits;
	collect(experiment, policy, figure);
	summary = (struct summary){
		.exit = median(figure[EXIT], exits),
		.exit_cpu = median(figure[EXIT_CPU], exits),
		.slots = median(figure[SLOTS], exits),
		.resident = median(figure[RESIDENT], exits),
		.slot_per_page = median(figure[SLOT_PER_PAGE], exits),
		.resident_back = median(figure[RESIDENT_BACK], rounds),
		.store_empty = median(figure[STORE_EMPTY], rounds),
		.compressed_back = median(figure[COMPRESSED_BACK], rounds),
		.cpu = median(figure[CPU], rounds),
		.fallbacks = median(figure[FALLBACKS], rounds),
	};
	summary.exit_worst = figure[EXIT][exits - 1];
	free(numbers);
	return summary;
}

/* Every run stores the same pages: the first speaks for all. */
static void print_store(const struct experiment *experiment)
{
	const struct zram_mm_stat *stat = &experiment->runs[0][0].stored;
	double compressed = (double)stat->compr_data_size;
	double used = (double)stat->mem_used_total;

	printf("Stored     %.1f MiB compressed by %s to %.1f MiB", mib(stat->orig_data_size),
	       experiment->options.algorithm, mib(stat->compr_data_size));
	if (compressed > 0)
		printf(", a ratio of %.2f", (double)stat->orig_data_size / compressed);
	printf("; %llu pages same-filled, %llu huge\n", (unsigned long long)stat->same_pages,
	       (unsigned long long)stat->huge_pages);
	printf("           in %.1f MiB of memory", mib(stat->mem_used_total));
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
		printf("deferred with a budget of %.1f MiB\n\n", mib(options->budget));
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

void experiment_print(const struct experiment *experiment)
{
	struct summary now = summarize(experiment, ZRAM_FREE_NOW);
	struct summary deferred = summarize(experiment, ZRAM_FREE_DEFERRED);

	print_machine();
	source_print(experiment->source);
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

static const char *const policy_names[POLICIES] = {
	[ZRAM_FREE_DEFERRED] = "deferred",
	[ZRAM_FREE_NOW] = "freed_at_once",
};

static json_t *budget_json(size_t budget)
{
	if (!budget)
		return json_string("default");
	return budget == SIZE_MAX ? json_null() : number(budget);
}

static json_t *options_json(const struct experiment *experiment)
{
	const struct experiment_options *options = &experiment->options;

	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "algorithm", options->algorithm, "processes",
			 number(options->processes), "resident_percent", number(options->resident),
			 "rounds", number(options->rounds), "budget", budget_json(options->budget));
}

static json_t *exit_json(const struct exit_times *times)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "swapped_pages", number(times->swapped_pages),
			 "wall", number(times->wall), "cpu", number(times->cpu), "slots",
			 number(times->slots), "resident", number(times->resident));
}

static json_t *run_json(const struct run *run, unsigned int processes)
{
	json_t *exits = json_array();

	for (unsigned int i = 0; i < processes; i++)
		append(exits, exit_json(&run->exits[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "exits", exits,
			 "resident_back", number(run->resident_back), "store_empty",
			 number(run->store_empty), "compressed_back", number(run->compressed_back),
			 "cpu", number(run->cpu), "fallbacks", number(run->fallbacks), "gave_up",
			 run->gave_up, "stored", stored_json(&run->stored));
}

static json_t *summary_json(const struct summary *summary)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "exit",
			 summary->exit, "exit_worst", summary->exit_worst, "exit_cpu",
			 summary->exit_cpu, "slots", summary->slots, "resident", summary->resident,
			 "slot_per_page", summary->slot_per_page, "resident_back",
			 summary->resident_back, "store_empty", summary->store_empty,
			 "compressed_back", summary->compressed_back, "cpu", summary->cpu,
			 "fallbacks", summary->fallbacks);
}

static json_t *policy_json(const struct experiment *experiment, enum zram_free_policy policy)
{
	const struct experiment_options *options = &experiment->options;
	json_t *rounds = json_array();
	struct summary summary = summarize(experiment, policy);

	for (unsigned int i = 0; i < options->rounds; i++)
		append(rounds, run_json(&experiment->runs[policy][i], options->processes));
	return json_pack("{s:o, s:o}", "median", summary_json(&summary), "rounds", rounds);
}

void experiment_print_json(const struct experiment *experiment)
{
	json_t *policies = json_object();
	json_t *report;

	for (unsigned int policy = 0; policy < POLICIES; policy++)
		json_object_set_new(policies, policy_names[policy],
				    policy_json(experiment, policy));
	report = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "version", ZS_VERSION, "machine",
			   machine_json(), "loaded", source_json(experiment->source), "options",
			   options_json(experiment), "resident_pages",
			   number(experiment->resident_pages), "hash_mismatches",
			   number(experiment->mismatches), "policies", policies);
	print_json(report);
}
