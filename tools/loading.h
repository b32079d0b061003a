/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Which memory a command loads: the arguments for that, how much of it there is room for, and the
 * loading itself.
 */
#ifndef TOOLS_LOADING_H
#define TOOLS_LOADING_H

#include <argp.h>
#include <stddef.h>
#include <sys/types.h>

#include "source.h"

struct loading {
	size_t size; /* 0: the default */
	pid_t pid; /* 0: none */
	char **files; /* ended by NULL; NULL for none */
};

/* A child for a command's argp: --pid, --size and files. Its input is a struct loading. */
extern const struct argp loading_argp;

/*
 * Creates the source and fills it. With what the command does later each byte takes @taken bytes of
 * memory, which must be there.
 */
void loading_run(const struct loading *loading, double taken, struct source *source);

#endif /* TOOLS_LOADING_H */
