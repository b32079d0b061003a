/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* An analysis on stdout, as text with the details of one outcome, or as JSON; and drawn. */
#ifndef TOOLS_ANALYSIS_REPORT_H
#define TOOLS_ANALYSIS_REPORT_H

#include "analysis.h"
#include "machine.h"

void analysis_text(const struct analysis *analysis, const struct outcome *outcome,
		   const struct machine *machine);
void analysis_json(const struct analysis *analysis, const struct machine *machine);

/* Ends the command if the file cannot be written: to know that before the work is done. */
void analysis_plot_check(const char *file);

/* Writes an SVG to a file; what fails ends the command. */
void analysis_plot(const struct analysis *analysis, const struct outcome *outcome,
		   const char *file);

#endif /* TOOLS_ANALYSIS_REPORT_H */
