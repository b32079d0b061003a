/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Runs a benchmark: see bench.h. */
#include "bench.h"

#include <argp.h>
#include <err.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory.h"
#include "report.h"

#define OBJECTS 500000 /* in the corpus, if there is memory */
#define BYTES_PER_OBJECT 8192 /* in the corpus, and stored, with room to spare */

struct options {
	const char *round; /* the program */
	const char *directory;
	const char *corpora; /* directory where they are kept, or NULL */
	const char *machine;
	unsigned long objects; /* 0: as many as there is memory for */
	unsigned long rounds; /* 0: as the condition says */
};

/* Become the program of one round. */
static _Noreturn void exec_round(const struct options *options, const struct contender *contender,
				 const struct condition *condition, int corpus, int output)
{
	const char *argument[BENCH_WORDS + 4] = { options->round, contender->subject };
	char number[16];
	size_t count = 2;

	for (int i = 0; i < BENCH_WORDS && condition->words[i]; i++)
		argument[count++] = condition->words[i];
	snprintf(number, sizeof(number), "%d", corpus);
	argument[count] = number;
	if (dup2(output, STDOUT_FILENO) < 0)
		err(2, "cannot run a round");
	if (contender->preload)
		setenv("LD_PRELOAD", contender->preload, 1);
	else
		unsetenv("LD_PRELOAD");
	execv(options->round, (char *const *)argument);
	err(2, "cannot run '%s'", options->round);
}

/* The figures of one round. */
static json_t *run_round(const struct options *options, const struct contender *contender,
			 const struct condition *condition, int corpus)
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
		exec_round(options, contender, condition, corpus, ends[1]);
	close(ends[1]);
	output = fdopen(ends[0], "r");
	figures = output ? json_loadf(output, 0, &why) : NULL;
	if (waitpid(child, &status, 0) != child || status != 0 || !figures)
		errx(2, "the round of '%s', %s, failed", contender->subject, condition->name);
	fclose(output);
	return figures;
}

static bool takes_part(const struct bench *bench, size_t contender, size_t condition)
{
	return !bench->takes_part || bench->takes_part(contender, condition);
}

static unsigned long rounds_of(const struct options *options, const struct condition *condition)
{
	return options->rounds ? options->rounds : condition->rounds;
}

/* One round of each contender under each condition that has so many. Returns whether any has. */
static bool run_alternating(const struct options *options, int corpus, struct results *results,
			    unsigned long round)
{
	const struct bench *bench = results->bench;
	bool any = false;

	for (size_t i = 0; i < results->conditions; i++) {
		const struct condition *condition = &bench->condition[i];

		if (round > rounds_of(options, condition))
			continue;
		fprintf(stderr, "%s: %s, round %lu of %lu\n", bench->name, condition->name, round,
			rounds_of(options, condition));
		for (size_t k = 0; k < bench->contenders; k++)
			if (takes_part(bench, k, i))
				json_array_append_new(results->rounds[k][i],
						      run_round(options, &bench->contender[k],
								condition, corpus));
		any = true;
	}
	return any;
}

static void run_rounds(const struct options *options, int corpus, struct results *results)
{
	unsigned long round = 1;

	for (size_t k = 0; k < results->bench->contenders; k++)
		for (size_t i = 0; i < results->conditions; i++)
			results->rounds[k][i] = json_array();
	while (run_alternating(options, corpus, results, round))
		round++;
}

/* Halved until they fit: so that benchmarks which share a corpus agree. */
static size_t objects_that_fit(const struct bench *bench)
{
	size_t objects = bench->objects ? bench->objects : OBJECTS;
	size_t most = memory_available() / BYTES_PER_OBJECT;

	while (objects > 1 && objects > most)
		objects /= 2;
	return objects;
}

/*
 * A corpus on a disk may not be in memory: bring it there, where the system can. The system goes on counting that as
 * memory that can be had. Returns how many bytes that is.
 */
static size_t corpus_fetch(int file, const struct corpus *corpus)
{
	size_t bytes =
		(size_t)(corpus_data(corpus) - (const unsigned char *)corpus) + corpus->bytes;
	struct statfs system;

	if (fstatfs(file, &system) != 0 || system.f_type == TMPFS_MAGIC)
		return 0;
	madvise((void *)corpus, bytes, MADV_POPULATE_READ);
	return bytes;
}

/* A quarter more than the objects' bytes is for the allocator. */
static size_t conditions_that_fit(const struct bench *bench, const struct corpus *corpus,
				  size_t reserved)
{
	double most = ((double)memory_available() - (double)reserved) / 1.25;
	double mean = (double)corpus->bytes / (double)corpus->objects;
	size_t count = bench->conditions;

	while (count > 1 && (double)bench->condition[count - 1].objects * mean > most)
		count--;
	return count;
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
	case 'c':
		options->corpora = argument;
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
	{ "objects", 'n', "N", 0, "make a corpus of so many objects (500000)", 0 },
	{ "rounds", 'r', "N", 0, "measure so often (it depends on the condition)", 0 },
	{ "output", 'o', "DIRECTORY", 0, "where figures go, and what is plotted (.)", 0 },
	{ "corpora", 'c', "DIRECTORY", 0,
	  "where a corpus is kept for benchmarks that get the same names next (nowhere)", 0 },
	{ "machine", 'm', "TEXT", 0, "which machine this is, for the report", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.args_doc = "ROUND",
	.doc = "Runs a benchmark. ROUND is the program that runs one round of it. The names of the "
	       "files whose pages are stored come on standard input, one a line.",
};

int bench_main(const struct bench *bench, int argc, char **argv)
{
	struct options options = { .directory = ".", .machine = "unknown" };
	struct results results = { .bench = bench };
	size_t reserved;
	int corpus;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	corpus = corpus_make(stdin, options.objects ? options.objects : objects_that_fit(bench),
			     bench->codec, options.corpora);
	results.machine = options.machine;
	results.corpus = corpus_map(corpus);
	reserved = corpus_fetch(corpus, results.corpus);
	results.conditions = conditions_that_fit(bench, results.corpus, reserved);
	run_rounds(&options, corpus, &results);
	report(&results, options.directory);
	return 0;
}
