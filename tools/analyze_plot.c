/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * An analysis drawn: the sizes of all algorithms' pages, and the overhead by the longest chain.
 * gnuplot draws: it reads a script, and writes to the file that is opened for it.
 */
#include "analyze.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

enum {
	BINS = 64, /* of the histogram */
};

static void write_sizes(FILE *script, const struct analysis *analysis,
			const struct outcome *outcome)
{
	size_t width = analysis->source->page_size / BINS;

	fprintf(script, "$sizes_%s << EOD\n", outcome->algorithm);
	for (size_t bin = 0; bin < BINS; bin++) {
		uint64_t pages = 0;

		for (size_t size = bin * width + 1; size <= (bin + 1) * width; size++)
			pages += outcome->sizes[size];
		fprintf(script, "%zu %.4f\n", (bin + 1) * width,
			100 * (double)pages / (double)analysis->source->count);
	}
	fputs("EOD\n", script);
}

static void write_chains(FILE *script, const struct outcome *outcome)
{
	fprintf(script, "$chains_%s << EOD\n", outcome->algorithm);
	for (unsigned int chain = 1; chain <= CHAIN_MAX; chain++)
		fprintf(script, "%u %.4f\n", chain, outcome_overhead(outcome, chain));
	fputs("EOD\n", script);
}

/* A line for each algorithm, the one that the user chose thicker. */
static void write_plot(FILE *script, const struct analysis *analysis, const struct outcome *chosen,
		       const char *what, const char *style)
{
	for (unsigned int i = 0; i < analysis->algorithms; i++) {
		const struct outcome *outcome = &analysis->outcome[i];

		fprintf(script, "%s $%s_%s with %s linewidth %d title \"%s\"", i ? "," : "plot",
			what, outcome->algorithm, style, outcome == chosen ? 3 : 1,
			outcome->algorithm);
	}
	fputc('\n', script);
}

/* The name of what was loaded stands in quotes: it must not end them. */
static void write_title(FILE *script, const struct analysis *analysis)
{
	fprintf(script, "set multiplot layout 1,2 title \"%zu pages of ", analysis->source->count);
	for (const char *c = analysis->source->name; *c; c++)
		fputc(strchr("\"\\`", *c) ? '?' : *c, script);
	fputs("\" noenhanced\n", script);
}

static void write_script(FILE *script, const struct analysis *analysis,
			 const struct outcome *chosen)
{
	for (unsigned int i = 0; i < analysis->algorithms; i++) {
		write_sizes(script, analysis, &analysis->outcome[i]);
		write_chains(script, &analysis->outcome[i]);
	}
	fputs("set terminal svg size 1000,420 font \"sans,13\" background \"white\"\n", script);
	write_title(script, analysis);
	fputs("set grid y\nset yrange [0:]\nset key top left\n"
	      "set xlabel \"compressed size of a page, bytes\"\nset ylabel \"% of the pages\"\n",
	      script);
	fprintf(script, "set xrange [0:%zu]\n", analysis->source->page_size);
	write_plot(script, analysis, chosen, "sizes", "steps");
	fputs("set key top center\nset xlabel \"pages in the longest zspage\"\n"
	      "set ylabel \"memory over the compressed bytes, %\"\n",
	      script);
	fprintf(script, "set xrange [1:%d]\n", CHAIN_MAX);
	write_plot(script, analysis, chosen, "chains", "linespoints");
	fputs("unset multiplot\n", script);
}

/* Starts gnuplot with its output in @file. Return: where its script goes. */
static FILE *start_gnuplot(const char *file, pid_t *pid)
{
	static char name[] = "gnuplot";
	char *const argv[] = { name, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2];
	int error;

	if (pipe2(ends, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0)
		fail("cannot start gnuplot: %s", strerror(errno));
	posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, file,
					 O_WRONLY | O_CREAT | O_TRUNC, 0666);
	error = posix_spawnp(pid, name, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[0]);
	if (error) {
		unlink(file);
		fail("cannot draw \"%s\": gnuplot does not start: %s; install gnuplot-nox", file,
		     strerror(error));
	}
	return fdopen(ends[1], "w");
}

void analysis_plot_check(const char *file)
{
	int plot = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	if (plot < 0)
		fail("cannot write \"%s\": %s", file, strerror(errno));
	close(plot);
}

void analysis_plot(const struct analysis *analysis, const struct outcome *outcome, const char *file)
{
	FILE *script;
	int status;
	pid_t pid;

	signal(SIGPIPE, SIG_IGN); /* if gnuplot ends early, its status tells */
	script = start_gnuplot(file, &pid);
	if (!script)
		fail("no memory to draw with");
	write_script(script, analysis, outcome);
	fclose(script);
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		unlink(file);
		fail("cannot draw \"%s\": gnuplot failed", file);
	}
}
