/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A reading of all pools that programs publish (include/zsmalloc_published.h), taken at one time.
 */
#ifndef TOOLS_READING_H
#define TOOLS_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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

#endif /* TOOLS_READING_H */
