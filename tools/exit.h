/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The command `zsmalloc exit`. */
#ifndef TOOLS_EXIT_H
#define TOOLS_EXIT_H

int command_exit(int argc, char **argv);

#endif /* TOOLS_EXIT_H */
