/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A progress bar on stderr: only where stderr is a terminal, and only for work that has taken two
 * seconds already.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stddef.h>

/* Begins a bar of @total steps; @label is kept, not copied. */
void progress_begin(const char *label, size_t total);

/* Counts @steps as done; from any thread. */
void progress_add(size_t steps);

/* Takes the bar off the terminal. */
void progress_end(void);

#endif /* TOOLS_PROGRESS_H */
