/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The command `zsmalloc top`. */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

int command_top(int argc, char **argv);

#endif /* TOOLS_TOP_H */
