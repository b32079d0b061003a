/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A benchmark: contenders, each measured under the same conditions, and what is told of it.
 *
 * Every measurement is a round, in a process of its own, which prints its figures as JSON. The rounds
 * of all contenders alternate, so that whatever else the machine does meets them all. bench_main()
 * runs them and reports: tables, in Markdown, on stdout; all figures of all rounds in NAME.json; what
 * the plot shows in NAME.dat.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "corpus.h"

#define BENCH_CONTENDERS 16 /* at most */
#define BENCH_CONDITIONS 8
#define BENCH_WORDS 3
#define BENCH_TARGETS 16

struct contender {
	const char *name; /* for people, and in files */
	const char *subject; /* its name for the round's program */
	const char *preload; /* the library that makes it what it is */
	bool peer; /* not ours */
};

struct condition {
	const char *name;
	const char *words[BENCH_WORDS]; /* what the round's program is told, besides the subject */
	unsigned long rounds; /* unless the command line says something else */
	uint64_t objects; /* that are stored; 0: the corpus's */
};

struct target {
	const char *what;
	const char *unit;
	double limit;
	bool at_least; /* the limit is; otherwise at most */
	double measured;
};

struct results;

struct bench {
	const char *name;
	const char *title;
	enum corpus_codec codec;
	size_t objects; /* in the corpus, if there is memory; 0: 500,000 */
	const struct contender *contender;
	size_t contenders;
	const struct condition *condition; /* those with many objects come last */
	size_t conditions;
	/* Whether a contender is measured under a condition. NULL: all are, under all. */
	bool (*takes_part)(size_t contender, size_t condition);
	/* What was to be reached, and was it? Returns how many, at most BENCH_TARGETS. NULL: nothing. */
	size_t (*targets)(const struct results *results, struct target *target);
	void (*tables)(const struct results *results);
	/* What the plot shows. NULL: there is no plot. */
	void (*plot)(const struct results *results, FILE *file);
};

struct results {
	const struct bench *bench;
	const char *machine;
	const struct corpus *corpus;
	size_t conditions; /* those that there was memory for */
	/* Arrays of what the rounds printed; empty where a contender took no part. */
	json_t *rounds[BENCH_CONTENDERS][BENCH_CONDITIONS];
};

int bench_main(const struct bench *bench, int argc, char **argv);

#endif /* BENCH_BENCH_H */
