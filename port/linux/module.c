/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The module: its parameters, its beginning and end, and the making of pools.
 */
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "host_pool.h"

bool zs_deferred = true;
module_param_named(deferred, zs_deferred, bool, 0644);
MODULE_PARM_DESC(deferred, "zs_free() defers: on by default; may be changed at any time");

unsigned int zs_deferred_budget_mb = POOL_DEFERRED_BUDGET >> 20;
module_param_named(deferred_budget_mb, zs_deferred_budget_mb, uint, 0644);
MODULE_PARM_DESC(
	deferred_budget_mb,
	"MiB of uncompressed data that may wait to be freed, 0: any; of pools made from now on");

unsigned int zs_deferred_delay_ms = POOL_DEFERRED_DELAY_MS;
module_param_named(deferred_delay_ms, zs_deferred_delay_ms, uint, 0644);
MODULE_PARM_DESC(deferred_delay_ms,
		 "ms within which deferred frees begin to be done; of pools made from now on");

unsigned int zs_drain_workers;
module_param_named(drain_workers, zs_drain_workers, uint, 0644);
MODULE_PARM_DESC(drain_workers, "CPUs that do deferred frees of a pool at a time, at most 64, 0: "
				"half of them; of pools made from now on");

/* What the kernel keeps for a pool beside it. */
struct host_pool {
	struct list_head list;
	struct zs_pool *pool;
	struct dentry *debugfs;
	struct compat_shrinker shrinker;
};

static LIST_HEAD(host_pools);
static DEFINE_MUTEX(host_pools_lock);

static u64 budget_capacity(unsigned int megabytes)
{
	return pool_capacity(megabytes ? (size_t)megabytes << 20 : SIZE_MAX);
}

struct zs_pool *host_create_pool(const char *name)
{
	struct pool_config config = {
		.capacity = budget_capacity(READ_ONCE(zs_deferred_budget_mb)),
		.delay_ms = READ_ONCE(zs_deferred_delay_ms),
		.max_chain = ZS_MAX_CHAIN,
		.compact_share = 0, /* the shrinker and zram's user ask for it */
		.drain_workers = pool_drain_workers(READ_ONCE(zs_drain_workers)),
		.misuse_is_fatal = false,
	};
	struct host_pool *host = kzalloc(sizeof(*host), GFP_KERNEL);

	if (!host)
		return NULL;
	host->pool = pool_create(name, &config);
	if (!host->pool) {
		kfree(host);
		return NULL;
	}
	host->debugfs = debugfs_add_pool(host->pool);
	shrinker_add_pool(&host->shrinker, host->pool);
	mutex_lock(&host_pools_lock);
	list_add(&host->list, &host_pools);
	mutex_unlock(&host_pools_lock);
	return host->pool;
}

static struct host_pool *host_take(const struct zs_pool *pool)
{
	struct host_pool *host, *found = NULL;

	mutex_lock(&host_pools_lock);
	list_for_each_entry(host, &host_pools, list) if (host->pool == pool) found = host;
	if (found)
		list_del(&found->list);
	mutex_unlock(&host_pools_lock);
	return found;
}

void host_destroy_pool(struct zs_pool *pool)
{
	struct host_pool *host = host_take(pool);

	if (WARN_ON(!host))
		return;
	compat_shrinker_unregister(&host->shrinker);
	debugfs_remove_pool(host->debugfs);
	pool_destroy(pool);
	kfree(host);
}

unsigned long host_pages_compacted(const struct zs_pool *pool)
{
	return (unsigned long)atomic64_read(&pool->pages_compacted);
}

static int __init host_init(void)
{
	int error = port_workqueue_init();

	if (error)
		return error;
	error = map_init();
	if (error)
		goto no_map;
	error = migrate_init();
	if (error)
		goto no_migrate;
	debugfs_init();
	zpool_init();
	return 0;

no_migrate:
	map_exit();
no_map:
	port_workqueue_exit();
	return error;
}

static void __exit host_exit(void)
{
	zpool_exit();
	debugfs_exit();
	migrate_exit();
	map_exit();
	port_workqueue_exit();
}

module_init(host_init);
module_exit(host_exit);

MODULE_LICENSE("Dual BSD/GPL");
MODULE_VERSION("0.1.0");
MODULE_DESCRIPTION("Dense memory for compressed pages, with frees that don't make the caller wait");
