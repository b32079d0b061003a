/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Which machine the figures come from, and how much memory it has to spare. */
#ifndef TOOLS_MACHINE_H
#define TOOLS_MACHINE_H

#include <stddef.h>
#include <stdint.h>

struct machine {
	char cpu[128];
	char kernel[128]; /* name and release */
	unsigned int cores;
	size_t page_size;
};

void machine_read(struct machine *machine);

/* Bytes of anonymous memory that this program holds, in memory or in swap; 0 if unknown. */
uint64_t machine_own_memory(void);

/* Bytes that the kernel holds available for new work; UINT64_MAX where it does not say. */
uint64_t machine_available_memory(void);

#endif /* TOOLS_MACHINE_H */
