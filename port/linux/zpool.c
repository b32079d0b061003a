/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zsmalloc as a zpool driver: the way in for zswap, in the kernels whose zswap doesn't call
 * zsmalloc by itself. Where the kernel's own driver is built in, takeover.c redirects its functions
 * to these.
 */
#include <linux/atomic.h>
#include <linux/module.h>
#include <linux/zpool.h>
#include <linux/zsmalloc.h>

#include "host.h"

static void *driver_create(COMPAT_ZPOOL_CREATE)
{
	return zs_create_pool(name);
}

static void driver_destroy(void *pool)
{
	zs_destroy_pool(pool);
}

static int driver_malloc(void *pool, size_t size, gfp_t gfp, unsigned long *handle)
{
	*handle = zs_malloc(pool, size, gfp);
	return IS_ERR_VALUE(*handle) ? (int)*handle : 0;
}

static void driver_free(void *pool, unsigned long handle)
{
	zs_free(pool, handle);
}

static void *driver_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	return map_begin(pool_unmark(pool), handle, mode != ZPOOL_MM_WO, mode != ZPOOL_MM_RO);
}

static void driver_unmap(void *pool, unsigned long handle)
{
	map_end(pool_unmark(pool), handle);
}

static u64 driver_total(void *pool)
{
	return (u64)zs_get_total_pages(pool) * COMPAT_ZPOOL_UNIT;
}

struct zpool_driver host_zpool = {
	.type = "zsmalloc",
	.owner = THIS_MODULE,
	.create = driver_create,
	.destroy = driver_destroy,
	.malloc_support_movable = true,
	.malloc = driver_malloc,
	.free = driver_free,
	.map = driver_map,
	.unmap = driver_unmap,
	.COMPAT_ZPOOL_TOTAL = driver_total,
};

#if !TAKEOVER
void zpool_init(void)
{
	zpool_register_driver(&host_zpool);
}

/* The module has no users left, so the driver has none. */
void zpool_exit(void)
{
	zpool_unregister_driver(&host_zpool);
}

MODULE_ALIAS("zpool-zsmalloc");
#endif
