/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The runtime's life in a process: see process.c.
 */
#ifndef ZS_PROCESS_H
#define ZS_PROCESS_H

int process_get(void);
void process_put(void);

#endif /* ZS_PROCESS_H */
