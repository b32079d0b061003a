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

static const struct argp_option analyze_options[] = {
	{ "algorithm", 'a', "NAME", 0,
	  "Tell sizes, chains and classes for lz4 (default), lz4hc, zstd or deflate", 0 },
	{ "plot", 'P', "FILE.svg", 0, "Draw sizes and chains, by gnuplot", 0 },
	{ "json", 'j', NULL, 0, "Report in JSON, with all algorithms' sizes, chains and classes",
	  0 },
	{ 0 },
};

static error_t parse_analyze(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->source;
		return 0;
	case 'a':
		arguments->algorithm = arg;
		return 0;
	case 'P':
		arguments->plot = arg;
		return 0;
	case 'j':
		arguments->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child analyze_children[] = {
	{ &source_argp, 0, NULL, 0 },
	{ &cli_argp, 0, NULL, 0 },
	{ 0 },
};

static const struct argp analyze_argp = {
	.options = analyze_options,
	.parser = parse_analyze,
	.args_doc = "[FILE...]",
	.doc = "Tells what a compressed store would make of real memory: how small each algorithm "
	       "makes its pages, how many are of one repeated word or do not compress, which size "
	       "classes they fall into, what these waste, and how long a zspage may best be."
	       "\v"
	       "The memory is that of the files (and of all files in directories), of the process "
	       "of --pid, or of this machine's programs and libraries.\n\n"
	       "Exit status: 0; 2 if the command could not do what it was asked.",
	.children = analyze_children,
};

/* What is loaded, and some for the stores. */
static const double taken_per_byte = 1.05;

int command_analyze(int argc, char **argv)
{
	struct arguments arguments = { .algorithm = "lz4" };
	const struct outcome *outcome;
	struct analysis analysis;
	struct source source;

	argp_parse(&analyze_argp, argc, argv, CLI_ARGP_FLAGS, NULL, &arguments);
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
