/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Medians: of a figure of every process in every round, and of a figure of every round. A figure
 * is a function that takes it from the record.
 */
#include "summary.h"

#include <stdlib.h>

#include "cli.h"

typedef double exit_figure(const struct exit_times *times);
typedef double run_figure(const struct run *run);
typedef double statistic_function(double *numbers, size_t count);

static double wall(const struct exit_times *times)
{
	return (double)times->wall;
}

static double exit_cpu(const struct exit_times *times)
{
	return (double)times->cpu;
}

static double slots(const struct exit_times *times)
{
	return (double)times->slots;
}

static double resident(const struct exit_times *times)
{
	return (double)times->resident;
}

static double slot_per_page(const struct exit_times *times)
{
	return (double)times->slots / (double)times->swapped_pages;
}

static double resident_back(const struct run *run)
{
	return (double)run->resident_back;
}

static double store_empty(const struct run *run)
{
	return (double)run->store_empty;
}

static double compressed_back(const struct run *run)
{
	return (double)run->compressed_back;
}

static double run_cpu(const struct run *run)
{
	return (double)run->cpu;
}

static double fallbacks(const struct run *run)
{
	return (double)run->fallbacks;
}

static int compare_numbers(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Statistics may sort the numbers. */
static double median(double *numbers, size_t count)
{
	qsort(numbers, count, sizeof(*numbers), compare_numbers);
	return (numbers[(count - 1) / 2] + numbers[count / 2]) / 2;
}

static double worst(double *numbers, size_t count)
{
	qsort(numbers, count, sizeof(*numbers), compare_numbers);
	return numbers[count - 1];
}

static double *create_numbers(size_t count)
{
	double *numbers = calloc(count, sizeof(*numbers));

	if (!numbers)
		fail("no memory for a summary");
	return numbers;
}

static double of_exits(const struct experiment *experiment, enum zram_free_policy policy,
		       exit_figure *figure, statistic_function *statistic)
{
	size_t processes = experiment->options.processes;
	size_t count = processes * experiment->options.rounds;
	double *numbers = create_numbers(count);
	double result;

	for (size_t i = 0; i < count; i++) {
		const struct run *run = &experiment->runs[policy][i / processes];

		numbers[i] = figure(&run->exits[i % processes]);
	}
	result = statistic(numbers, count);
	free(numbers);
	return result;
}

static double of_runs(const struct experiment *experiment, enum zram_free_policy policy,
		      run_figure *figure)
{
	size_t count = experiment->options.rounds;
	double *numbers = create_numbers(count);
	double result;

	for (size_t i = 0; i < count; i++)
		numbers[i] = figure(&experiment->runs[policy][i]);
	result = median(numbers, count);
	free(numbers);
	return result;
}

void summarize(const struct experiment *experiment, enum zram_free_policy policy,
	       struct summary *summary)
{
	*summary = (struct summary){
		.exit = of_exits(experiment, policy, wall, median),
		.exit_worst = of_exits(experiment, policy, wall, worst),
		.exit_cpu = of_exits(experiment, policy, exit_cpu, median),
		.slots = of_exits(experiment, policy, slots, median),
		.resident = of_exits(experiment, policy, resident, median),
		.slot_per_page = of_exits(experiment, policy, slot_per_page, median),
		.resident_back = of_runs(experiment, policy, resident_back),
		.store_empty = of_runs(experiment, policy, store_empty),
		.compressed_back = of_runs(experiment, policy, compressed_back),
		.cpu = of_runs(experiment, policy, run_cpu),
		.fallbacks = of_runs(experiment, policy, fallbacks),
	};
}
