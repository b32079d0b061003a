/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What every command has in common: its exit statuses, its way to fail, its --help and --version,
 * and the reading of numbers and sizes.
 */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include <argp.h>
#include <stddef.h>

/* 0 is success. */
enum {
	STATUS_BROKEN =
		1, /* the library broke a promise: a page came back changed, or memory did not */
	STATUS_TROUBLE = 2, /* the command could not do what it was asked */
};

/* Says "zsmalloc: ..." in one line on stderr and exits with STATUS_TROUBLE. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* A child for every command's argp: --help, --version, and one line for a bad option. */
extern const struct argp cli_argp;

/* The flags for argp_parse() that leave errors and help to cli_argp. */
#define CLI_ARGP_FLAGS (ARGP_NO_ERRS | ARGP_NO_HELP)

unsigned long cli_number(const char *option, const char *text, unsigned long min,
			 unsigned long max);
size_t cli_size(const char *option, const char *text);

#endif /* TOOLS_CLI_H */
