/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The command `zsmalloc classes`. */
#ifndef TOOLS_CLASSES_H
#define TOOLS_CLASSES_H

int command_classes(int argc, char **argv);

#endif /* TOOLS_CLASSES_H */
