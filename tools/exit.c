/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* `zsmalloc exit`: its arguments; then load, experiment, report. */
#include "exit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "experiment.h"
#include "machine.h"
#include "progress.h"
#include "report.h"
#include "source.h"

enum {
	KEY_PID = 'p',
	KEY_SIZE = 's',
	KEY_PROCESSES = 'n',
	KEY_RESIDENT = 'r',
	KEY_ROUNDS = 'c',
	KEY_ALGORITHM = 'a',
	KEY_BUDGET = 'b',
	KEY_JSON = 'j',
};

enum {
	MAX_PROCESSES = 1024,
	MAX_RESIDENT = 90,
	MAX_ROUNDS = 10000,
};

static const size_t default_size = (size_t)1 << 30;

struct arguments {
	struct experiment_options options;
	size_t size; /* 0: the default */
	pid_t pid; /* 0: none */
	bool json;
	char **files; /* ended by NULL; NULL for none */
};

static const struct argp_option exit_options[] = {
	{ "pid", KEY_PID, "PID", 0, "Load the private memory of this process", 0 },
	{ "size", KEY_SIZE, "SIZE", 0,
	  "Load at most so many bytes (K, M, G and T are understood); default 1G, or less where "
	  "memory is short",
	  0 },
	{ "processes", KEY_PROCESSES, "N", 0, "Let so many processes exit at once; default 2", 0 },
	{ "resident", KEY_RESIDENT, "PERCENT", 0,
	  "Let so much of each address space be resident, not swapped; default 5", 0 },
	{ "rounds", KEY_ROUNDS, "N", 0, "Exit so often under each policy; default 5", 0 },
	{ "algorithm", KEY_ALGORITHM, "NAME", 0, "lz4 (default), lz4hc, zstd or deflate", 0 },
	{ "budget", KEY_BUDGET, "SIZE", 0,
	  "Uncompressed bytes that may wait in the deferred queue; default 'unlimited'", 0 },
	{ "json", KEY_JSON, NULL, 0, "Report in JSON, with all rounds", 0 },
	{ 0 },
};

static error_t parse_exit(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct experiment_options *options = &arguments->options;

	switch (key) {
	case KEY_PID:
		arguments->pid = (pid_t)cli_number("--pid", arg, 1, INT_MAX);
		return 0;
	case KEY_SIZE:
		arguments->size = cli_size("--size", arg);
		return 0;
	case KEY_PROCESSES:
		options->processes = (unsigned int)cli_number("--processes", arg, 1, MAX_PROCESSES);
		return 0;
	case KEY_RESIDENT:
		options->resident = (unsigned int)cli_number("--resident", arg, 0, MAX_RESIDENT);
		return 0;
	case KEY_ROUNDS:
		options->rounds = (unsigned int)cli_number("--rounds", arg, 1, MAX_ROUNDS);
		return 0;
	case KEY_ALGORITHM:
		options->algorithm = arg;
		return 0;
	case KEY_BUDGET:
		options->budget = strcmp(arg, "unlimited") == 0 ? SIZE_MAX :
								  cli_size("--budget", arg);
		return 0;
	case KEY_JSON:
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->files = state->argv + state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child exit_children[] = { { &cli_argp, 0, NULL, 0 }, { 0 } };

static const struct argp exit_argp = {
	.options = exit_options,
	.parser = parse_exit,
	.args_doc = "[FILE...]",
	.doc = "Stores real memory, compressed, as the swapped memory of processes, reads it back, "
	       "and lets the processes exit at once: with every page's copy freed at once, and "
	       "with the frees deferred. Tells how long the exits took, and when the memory was "
	       "back."
	       "\v"
	       "The memory is that of the files (and of all files in directories), of the process "
	       "of --pid, or of this machine's programs and libraries.\n\n"
	       "Exit status: 0; 1 if a page came back changed or memory did not come back; 2 if "
	       "the command could not do what it was asked.",
	.children = exit_children,
};

/* What may be loaded, so that all of the experiment fits into the memory that is available. */
static size_t decide_size(const struct arguments *arguments, size_t page_size)
{
	size_t wanted = arguments->size ? arguments->size : default_size;
	uint64_t available = machine_available_memory();
	uint64_t needed = experiment_footprint(&arguments->options, wanted / page_size) * page_size;

	if (needed <= available)
		return wanted;
	if (arguments->size)
		fail("not enough memory: %zu MiB take up to %llu MiB, of which %llu MiB are "
		     "available; choose a smaller --size",
		     wanted >> 20, (unsigned long long)(needed >> 20),
		     (unsigned long long)(available >> 20));
	return (size_t)((double)wanted * (double)available / (double)needed);
}

static void load(struct source *source, const struct arguments *arguments)
{
	progress_begin("Loading", source->room);
	if (arguments->pid)
		source_load_process(source, arguments->pid);
	else if (arguments->files)
		source_load_files(source, arguments->files);
	else
		source_load_system(source);
	progress_end();
	if (source->count < arguments->options.processes)
		fail("%s: %zu pages are too few for %u processes", source->name, source->count,
		     arguments->options.processes);
}

static bool all_came_back(const struct experiment *experiment)
{
	for (unsigned int policy = 0; policy < POLICIES; policy++)
		for (unsigned int round = 0; round < experiment->options.rounds; round++)
			if (experiment->runs[policy][round].gave_up)
				return false;
	return true;
}

/* Tells broken promises on stderr; a report alone would let them go unnoticed in a script. */
static int judge(const struct experiment *experiment)
{
	if (experiment->mismatches)
		fprintf(stderr, "zsmalloc: %zu pages came back changed\n", experiment->mismatches);
	if (!all_came_back(experiment))
		fprintf(stderr, "zsmalloc: the store is empty, but its memory did not come back\n");
	return experiment->mismatches || !all_came_back(experiment) ? STATUS_BROKEN : 0;
}

int command_exit(int argc, char **argv)
{
	static char name[] = "zsmalloc exit";
	struct arguments arguments = {
		.options = {
			.algorithm = "lz4",
			.processes = 2,
			.resident = 5,
			.rounds = 5,
			.budget = SIZE_MAX,
		},
	};
	struct experiment experiment = { 0 };
	struct machine machine;
	struct source source;
	int status;

	argv[0] = name;
	argp_parse(&exit_argp, argc, argv, CLI_ARGP_FLAGS, NULL, &arguments);
	if (arguments.pid && arguments.files)
		fail("give --pid or files, not both");
	experiment_check_algorithm(arguments.options.algorithm);

	machine_read(&machine);
	source_create(&source, decide_size(&arguments, machine.page_size));
	load(&source, &arguments);

	experiment.options = arguments.options;
	experiment.source = &source;
	experiment_run(&experiment);
	if (arguments.json)
		report_json(&experiment, &machine);
	else
		report_table(&experiment, &machine);
	if (fflush(stdout) != 0 || ferror(stdout))
		fail("cannot write the report");

	status = judge(&experiment);
	experiment_destroy(&experiment);
	source_destroy(&source);
	return status;
}
