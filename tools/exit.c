/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* `zsmalloc exit`: its arguments; then load, experiment, report. */
#include "exit.h"

#include <string.h>

#include "util.h"

enum {
	MAX_PROCESSES = 1024,
	MAX_RESIDENT = 90,
	MAX_ROUNDS = 10000,
};

struct arguments {
	struct experiment_options options;
	struct source_options source;
	bool json;
};

static const struct cli_option exit_options[] = {
	{ "algorithm", 'a', "NAME", "An algorithm of libzram; default lz4" },
	{ "budget", 'b', "SIZE",
	  "Uncompressed bytes that may wait in the deferred queue, or 'unlimited'; default: a "
	  "pool's" },
	{ "rounds", 'c', "N", "Exit so often under each policy; default 5" },
	{ "json", 'j', NULL, "Report in JSON, with all rounds" },
	{ "processes", 'n', "N", "Let so many processes exit at once; default 2" },
	{ "resident", 'r', "PERCENT",
	  "Let so much of each address space be resident, not swapped; default 5" },
	SOURCE_OPTIONS,
	{ 0 },
};

static const struct cli exit_cli = {
	.usage = "zsmalloc exit [OPTION...] [FILE...]",
	.summary = "Stores real memory, compressed, as the swapped memory of processes, reads it "
		   "back, and lets the processes exit at once: with every page's copy freed at "
		   "once, and with the frees deferred. Tells how long the exits took, and when the "
		   "memory was back.",
	.options = exit_options,
	.notes = "The memory is that of the files (and of all files in directories), of the "
		 "process\n"
		 "of --pid, or of this machine's programs and libraries.\n\n"
		 "Exit status: 0; 1 if a page came back changed or memory did not come back; 2 if\n"
		 "the command could not do what it was asked.",
};

static void take_option(struct arguments *arguments, int key)
{
	struct experiment_options *options = &arguments->options;

	switch (key) {
	case 'n':
		options->processes =
			(unsigned int)cli_number("--processes", optarg, 1, MAX_PROCESSES);
		break;
	case 'r':
		options->resident = (unsigned int)cli_number("--resident", optarg, 0, MAX_RESIDENT);
		break;
	case 'c':
		options->rounds = (unsigned int)cli_number("--rounds", optarg, 1, MAX_ROUNDS);
		break;
	case 'a':
		options->algorithm = optarg;
		break;
	case 'b':
		options->budget = strcmp(optarg, "unlimited") == 0 ? SIZE_MAX :
								     cli_size("--budget", optarg);
		break;
	case 'j':
		arguments->json = true;
		break;
	default:
		source_option(&arguments->source, key);
	}
}

/* Bytes of memory that the whole experiment takes, for each that is loaded. */
static double taken_per_byte(const struct experiment_options *options)
{
	const uint64_t pages = 1 << 20;

	return (double)experiment_footprint(options, pages) / (double)pages;
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
		complain("pages came back changed: %zu", experiment->mismatches);
	if (!all_came_back(experiment))
		complain("the store is empty, but its memory did not come back");
	return experiment->mismatches || !all_came_back(experiment) ? STATUS_BROKEN : 0;
}

int command_exit(int argc, char **argv)
{
	struct arguments arguments = {
		.options = {
			.algorithm = "lz4",
			.processes = 2,
			.resident = 5,
			.rounds = 5,
		},
	};
	struct experiment experiment = { 0 };
	struct source source;
	int status;
	int key;

	while ((key = cli_next(&exit_cli, argc, argv)))
		take_option(&arguments, key);
	source_operands(&arguments.source, argv + optind);
	check_algorithm(arguments.options.algorithm);

	source_load(&source, &arguments.source, taken_per_byte(&arguments.options));
	if (source.count < arguments.options.processes)
		fail("%s: %zu pages are too few for %u processes; choose fewer --processes",
		     source.name, source.count, arguments.options.processes);

	experiment.options = arguments.options;
	experiment.source = &source;
	experiment_run(&experiment);
	if (arguments.json)
		experiment_print_json(&experiment);
	else
		experiment_print(&experiment);

	status = judge(&experiment);
	experiment_destroy(&experiment);
	source_destroy(&source);
	return status;
}
