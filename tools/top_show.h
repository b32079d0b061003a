/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The ways in which `zsmalloc top` shows a reading: as text, as JSON, and live on a screen. */
#ifndef TOOLS_TOP_SHOW_H
#define TOOLS_TOP_SHOW_H

#include <stdio.h>

#include "reading.h"

/* With what there was @before, tells also how fast that changes; NULL for no such thing. */
void top_text(const struct reading *reading, const struct reading *before, FILE *out);

void top_json(const struct reading *reading);

/*
 * Shows the programs that publish, or that of @pid, until the user has had enough. @first is what
 * they told, and is freed. Returns 0, or the error of reading_take() when the program of @pid is
 * gone.
 */
int top_screen(struct reading *first, pid_t pid);

/* The memory that a pool holds over what is stored in it, in per cent; 0 if nothing is. */
double top_overhead(const struct zs_published_pool *pool);

/* The zspages of a class. */
uint64_t top_zspages(const struct zs_published_class *class);

#endif /* TOOLS_TOP_SHOW_H */
