/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_free: what it costs to free 500,000 cold objects, in order and in random order, by each of
 * our ways and by the peers.
 *
 * Every measurement is a round, in a process of its own (round.c). The rounds of all contenders
 * alternate, so that whatever else the machine does meets them all.
 */
#include "free.h"

#include <argp.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct way {
	const char *subject; /* its name for round.c */
	const char *preload; /* the library that makes it what it is */
};

static const struct way ways[CONTENDERS] = {
	[ZS_FREE] = { "free", NULL },
	[ZS_FREE_BULK] = { "bulk", NULL },
	[DEFERRED_PARKED] = { "parked", NULL },
	[DEFERRED_RUNNING] = { "running", NULL },
	[DEFERRED_DEFAULT] = { "default", NULL },
	[GLIBC] = { "glibc", NULL },
	[JEMALLOC] = { "jemalloc", "libjemalloc.so.2" },
	[MIMALLOC] = { "mimalloc", "libmimalloc.so.2" },
	[TCMALLOC] = { "tcmalloc", "libtcmalloc_minimal.so.4" },
};

struct options {
	const char *round; /* the program */
	const char *directory;
	const char *machine;
	unsigned long objects;
	unsigned long rounds;
};

/* Become the program of one round. */
static _Noreturn void exec_round(const struct options *options, const struct way *way,
				 enum order order, int corpus, int output)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", corpus);
	if (dup2(output, STDOUT_FILENO) < 0)
		err(2, "cannot run a round");
	if (way->preload)
		setenv("LD_PRELOAD", way->preload, 1);
	else
		unsetenv("LD_PRELOAD");
	execl(options->round, options->round, way->subject, order_names[order], number, NULL);
	err(2, "cannot run '%s'", options->round);
}

/* The figures of one round. */
static json_t *run_round(const struct options *options, const struct way *way, enum order order,
			 int corpus)
{
	json_error_t why;
	json_t *figures;
	int ends[2], status;
	FILE *output;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) != 0)
		err(2, "cannot run a round");
	child = fork();
	if (child < 0)
		err(2, "cannot run a round");
	if (child == 0)
		exec_round(options, way, order, corpus, ends[1]);
	close(ends[1]);
	output = fdopen(ends[0], "r");
	figures = output ? json_loadf(output, 0, &why) : NULL;
	if (waitpid(child, &status, 0) != child || status != 0 || !figures)
		errx(2, "the round of '%s', %s, failed", way->subject, order_names[order]);
	fclose(output);
	return figures;
}

static void run_rounds(const struct options *options, int corpus, struct results *results)
{
	for (int i = 0; i < CONTENDERS * ORDERS; i++)
		results->round[i / ORDERS][i % ORDERS] = json_array();
	for (unsigned long round = 1; round <= options->rounds; round++) {
		fprintf(stderr, "round %lu of %lu\n", round, options->rounds);
		for (int i = 0; i < CONTENDERS * ORDERS; i++)
			json_array_append_new(results->round[i / ORDERS][i % ORDERS],
					      run_round(options, &ways[i / ORDERS],
							(enum order)(i % ORDERS), corpus));
	}
}

static unsigned long above_zero(struct argp_state *state, const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || value == 0)
		argp_error(state, "'%s' is not a number above 0", text);
	return value;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'n':
		options->objects = above_zero(state, argument);
		return 0;
	case 'r':
		options->rounds = above_zero(state, argument);
		return 0;
	case 'o':
		options->directory = argument;
		return 0;
	case 'm':
		options->machine = argument;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_usage(state);
		options->round = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->round)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{ "objects", 'n', "N", 0, "store and free so many objects (500000)", 0 },
	{ "rounds", 'r', "N", 0, "measure each contender so often (7)", 0 },
	{ "output", 'o', "DIRECTORY", 0, "where free.json and free.dat go (.)", 0 },
	{ "machine", 'm', "TEXT", 0, "which machine this is, for the report", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.args_doc = "ROUND",
	.doc = "Measures what freeing costs. ROUND is the program that runs one round. The names "
	       "of the files whose pages are stored come on standard input, one a line.",
};

int main(int argc, char **argv)
{
	struct options options = {
		.objects = 500000,
		.rounds = 7,
		.directory = ".",
		.machine = "unknown",
	};
	struct results results;
	int corpus;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	corpus = corpus_make(stdin, options.objects, CORPUS_LZ4);
	results = (struct results){
		.machine = options.machine,
		.corpus = corpus_map(corpus),
		.rounds = options.rounds,
	};
	run_rounds(&options, corpus, &results);
	report(&results, options.directory);
	return 0;
}
