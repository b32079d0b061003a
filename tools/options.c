/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Options of a command: see options.h. */
#include "options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "zsmalloc.h"

enum {
	MAX_OPTIONS = 16,
	WIDTH = 79,
	HELP_COLUMN = 26,
	KEY_VERSION = 0x100,
};

static const struct cli_option common_options[] = {
	{ "help", 'h', NULL, "Say this, and exit" },
	{ "version", KEY_VERSION, NULL, "Say the version, and exit" },
	{ 0 },
};

/* Prints words from a column on, in lines that begin at @indent; and the end of the line. */
static void print_words(const char *text, int column, int indent)
{
	bool first = true;

	while (*text) {
		int length = (int)strcspn(text, " ");

		if (!first && column + 1 + length > WIDTH) {
			printf("\n%*s", indent, "");
			column = indent;
			first = true;
		}
		column += printf("%s%.*s", first ? "" : " ", length, text);
		first = false;
		text += length;
		text += *text == ' ';
	}
	putchar('\n');
}

static void print_options(const struct cli_option *option)
{
	for (; option && option->name; option++) {
		bool letter = option->key < KEY_VERSION;
		int column = printf("  %c%c%c --%s%s%s ", letter ? '-' : ' ',
				    letter ? option->key : ' ', letter ? ',' : ' ', option->name,
				    option->value ? "=" : "", option->value ? option->value : "");

		if (column < HELP_COLUMN)
			column += printf("%*s", HELP_COLUMN - column, "");
		print_words(option->help, column, HELP_COLUMN);
	}
}

static void print_help(const struct cli *cli)
{
	printf("Usage: %s\n", cli->usage);
	print_words(cli->summary, 0, 0);
	putchar('\n');
	print_options(cli->options);
	print_options(common_options);
	if (cli->notes)
		printf("\n%s\n", cli->notes);
}

static const struct cli_option *find(const struct cli_option *option, int key)
{
	for (; option && option->name; option++)
		if (option->key == key)
			return option;
	return NULL;
}

static void __attribute__((noreturn)) refuse(const struct cli *cli, char **argv)
{
	/* A letter may stand among others. */
	if (optopt > 0 && optopt < KEY_VERSION && !find(cli->options, optopt) && optopt != 'h')
		fail("bad option \"-%c\"; see %s --help", optopt, argv[0]);
	fail("bad option \"%s\", or its value is missing; see %s --help", argv[optind - 1],
	     argv[0]);
}

/* Adds options to what getopt_long() reads: both words and letters. */
static void add(const struct cli_option *option, struct option *words, char *letters)
{
	while (words->name)
		words++;
	for (letters += strlen(letters); option && option->name; option++) {
		*words++ = (struct option){
			.name = option->name,
			.has_arg = option->value ? required_argument : no_argument,
			.val = option->key,
		};
		if (option->key >= KEY_VERSION)
			continue;
		*letters++ = (char)option->key;
		if (option->value)
			*letters++ = ':';
	}
}

int cli_next(const struct cli *cli, int argc, char **argv)
{
	struct option words[MAX_OPTIONS] = { 0 };
	char letters[2 * MAX_OPTIONS] = "";
	int key;

	/* A command that takes none of its own leaves the words to another one. */
	if (!cli->options)
		letters[0] = '+';
	add(cli->options, words, letters);
	add(common_options, words, letters);
	opterr = 0;
	key = getopt_long(argc, argv, letters, words, NULL);
	switch (key) {
	case -1:
		return 0;
	case 'h':
		print_help(cli);
		command_end(0);
	case KEY_VERSION:
		puts("zsmalloc " ZS_VERSION);
		command_end(0);
	case '?':
		refuse(cli, argv);
	default:
		return key;
	}
}

void cli_no_operands(int argc, char **argv)
{
	if (optind < argc)
		fail("takes options only, not \"%s\"; see %s --help", argv[optind], argv[0]);
}

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
	unsigned long long value = 0;
	char *end = NULL;

	if (!read_digits(text, &value, &end) || *end || value < min || value > max)
		fail("%s takes a number from %lu to %lu, not \"%s\"", option, min, max, text);
	return (unsigned long)value;
}

size_t cli_size(const char *option, const char *text)
{
	static const char suffixes[] = "KMGT";
	const size_t max = SIZE_MAX >> 6; /* leaves room to reckon with */
	unsigned long long value = 0;
	char *end = NULL;

	if (read_digits(text, &value, &end)) {
		const char *suffix = *end ? strchr(suffixes, *end) : NULL;
		unsigned int shift = suffix ? 10 * (unsigned int)(suffix - suffixes + 1) : 0;

		if (suffix)
			end++;
		if (!*end && value > 0 && value <= max >> shift)
			return (size_t)value << shift;
	}
	fail("%s takes a size such as 500M or 2G, not \"%s\"", option, text);
}
