/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The command `zsmalloc top`: a reading of all pools that programs publish
 * (include/zsmalloc_published.h), taken at one time; and the ways in which it is shown.
 */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "zsmalloc_published.h"

/* A program that publishes, and what it told. */
struct program {
	pid_t pid;
	char command[32];
	bool answered; /* else the pools are as it told them last */
	size_t pools;
	struct zs_published_pool *pool;
	struct zs_published *shared; /* while it is being asked */
	uint32_t asked; /* the number of the question */
};

struct reading {
	uint64_t time; /* in nanoseconds, of the monotonic clock */
	size_t programs;
	struct program *program; /* by pid */
};

/*
 * Asks all programs that publish and may be read, or with @pid that one. Returns 0, or for one
 * program an error. ESRCH: there is none. EACCES: it may not be read. ENOENT: it publishes nothing.
 * EPROTO: it publishes in a way that this command does not know. No memory ends the command.
 */
int reading_take(struct reading *reading, pid_t pid);
void reading_free(struct reading *reading);

/* The same pool in another reading; NULL if it is not there. */
const struct zs_published_pool *reading_find(const struct reading *reading, pid_t pid, uint64_t id);

/* With what there was @before, tells also how fast that changes; NULL for no such thing. */
void top_print(const struct reading *reading, const struct reading *before, FILE *out);
void top_print_json(const struct reading *reading);

/*
 * Shows the programs that publish, or that of @pid, until the user has had enough. @first is what
 * they told, and is freed. Returns 0, or the error of reading_take() when the program of @pid is
 * gone.
 */
int top_screen(struct reading *first, pid_t pid);

int command_top(int argc, char **argv);

#endif /* TOOLS_TOP_H */
