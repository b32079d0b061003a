/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* `zsmalloc analyze`: its arguments; then load, analyze, report. */
#include "analyze.h"

#include "util.h"

struct arguments {
	struct source_options source;
	const char *algorithm;
	const char *plot; /* NULL: none */
	bool json;
};

static const struct cli_option analyze_options[] = {
	{ "algorithm", 'a', "NAME",
	  "Tell sizes, chains and classes for this algorithm of libzram; default lz4" },
	{ "json", 'j', NULL, "Report in JSON, with all algorithms' sizes, chains and classes" },
	{ "plot", 'P', "FILE.svg", "Draw sizes and chains, by gnuplot" },
	SOURCE_OPTIONS,
	{ 0 },
};

static const struct cli analyze_cli = {
	.usage = "zsmalloc analyze [OPTION...] [FILE...]",
	.summary = "Tells what a compressed store would make of real memory: how small each "
		   "algorithm makes its pages, how many are of one repeated word or do not "
		   "compress, which size classes they fall into, what these waste, and how long a "
		   "zspage may best be.",
	.options = analyze_options,
	.notes = "The memory is that of the files (and of all files in directories), of the "
		 "process\n"
		 "of --pid, or of this machine's programs and libraries.\n\n"
		 "Exit status: 0; 2 if the command could not do what it was asked.",
};

static void take_option(struct arguments *arguments, int key)
{
	switch (key) {
	case 'a':
		arguments->algorithm = optarg;
		break;
	case 'P':
		arguments->plot = optarg;
		break;
	case 'j':
		arguments->json = true;
		break;
	default:
		source_option(&arguments->source, key);
	}
}

/* What is loaded, and some for the stores. */
static const double taken_per_byte = 1.05;

int command_analyze(int argc, char **argv)
{
	struct arguments arguments = { .algorithm = "lz4" };
	const struct outcome *outcome;
	struct analysis analysis;
	struct source source;
	int key;

	while ((key = cli_next(&analyze_cli, argc, argv)))
		take_option(&arguments, key);
	source_operands(&arguments.source, argv + optind);
	check_algorithm(arguments.algorithm);
	if (arguments.plot)
		analysis_plot_check(arguments.plot);

	source_load(&source, &arguments.source, taken_per_byte);
	if (source.count == 0)
		fail("%s: there is nothing to analyze; name other files", source.name);
	analysis_run(&analysis, &source);
	outcome = analysis_find(&analysis, arguments.algorithm);
	if (arguments.plot)
		analysis_plot(&analysis, outcome, arguments.plot);
	if (arguments.json)
		analysis_print_json(&analysis);
	else
		analysis_print(&analysis, outcome);
	analysis_destroy(&analysis);
	source_destroy(&source);
	return 0;
}
