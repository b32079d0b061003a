/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The command `zsmalloc`: finds the subcommand that is asked for, and runs it. */
#include <stdio.h>
#include <string.h>

#include "analyze.h"
#include "classes.h"
#include "exit.h"
#include "options.h"
#include "store.h"
#include "top.h"
#include "util.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "exit", command_exit },   { "analyze", command_analyze }, { "classes", command_classes },
	{ "store", command_store }, { "top", command_top },
};

static const struct cli main_cli = {
	.usage = "zsmalloc COMMAND [ARGUMENT...]",
	.summary = "Stores a great many compressed objects densely, and takes them back without "
		   "making the caller wait.",
	.notes = "Commands:\n"
		 "  exit     let processes exit on real memory, freed at once and deferred\n"
		 "  analyze  tell what a store would make of real memory\n"
		 "  classes  show the size classes and what they waste\n"
		 "  store    keep a file or device compressed in memory, and tell in how much\n"
		 "  top      show the pools of running programs\n"
		 "\n"
		 "'zsmalloc COMMAND --help' tells each one's options.",
};

static void __attribute__((noreturn)) run(const struct command *command, int argc, char **argv)
{
	char name[32];

	snprintf(name, sizeof(name), "zsmalloc %s", command->name);
	argv[0] = name;
	optind = 0; /* getopt_long() begins anew */
	command_begin(command->name);
	command_end(command->run(argc, argv));
}

int main(int argc, char **argv)
{
	static char name[] = "zsmalloc";

	command_files();
	argv[0] = name;
	cli_next(&main_cli, argc, argv);
	if (optind == argc)
		fail("no command given; see zsmalloc --help");
	argc -= optind;
	argv += optind;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			run(&commands[i], argc, argv);
	fail("no such command: \"%s\"; see zsmalloc --help", argv[0]);
}
