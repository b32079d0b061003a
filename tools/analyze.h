/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The command `zsmalloc analyze`. */
#ifndef TOOLS_ANALYZE_H
#define TOOLS_ANALYZE_H

int command_analyze(int argc, char **argv);

#endif /* TOOLS_ANALYZE_H */
