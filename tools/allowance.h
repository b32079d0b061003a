/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What this program may take. That is the least that the machine, its control groups and its
 * resource limits leave. Groups of both versions count, and those above them.
 */
#ifndef TOOLS_ALLOWANCE_H
#define TOOLS_ALLOWANCE_H

#include <stdint.h>

struct allowance {
	uint64_t memory; /* bytes; UINT64_MAX if unknown */
	unsigned int cpus; /* at least 1 */
};

/* Reads the limits. @root stands before each path, "" but in tests. */
struct allowance allowance_find(const char *root);

#endif /* TOOLS_ALLOWANCE_H */
