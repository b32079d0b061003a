/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What the files of this host need of each other. What a pool is inside is not known here, so that
 * what the module exports gets the checksums of the kernel's own zsmalloc.
 */
#ifndef ZS_HOST_H
#define ZS_HOST_H

#include <linux/types.h>

#include "compat.h"

struct scatterlist;
struct zs_pool;

/* Pools and what comes with them in the kernel: parameters, debugfs, a shrinker. */
struct zs_pool *host_create_pool(const char *name);
void host_destroy_pool(struct zs_pool *pool);
void host_free(struct zs_pool *pool, unsigned long handle);
void host_free_deferred(struct zs_pool *pool, unsigned long handle);
size_t host_huge_size(const struct zs_pool *pool);
unsigned long host_pages_compacted(const struct zs_pool *pool);

/* Of the core, what is exported as it is. Files that know pool.h, too, compare the two. */
unsigned long pool_malloc(struct zs_pool *pool, size_t size, gfp_t flags, int nid);
void *pool_read_begin(struct zs_pool *pool, unsigned long handle, size_t len, void *local_copy);
void pool_read_end(struct zs_pool *pool, unsigned long handle, size_t len, const void *memory);
void pool_write(struct zs_pool *pool, unsigned long handle, const void *from, size_t len);
unsigned long pool_compact(struct zs_pool *pool);
unsigned long pool_total_pages(const struct zs_pool *pool);
unsigned int pool_class_index(const struct zs_pool *pool, size_t size);
u64 drain_flush(void);

/* Access to objects as the kernels want it. */
int map_init(void);
void map_exit(void);
void *map_begin(struct zs_pool *pool, unsigned long handle, bool read, bool write);
void map_end(struct zs_pool *pool, unsigned long handle);
void sg_begin(struct zs_pool *pool, unsigned long handle, struct scatterlist *sg, size_t len);
void sg_end(struct zs_pool *pool, unsigned long handle);

#if HAVE_ZPOOL
enum zpool_mapmode;
void driver_destroy(void *pool);
int driver_malloc(void *pool, size_t size, gfp_t gfp, unsigned long *handle);
void driver_free(void *pool, unsigned long handle);
void *driver_map(void *pool, unsigned long handle, enum zpool_mapmode mode);
void driver_unmap(void *pool, unsigned long handle);
u64 driver_total(void *pool);
#endif
void zpool_init(void);
void zpool_exit(void);

/* Kbuild sets TAKEOVER where the kernel's own zsmalloc is built in: see takeover.c. */
int takeover_init(void);
void takeover_exit(void);
void takeover_uncount(void);

/*
 * There, callers have a pool's pointer without this bit, which is set in any address of the
 * kernel's. An access by such a pointer is a fault. arm64 may ignore the topmost byte.
 */
#define POOL_BIT (IS_ENABLED(CONFIG_ARM64) ? BIT(54) : BIT(62))

static inline struct zs_pool *pool_mark(struct zs_pool *pool)
{
	return TAKEOVER && pool ? (struct zs_pool *)((unsigned long)pool & ~POOL_BIT) : pool;
}

static inline struct zs_pool *pool_unmark(struct zs_pool *pool)
{
	return TAKEOVER ? (struct zs_pool *)((unsigned long)pool | POOL_BIT) : pool;
}

#if TAKEOVER
#define HOST_EXPORT(function)
#else
#define HOST_EXPORT(function) EXPORT_SYMBOL_GPL(function)
#endif

#endif /* ZS_HOST_H */
