/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The command `zsmalloc exit`: an experiment, and its report. Processes whose memory lies
 * compressed in one store exit at once, under each policy of freeing in turn.
 */
#ifndef TOOLS_EXIT_H
#define TOOLS_EXIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "source.h"
#include "zram.h"

enum {
	POLICIES = 2, /* the values of enum zram_free_policy */
};

struct experiment_options {
	const char *algorithm;
	unsigned int processes;
	unsigned int resident; /* per cent of each process's address space */
	unsigned int rounds;
	size_t budget; /* of the deferred queue, bytes; 0 for a pool's default, SIZE_MAX for none */
};

/* The exit of one process, in nanoseconds. */
struct exit_times {
	uint64_t wall;
	uint64_t cpu;
	uint64_t slots; /* part of wall: handing over the swapped slots */
	uint64_t resident; /* part of wall: releasing the resident pages */
	size_t swapped_pages;
};

/* One exit of all processes; times in nanoseconds from the first one's start. */
struct run {
	struct exit_times *exits; /* one a process */
	uint64_t resident_back;
	uint64_t store_empty; /* the store says that it holds no memory */
	uint64_t compressed_back; /* and the system has it */
	uint64_t cpu; /* of all other threads, until the compressed memory was back */
	uint64_t fallbacks;
	bool gave_up; /* the memory was not back within a generous time */
	struct zram_mm_stat stored; /* before the exit */
};

struct experiment {
	struct experiment_options options;
	const struct source *source;
	size_t resident_pages; /* of all processes */
	size_t mismatches; /* pages that came back changed, of all runs */
	struct run *runs[POLICIES]; /* one a round */
};

/* Pages of memory that the experiment takes, at most, for @pages that are loaded. */
uint64_t experiment_footprint(const struct experiment_options *options, uint64_t pages);

void experiment_run(struct experiment *experiment);
void experiment_destroy(struct experiment *experiment);

/* The report on stdout: a table for people, or JSON with all rounds for programs. */
void experiment_print(const struct experiment *experiment);
void experiment_print_json(const struct experiment *experiment);

int command_exit(int argc, char **argv);

#endif /* TOOLS_EXIT_H */
