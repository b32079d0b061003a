/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* What a pool tells of its deferred queue. */
#ifndef TOOLS_DEFERRED_STATS_H
#define TOOLS_DEFERRED_STATS_H

#include <stdint.h>

#include "zsmalloc.h"

/* The deferred frees that were done synchronously, for whatever reason. */
uint64_t deferred_fallbacks(struct zs_pool *pool);

#endif /* TOOLS_DEFERRED_STATS_H */
