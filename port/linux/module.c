/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The module: its parameters, its beginning and end.
 */
#include <linux/module.h>

#include "host.h"

bool host_deferred = true;
module_param_named(deferred, host_deferred, bool, 0644);
MODULE_PARM_DESC(deferred, "zs_free() defers: on by default; may be changed at any time");

static unsigned int deferred_budget_mb = POOL_DEFERRED_BUDGET >> 20;
module_param(deferred_budget_mb, uint, 0644);
MODULE_PARM_DESC(deferred_budget_mb,
		 "MiB of uncompressed data that may wait, 0: any; pools share the largest");

static unsigned int deferred_delay_ms = POOL_DEFERRED_DELAY_MS;
module_param(deferred_delay_ms, uint, 0644);
MODULE_PARM_DESC(deferred_delay_ms,
		 "ms within which deferred frees begin to be done; pools share the shortest");

static unsigned int compact_share = POOL_COMPACT_SHARE;
module_param(compact_share, uint, 0644);
MODULE_PARM_DESC(compact_share,
		 "per cent of a CPU for compaction by itself, 0: none; of pools made from now on");

static bool huge_dense;
module_param(huge_dense, bool, 0644);
MODULE_PARM_DESC(huge_dense,
		 "zs_huge_class_size() is the least size that takes a page here, not in-tree");

/* Returns what the parameters say of a new pool. */
struct pool_config host_config(void)
{
	unsigned int budget = READ_ONCE(deferred_budget_mb);

	return (struct pool_config){
		.capacity = pool_capacity(budget ? (size_t)budget << 20 : SIZE_MAX),
		.delay_ms = READ_ONCE(deferred_delay_ms) ?: 1, /* 0 is none yet: queue_suit() */
		.max_chain = ZS_MAX_CHAIN,
		.compact_share = min(READ_ONCE(compact_share), 100U),
	};
}

#ifndef CONFIG_ZSMALLOC_CHAIN_SIZE
#define CONFIG_ZSMALLOC_CHAIN_SIZE 4
#endif
#define IN_TREE_LEAST 32 /* bytes of the smallest slot; the others are 256ths of a page apart */

/*
 * Returns the size, bytes, from which on zram takes an object for incompressible. In-tree a chain
 * has no more objects of that size than pages, each with 8 bytes for its handle.
 */
size_t host_huge_size(const struct zs_pool *pool)
{
	size_t most = PAGE_SIZE * CONFIG_ZSMALLOC_CHAIN_SIZE / (CONFIG_ZSMALLOC_CHAIN_SIZE + 1);

	if (READ_ONCE(huge_dense))
		return pool_huge_size(pool);
	return most - (most - IN_TREE_LEAST) % (PAGE_SIZE / 256) - 8 + 1;
}

/* Says what moves pages of zsmalloc's type, or NULL. A zsmalloc that is built in keeps its own. */
static int movable_ops_set(const struct movable_operations *ops)
{
#if HAVE_SET_MOVABLE_OPS && IS_ENABLED(CONFIG_COMPACTION) && !TAKEOVER
	return set_movable_ops(ops, PGTY_zsmalloc);
#else
	return 0;
#endif
}

static int __init host_init(void)
{
	int error = HAVE_MAP ? map_init() : 0;

	if (error)
		return error;
	error = runtime_init();
	if (error)
		goto no_runtime;
	error = pools_init();
	if (error)
		goto no_pools;
	error = TAKEOVER ? takeover_init() : movable_ops_set(&port_movable_ops);
	if (error)
		goto no_way_in;
	if (HAVE_ZPOOL && !TAKEOVER)
		zpool_init();
	return 0;

no_way_in:
	pools_exit();
no_pools:
	runtime_exit();
no_runtime:
	if (HAVE_MAP)
		map_exit();
	return error;
}

static void __exit host_exit(void)
{
	if (TAKEOVER)
		takeover_exit();
	else if (HAVE_ZPOOL)
		zpool_exit();
	pools_exit();
	runtime_exit();
	movable_ops_set(NULL);
	if (HAVE_MAP)
		map_exit();
}

module_init(host_init);
module_exit(host_exit);

MODULE_LICENSE("Dual BSD/GPL");
MODULE_VERSION("0.1.0");
MODULE_DESCRIPTION("Dense memory for compressed pages, with frees that don't make the caller wait");
