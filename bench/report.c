/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What all benchmarks tell in the same way: the machine and the corpus, every target beside its figure,
 * medians and spreads; and all figures as JSON.
 */
#include "report.h"

#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MB 1e6

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* A figure may be in an object of its own: "object.figure". */
static double figure(const json_t *figures, const char *name)
{
	const json_t *value = figures;
	const char *rest = name;

	for (;;) {
		size_t length = strcspn(rest, ".");

		value = json_object_getn(value, rest, length);
		if (!rest[length])
			break;
		rest += length + 1;
	}
	if (!json_is_number(value))
		errx(2, "a round did not tell '%s'", name);
	return json_number_value(value);
}

struct spread results_over(const struct results *results, size_t contender, size_t condition,
			   const char *name, const char *by)
{
	const json_t *rounds = results->rounds[contender][condition];
	size_t count = json_array_size(rounds);
	double *value = calloc(count, sizeof(*value));
	struct spread spread;

	if (!count || !value)
		errx(2, "no figures to report");
	for (size_t i = 0; i < count; i++) {
		const json_t *figures = json_array_get(rounds, i);

		value[i] = figure(figures, name) / (by ? figure(figures, by) : 1);
	}
	qsort(value, count, sizeof(*value), compare);
	spread.median = (value[(count - 1) / 2] + value[count / 2]) / 2;
	spread.least = value[0];
	spread.most = value[count - 1];
	free(value);
	return spread;
}

struct spread results_cost(const struct results *results, size_t contender, size_t condition,
			   const char *name)
{
	return results_over(results, contender, condition, name, "objects");
}

bool results_has(const struct results *results, size_t contender, size_t condition)
{
	return condition < results->conditions &&
	       json_array_size(results->rounds[contender][condition]) > 0;
}

void report_spread(struct spread spread)
{
	char range[32];

	snprintf(range, sizeof(range), "%.1f..%.1f", spread.least, spread.most);
	printf(" %7.1f %15s |", spread.median, range);
}

static const char *codec_name(const struct results *results)
{
	return results->bench->codec == CORPUS_ZSTD ? "zstd" : "lz4";
}

static void print_corpus(const struct results *results)
{
	const struct corpus *corpus = results->corpus;

	printf("The corpus: %" PRIu64 " objects, %.0f MB, mean %.0f bytes: %s of %" PRIu64
	       " pages of %" PRIu64 " files\n"
	       "(%" PRIu64 " pages of processes' memory besides, %" PRIu64
	       " same-filled pages left out, %" PRIu64 " objects incompressible).\n",
	       corpus->objects, (double)corpus->bytes / MB,
	       (double)corpus->bytes / (double)corpus->objects, codec_name(results),
	       corpus->pages - corpus->process_pages, corpus->files, corpus->process_pages,
	       corpus->same_filled, corpus->incompressible);
	if (corpus->objects < corpus->room)
		printf("These are all pages that there are: fewer than the %" PRIu64
		       " that were asked for.\n",
		       corpus->room);
}

/* The rounds that a condition had: as many for each contender that took part. */
static size_t rounds_had(const struct results *results, size_t condition)
{
	size_t most = 0;

	for (size_t i = 0; i < results->bench->contenders; i++) {
		size_t had = json_array_size(results->rounds[i][condition]);

		most = had > most ? had : most;
	}
	return most;
}

static void print_rounds(const struct results *results)
{
	const struct bench *bench = results->bench;

	printf("Rounds:");
	for (size_t i = 0; i < results->conditions; i++)
		printf("%s %s %zu", i ? "," : "", bench->condition[i].name, rounds_had(results, i));
	printf(".\n");
	for (size_t i = results->conditions; i < bench->conditions; i++)
		printf("Left out, for there is not enough memory: %s.\n", bench->condition[i].name);
}

