/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* What the files of /proc say. */
#ifndef TOOLS_PROC_H
#define TOOLS_PROC_H

#include <stdbool.h>
#include <stddef.h>

/* Copies the value of the first line "KEY : VALUE" of a file; false if there is none. */
bool proc_field(const char *path, const char *key, char *value, size_t size);

/* A path or a name may be any bytes: show it in those that every terminal, and JSON, takes. */
void make_printable(char *text);

#endif /* TOOLS_PROC_H */
