/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The options of a command: a table that getopt_long() reads, and that --help prints. What is wrong
 * with them ends the command with one line (fail()).
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <getopt.h>
#include <stddef.h>

struct cli_option {
	const char *name;
	int key; /* its letter */
	const char *value; /* NULL: it takes none */
	const char *help;
};

struct cli {
	const char *usage;
	const char *summary;
	const char *notes; /* in lines; NULL: none */
	const struct cli_option *options; /* ended by one without a name; NULL: none */
};

/*
 * Returns the key of the next option, with its value in optarg; 0 behind the last one, when
 * argv[optind] is the first operand. Does --help and --version itself.
 */
int cli_next(const struct cli *cli, int argc, char **argv);

/* Ends a command that takes no operands if there are any. */
void cli_no_operands(int argc, char **argv);

/* The value of an option. What is none ends the command. */
unsigned long cli_number(const char *option, const char *text, unsigned long min,
			 unsigned long max);
size_t cli_size(const char *option, const char *text);

#endif /* TOOLS_OPTIONS_H */