static void print_peers(const struct results *results)
{
	const struct bench *bench = results->bench;
	const char *before = "Peers:";

	for (size_t i = 0; i < bench->contenders; i++) {
		const json_t *first = json_array_get(results->rounds[i][0], 0);

		if (!bench->contender[i].peer || !first)
			continue;
		printf("%s %s %s", before, bench->contender[i].name,
		       json_string_value(json_object_get(first, "version")));
		before = ",";
	}
	if (*before == ',')
		printf(".\n");
}

static bool is_met(const struct target *target)
{
	return target->at_least ? target->measured >= target->limit :
				  target->measured <= target->limit;
}

static size_t read_targets(const struct results *results, struct target *target)
{
	return results->bench->targets ? results->bench->targets(results, target) : 0;
}

static void print_targets(const struct results *results)
{
	struct target target[BENCH_TARGETS];
	size_t count = read_targets(results, target);

	if (count)
		printf("\n| target                                                     |           "
		       " limit "
		       "|   measured |      |\n"
		       "|------------------------------------------------------------|-------------"
		       "----:"
		       "|-----------:|------|\n");
	for (size_t i = 0; i < count; i++)
		printf("| %-58s | %-8s %4g %-2s | %7.2f %-2s | %s |\n", target[i].what,
		       target[i].at_least ? "at least" : "at most", target[i].limit, target[i].unit,
		       target[i].measured, target[i].unit, is_met(&target[i]) ? "pass" : "MISS");
}

static FILE *open_output(const struct results *results, const char *directory, const char *kind)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", directory, results->bench->name, kind);
	file = fopen(path, "we");
	if (!file)
		err(2, "cannot write '%s'", path);
	return file;
}

static json_t *targets_json(const struct results *results)
{
	struct target target[BENCH_TARGETS];
	size_t count = read_targets(results, target);
	json_t *targets = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(targets,
				      json_pack("{s:s, s:s, s:s, s:f, s:f, s:b}", "what",
						target[i].what, "unit", target[i].unit, "is",
						target[i].at_least ? "at least" : "at most",
						"limit", target[i].limit, "measured",
						target[i].measured, "met", is_met(&target[i])));
	return targets;
}

static json_t *corpus_json(const struct results *results)
{
	const struct corpus *corpus = results->corpus;

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "codec", codec_name(results),
			 "objects", (json_int_t)corpus->objects, "bytes", (json_int_t)corpus->bytes,
			 "pages", (json_int_t)corpus->pages, "same_filled",
			 (json_int_t)corpus->same_filled, "incompressible",
			 (json_int_t)corpus->incompressible, "files", (json_int_t)corpus->files);
}

static json_t *rounds_json(const struct results *results)
{
	const struct bench *bench = results->bench;
	json_t *contenders = json_object();

	for (size_t i = 0; i < bench->contenders; i++) {
		json_t *conditions = json_object();

		for (size_t k = 0; k < results->conditions; k++)
			if (results_has(results, i, k))
				json_object_set(conditions, bench->condition[k].name,
						results->rounds[i][k]);
		json_object_set_new(contenders, bench->contender[i].name, conditions);
	}
	return contenders;
}

static void write_json(const struct results *results, FILE *file)
{
	json_t *all = json_pack("{s:s, s:o, s:o, s:o}", "machine", results->machine, "corpus",
				corpus_json(results), "targets", targets_json(results), "rounds",
				rounds_json(results));

	if (!all || json_dumpf(all, file, JSON_INDENT(2)) != 0 || fclose(file) != 0)
		err(2, "cannot write the report");
	json_decref(all);
}

static void write_plot(const struct results *results, FILE *file)
{
	results->bench->plot(results, file);
	if (fclose(file) != 0)
		err(2, "cannot write the plot's data");
}

void report(const struct results *results, const char *directory)
{
	printf("## %s\n\n%s.\n", results->bench->title, results->machine);
	print_corpus(results);
	print_rounds(results);
	print_peers(results);
	print_targets(results);
	results->bench->tables(results);
	write_json(results, open_output(results, directory, "json"));
	if (results->bench->plot)
		write_plot(results, open_output(results, directory, "dat"));
}
