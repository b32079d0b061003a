/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The command `zsmalloc`: finds the subcommand that is asked for, and runs it. */
#include <stdlib.h>
#include <string.h>

#include "analyze.h"
#include "classes.h"
#include "exit.h"
#include "top.h"
#include "util.h"

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "exit", "let processes exit on real memory, freed at once and deferred", command_exit },
	{ "analyze", "tell what a store would make of real memory", command_analyze },
	{ "classes", "show the size classes and what they waste", command_classes },
	{ "top", "show the pools of running programs", command_top },
};

enum {
	COMMANDS = sizeof(commands) / sizeof(commands[0]),
};

/* Ends --help with the list of commands. */
static char *help_filter(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size = 0;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_EXTRA)
		return (char *)text;
	out = open_memstream(&list, &size);
	if (!out)
		return NULL;
	fputs("Commands:\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n'zsmalloc COMMAND --help' tells each one's options.", out);
	fclose(out);
	return list;
}

/* Stops at the first word that is not an option: it, and what follows, is the subcommand's. */
static error_t parse_main(int key, char *arg, struct argp_state *state)
{
	int *first = state->input;

	(void)arg;
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	*first = state->next - 1;
	state->next = state->argc;
	return 0;
}

static const struct argp main_argp = {
	.parser = parse_main,
	.args_doc = "COMMAND [ARGUMENT...]",
	.doc = "Stores a great many compressed objects densely, and takes them back without "
	       "making the caller wait.",
	.children = cli_children,
	.help_filter = help_filter,
};

static int run(const struct command *command, int argc, char **argv)
{
	char *name = NULL;
	int status;

	if (asprintf(&name, "zsmalloc %s", command->name) < 0)
		fail("no memory to begin with");
	argv[0] = name;
	command_begin(command->name);
	status = command->run(argc, argv);
	free(name);
	if (fflush(stdout) != 0 || ferror(stdout))
		fail("cannot write the report");
	return status;
}

int main(int argc, char **argv)
{
	static char name[] = "zsmalloc";
	int first = 0;

	argv[0] = name;
	argp_parse(&main_argp, argc, argv, CLI_ARGP_FLAGS | ARGP_IN_ORDER, NULL, &first);
	if (first == 0)
		fail("no command given; see zsmalloc --help");
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[first], commands[i].name) == 0)
			return run(&commands[i], argc - first, argv + first);
	fail("no such command: \"%s\"; see zsmalloc --help", argv[first]);
}
