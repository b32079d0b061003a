/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Address space of the process: see map.c.
 */
#ifndef ZS_PORT_MAP_H
#define ZS_PORT_MAP_H

#include <stdbool.h>
#include <stddef.h>

void *map_memory(size_t bytes);
bool map_discard(void *memory, size_t bytes);

#endif /* ZS_PORT_MAP_H */
