/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The experiment's report on stdout: a table for people, or JSON with all rounds for programs. */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include "experiment.h"
#include "machine.h"

void report_table(const struct experiment *experiment, const struct machine *machine);
void report_json(const struct experiment *experiment, const struct machine *machine);

#endif /* TOOLS_REPORT_H */
