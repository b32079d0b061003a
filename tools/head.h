/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The head of a report for people: the machine, and what was loaded. */
#ifndef TOOLS_HEAD_H
#define TOOLS_HEAD_H

#include "machine.h"
#include "source.h"

void print_machine(const char *command, const struct machine *machine);
void print_source(const struct source *source);

#endif /* TOOLS_HEAD_H */
