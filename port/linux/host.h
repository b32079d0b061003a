/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What the files of this host need of each other. What a pool is inside is not known here, so that
 * what the module exports gets the checksums of the kernel's own zsmalloc.
 */
#ifndef ZS_HOST_H
#define ZS_HOST_H

#include <linux/types.h>

#include "compat.h"
#include "core.h"

struct scatterlist;

/* Module parameters. */
extern bool zs_deferred;
extern unsigned int zs_deferred_budget_mb;
extern unsigned int zs_deferred_delay_ms;
extern unsigned int zs_drain_workers;

/* Pools and what comes with them in the kernel: debugfs, a shrinker. */
struct zs_pool *host_create_pool(const char *name);
void host_destroy_pool(struct zs_pool *pool);
unsigned long host_pages_compacted(const struct zs_pool *pool);

/* Access to objects as the kernels want it. */
int map_init(void);
void map_exit(void);
void *map_begin(struct zs_pool *pool, unsigned long handle, bool read, bool write);
void map_end(struct zs_pool *pool, unsigned long handle);
void sg_begin(struct zs_pool *pool, unsigned long handle, struct scatterlist *sg, size_t len);
void sg_end(struct zs_pool *pool, unsigned long handle);

void zpool_init(void);
void zpool_exit(void);

#endif /* ZS_HOST_H */
