/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Memory: how much this process holds, how much it may have, and making it cold. */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Anonymous memory that is resident: exactly, counted by the kernel page by page. */
uint64_t memory_resident(void);

/* What the system could give to processes now. */
uint64_t memory_available(void);

/* A mapping whose pages are all there already, so that it changes no later memory_resident(). */
void *memory_touched(size_t bytes);

/* Put everything out of the caches, by reading other memory: four times the last cache of it. */
void memory_make_cold(const void *other, size_t bytes);

#endif /* BENCH_MEMORY_H */
