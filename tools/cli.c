/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What every command has in common. argp parses; but its own errors take two lines, and its exit
 * status is its own. So a child parser here handles errors, --help and --version.
 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "zsmalloc.h"

void fail(const char *format, ...)
{
	va_list args;

	progress_end();
	va_start(args, format);
	fputs("zsmalloc: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(STATUS_TROUBLE);
}

enum {
	KEY_VERSION = 0x100,
};

static const struct argp_option cli_options[] = {
	{ .name = "help", .key = 'h', .doc = "Say this, and exit" },
	{ .name = "version", .key = KEY_VERSION, .doc = "Say the version, and exit" },
	{ 0 },
};

static error_t parse_cli(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	switch (key) {
	case 'h':
		argp_help(state->root_argp, stdout, ARGP_HELP_STD_HELP, state->name);
		exit(0);
	case KEY_VERSION:
		puts("zsmalloc " ZS_VERSION);
		exit(0);
	case ARGP_KEY_ERROR:
		fail("bad option '%s', or its value is missing; see '%s --help'",
		     state->argv[state->next - 1], state->name);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp cli_argp = { .options = cli_options, .parser = parse_cli };

/* Reads digits alone: strtoull() would take a sign and blanks too. */
static bool read_digits(const char *text, unsigned long long *number, char **end)
{
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, end, 10);
	return errno == 0;
}

unsigned long cli_number(const char *option, const char *text, unsigned long min, unsigned long max)
{
	unsigned long long number = 0;
	char *end = NULL;

	if (!read_digits(text, &number, &end) || *end || number < min || number > max)
		fail("%s takes a number from %lu to %lu, not '%s'", option, min, max, text);
	return (unsigned long)number;
}

size_t cli_size(const char *option, const char *text)
{
	static const char suffixes[] = "KMGT";
	const size_t max = SIZE_MAX >> 6; /* leaves room to reckon with */
	unsigned long long number = 0;
	char *end = NULL;

	if (read_digits(text, &number, &end)) {
		const char *suffix = *end ? strchr(suffixes, *end) : NULL;
		unsigned int shift = suffix ? 10 * (unsigned int)(suffix - suffixes + 1) : 0;

		if (suffix)
			end++;
		if (!*end && number > 0 && number <= max >> shift)
			return (size_t)number << shift;
	}
	fail("%s takes a size such as 500M or 2G, not '%s'", option, text);
}
