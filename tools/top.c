/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* `zsmalloc top`: its arguments; then read and show, once or for as long as a user looks. */
#include "top.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "util.h"
#include "zsmalloc.h"

struct arguments {
	pid_t pid; /* 0: all */
	bool once;
	bool json;
};

static const struct cli_option top_options[] = {
	{ "json", 'j', NULL, "Show what is there now in JSON, and exit" },
	{ "once", 'o', NULL, "Show what is there now, and exit" },
	{ "pid", 'p', "PID", "Show this program alone" },
	{ 0 },
};

static const struct cli top_cli = {
	.usage = "zsmalloc top [OPTION...]",
	.summary = "Shows the pools of running programs: what is stored, in how much memory, how "
		   "full the size classes are, what waits to be freed.",
	.options = top_options,
	.notes = "A program shows its pools if it is started with ZSMALLOC_PUBLISH=1 in its\n"
		 "environment, or makes them with the option 'publish'; to you, if you may look\n"
		 "into it: it is yours, or you are root.\n\n"
		 "Exit status: 0; 2 if there is nothing to show.",
};

static struct arguments take_arguments(int argc, char **argv)
{
	struct arguments arguments = { .pid = 0 };
	int key;

	while ((key = cli_next(&top_cli, argc, argv)))
		if (key == 'o')
			arguments.once = true;
		else if (key == 'j')
			arguments.json = true;
		else
			arguments.pid = (pid_t)cli_number("--pid", optarg, 1, INT_MAX);
	cli_no_operands(argc, argv);
	return arguments;
}

static void refuse(int error, pid_t pid)
{
	switch (error) {
	case 0:
		return;
	case ESRCH:
		fail("no such process: %d", pid);
	case EACCES:
		fail("process %d may not be read: %s; run as its owner or as root", pid,
		     strerror(error));
	case ENOENT:
		fail("process %d publishes no pools; start it with ZSMALLOC_PUBLISH=1", pid);
	case EPROTO:
		fail("process %d publishes its pools in a way that zsmalloc %s does not know", pid,
		     ZS_VERSION);
	default:
		fail("cannot read process %d: %s", pid, strerror(error));
	}
}

static bool any_pools(const struct reading *reading)
{
	for (size_t i = 0; i < reading->programs; i++)
		if (reading->program[i].pools)
			return true;
	return false;
}

int command_top(int argc, char **argv)
{
	struct arguments arguments = take_arguments(argc, argv);
	struct reading reading;

	if (!arguments.once && !arguments.json && !isatty(STDOUT_FILENO))
		fail("the output is not a terminal; use --once or --json");

	refuse(reading_take(&reading, arguments.pid), arguments.pid);
	if (!any_pools(&reading))
		fail("no program that you may look into publishes its pools; start one with "
		     "ZSMALLOC_PUBLISH=1");
	if (!arguments.json && !arguments.once) {
		int error = top_screen(&reading, arguments.pid);

		if (error != ESRCH) /* the program has ended, which is no trouble */
			refuse(error, arguments.pid);
		return 0;
	}
	if (arguments.json)
		top_print_json(&reading);
	else
		top_print(&reading, NULL, stdout);
	reading_free(&reading);
	return 0;
}
