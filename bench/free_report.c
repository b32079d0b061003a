/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What bench_free tells: tables for people, in Markdown, with every target beside its figure; all
 * figures of all rounds as JSON; and the plot's data.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "free.h"

#define MB 1e6

const char *const order_names[ORDERS] = { "in order", "random" };

const char *const contender_names[CONTENDERS] = {
	[ZS_FREE] = "zs_free",
	[ZS_FREE_BULK] = "zs_free_bulk",
	[DEFERRED_PARKED] = "zs_free_deferred",
	[DEFERRED_RUNNING] = "... worker running",
	[DEFERRED_DEFAULT] = "... default budget",
	[GLIBC] = "glibc",
	[JEMALLOC] = "jemalloc",
	[MIMALLOC] = "mimalloc",
	[TCMALLOC] = "tcmalloc",
};

/* Over the rounds. */
struct spread {
	double median;
	double least;
	double most;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of the figure of that name, divided by another of the same round. */
static struct spread over_rounds(const json_t *rounds, const char *name, const char *by)
{
	size_t count = json_array_size(rounds);
	double *value = calloc(count, sizeof(*value));
	struct spread spread;

	if (!value)
		errx(2, "no memory for the report");
	for (size_t i = 0; i < count; i++) {
		const json_t *figures = json_array_get(rounds, i);

		value[i] = json_number_value(json_object_get(figures, name)) /
			   json_number_value(json_object_get(figures, by));
	}
	qsort(value, count, sizeof(*value), compare);
	spread.median = (value[(count - 1) / 2] + value[count / 2]) / 2;
	spread.least = value[0];
	spread.most = value[count - 1];
	free(value);
	return spread;
}

/* Nanoseconds an object. */
static struct spread cost(const struct results *results, int contender, int order, const char *name)
{
	return over_rounds(results->round[contender][order], name, "objects");
}

/* What the memory is more than the stored bytes, in percent. */
static double overhead(const struct results *results, int contender, const char *name)
{
	return 100 *
	       (over_rounds(results->round[contender][IN_ORDER], name, "stored_bytes").median - 1);
}

struct target {
	const char *what;
	double limit;
	const char *unit;
	double measured;
};

enum {
	TARGETS = 3
};

static void targets_read(const struct results *results, struct target target[TARGETS])
{
	target[0] = (struct target){
		.what = "zs_free_deferred, in order",
		.limit = 10,
		.unit = "ns",
		.measured = cost(results, DEFERRED_PARKED, IN_ORDER, "caller").median,
	};
	target[1] = (struct target){
		.what = "zs_free, in order",
		.limit = 60,
		.unit = "ns",
		.measured = cost(results, ZS_FREE, IN_ORDER, "caller").median,
	};
	target[2] = (struct target){
		.what = "overhead, everything resident",
		.limit = 3,
		.unit = "%",
		.measured = overhead(results, ZS_FREE, "resident_bytes"),
	};
}

static bool is_met(const struct target *target)
{
	return target->measured <= target->limit;
}

static void print_head(const struct results *results)
{
	const struct corpus *corpus = results->corpus;

	printf("## Freeing cold objects\n\n"
	       "%s; %lu rounds.\n"
	       "%" PRIu64 " objects, %.0f MB, mean %.0f bytes: lz4 of %" PRIu64 " pages of %" PRIu64
	       " files\n"
	       "(%" PRIu64 " same-filled pages left out, %" PRIu64 " objects incompressible).\n",
	       results->machine, results->rounds, corpus->objects, (double)corpus->bytes / MB,
	       (double)corpus->bytes / (double)corpus->objects, corpus->pages, corpus->files,
	       corpus->same_filled, corpus->incompressible);
	if (corpus->objects < corpus->room)
		printf("These are all pages that there are: fewer than the %" PRIu64
		       " that were asked for.\n",
		       corpus->room);
}

static void print_targets(const struct results *results)
{
	struct target target[TARGETS];

	targets_read(results, target);
	printf("\n| target                        | at most | measured |      |\n"
	       "|-------------------------------|--------:|---------:|------|\n");
	for (int i = 0; i < TARGETS; i++)
		printf("| %-29s | %4.0f %-2s | %5.2f %-2s | %s |\n", target[i].what,
		       target[i].limit, target[i].unit, target[i].measured, target[i].unit,
		       is_met(&target[i]) ? "pass" : "MISS");
}

static void print_spread(struct spread spread)
{
	char range[32];

	snprintf(range, sizeof(range), "%.1f..%.1f", spread.least, spread.most);
	printf(" %6.1f %15s |", spread.median, range);
}

static void print_caller(const struct results *results)
{
	printf("\nThe caller's time for an object, ns: median, least..most\n\n"
	       "| free by            |               in order |                 random |\n"
	       "|--------------------|-----------------------:|-----------------------:|\n");
	for (int i = 0; i < CONTENDERS; i++) {
		printf("| %-18s |", contender_names[i]);
		print_spread(cost(results, i, IN_ORDER, "caller"));
		print_spread(cost(results, i, RANDOM, "caller"));
		printf("\n");
	}
}

/* The medians of one figure, in order and random. */
static void print_medians(const struct results *results, int contender, const char *name)
{
	printf(" %8.1f | %8.1f |", cost(results, contender, IN_ORDER, name).median,
	       cost(results, contender, RANDOM, name).median);
}

static double milliseconds(const struct results *results, int contender, int order)
{
	return cost(results, contender, order, "back").median * (double)results->corpus->objects /
	       1e6;
}

static void print_work(const struct results *results)
{
	printf("\nThe whole work, medians. CPU time for an object, ns: of the caller's loop; of "
	       "the "
	       "flush after it;\nof all threads until the memory is back with the system. And ms "
	       "from "
	       "the first free until then\n\n"
	       "| free by            |     loop |   random |    flush |   random |      all |   "
	       "random |  back ms |   random | fallbacks |\n"
	       "|--------------------|---------:|---------:|---------:|---------:|---------:|"
	       "---------:|---------:|---------:|----------:|\n");
	for (int i = 0; i < FIRST_PEER; i++) {
		printf("| %-18s |", contender_names[i]);
		print_medians(results, i, "caller_cpu");
		print_medians(results, i, "flush_cpu");
		print_medians(results, i, "all_cpu");
		printf(" %8.0f | %8.0f |", milliseconds(results, i, IN_ORDER),
		       milliseconds(results, i, RANDOM));
		if (i >= DEFERRED_PARKED)
			printf(" %7.1f %% |\n",
			       100 * cost(results, i, IN_ORDER, "fallbacks").median);
		else
			printf(" %9s |\n", "");
	}
}

/* CPU time for an object: queued and drained, or freed at once. */
static double work(const struct results *results, int contender, int order)
{
	return cost(results, contender, order, "caller_cpu").median +
	       cost(results, contender, order, "flush_cpu").median;
}

static void print_total(const struct results *results)
{
	printf("\nCPU time of queueing and draining together, worker parked, over that of zs_free: "
	       "%.2f in order, %.2f random\n",
	       work(results, DEFERRED_PARKED, IN_ORDER) / work(results, ZS_FREE, IN_ORDER),
	       work(results, DEFERRED_PARKED, RANDOM) / work(results, ZS_FREE, RANDOM));
}

static void print_overhead(const struct results *results)
{
	printf("\nMemory over the stored bytes, in percent\n\n"
	       "| stored by          | resident | in pages of the pool |\n"
	       "|--------------------|---------:|---------------------:|\n"
	       "| %-18s | %8.2f | %20.2f |\n",
	       "zsmalloc", overhead(results, ZS_FREE, "resident_bytes"),
	       overhead(results, ZS_FREE, "pool_bytes"));
	for (int i = FIRST_PEER; i < CONTENDERS; i++)
		printf("| %-18s | %8.2f | %20s |\n", contender_names[i],
		       overhead(results, i, "resident_bytes"), "");
}

static double ratio(const struct results *results, int contender, int ours, int order)
{
	return cost(results, contender, order, "caller").median /
	       cost(results, ours, order, "caller").median;
}

static void print_ratios(const struct results *results)
{
	printf("\nThe caller's time, as a multiple of ours\n\n"
	       "| free() of          | zs_free, in order |  random | zs_free_deferred, in order |  "
	       "random |\n"
	       "|--------------------|------------------:|--------:|---------------------------:|"
	       "--------:|\n");
	for (int i = FIRST_PEER; i < CONTENDERS; i++)
		printf("| %-11s %6s | %17.1f | %7.1f | %26.1f | %7.1f |\n", contender_names[i],
		       json_string_value(json_object_get(
			       json_array_get(results->round[i][IN_ORDER], 0), "version")),
		       ratio(results, i, ZS_FREE, IN_ORDER), ratio(results, i, ZS_FREE, RANDOM),
		       ratio(results, i, DEFERRED_PARKED, IN_ORDER),
		       ratio(results, i, DEFERRED_PARKED, RANDOM));
}

static FILE *open_output(const char *directory, const char *name)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	if (!file)
		err(2, "cannot write '%s'", path);
	return file;
}

static void write_json(const struct results *results, FILE *file)
{
	const struct corpus *corpus = results->corpus;
	struct target target[TARGETS];
	json_t *targets = json_array();
	json_t *contenders = json_object();
	json_t *all;

	targets_read(results, target);
	for (int i = 0; i < TARGETS; i++)
		json_array_append_new(targets,
				      json_pack("{s:s, s:s, s:f, s:f, s:b}", "what", target[i].what,
						"unit", target[i].unit, "limit", target[i].limit,
						"measured", target[i].measured, "met",
						is_met(&target[i])));
	for (int i = 0; i < CONTENDERS; i++)
		json_object_set_new(contenders, contender_names[i],
				    json_pack("{s:O, s:O}", order_names[IN_ORDER],
					      results->round[i][IN_ORDER], order_names[RANDOM],
					      results->round[i][RANDOM]));
	all = json_pack("{s:s, s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:o}", "machine",
			results->machine, "corpus", "objects", (json_int_t)corpus->objects, "bytes",
			(json_int_t)corpus->bytes, "pages", (json_int_t)corpus->pages,
			"same_filled", (json_int_t)corpus->same_filled, "incompressible",
			(json_int_t)corpus->incompressible, "files", (json_int_t)corpus->files,
			"targets", targets, "rounds", contenders);
	if (!all || json_dumpf(all, file, JSON_INDENT(2)) != 0 || fclose(file) != 0)
		err(2, "cannot write the report");
	json_decref(all);
}

static void write_data(const struct results *results, FILE *file)
{
	for (int i = 0; i < CONTENDERS; i++) {
		struct spread costs[ORDERS] = {
			cost(results, i, IN_ORDER, "caller"),
			cost(results, i, RANDOM, "caller"),
		};

		fprintf(file, "\"%s\"", contender_names[i]);
		for (int order = 0; order < ORDERS; order++)
			fprintf(file, " %f %f %f", costs[order].median, costs[order].least,
				costs[order].most);
		fprintf(file, "\n");
	}
	if (fclose(file) != 0)
		err(2, "cannot write the plot's data");
}

void report(const struct results *results, const char *directory)
{
	print_head(results);
	print_targets(results);
	print_caller(results);
	print_work(results);
	print_total(results);
	print_overhead(results);
	print_ratios(results);
	write_json(results, open_output(directory, "free.json"));
	write_data(results, open_output(directory, "free.dat"));
}
