/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The module's pools, and the shrinker that asks all of them for memory. It drains, gives free
 * pages back at once, and moves objects together where that frees pages.
 */
#include <linux/rwsem.h>
#include <linux/slab.h>

#include "host_pool.h"

/* What the kernel keeps for a pool beside it. */
struct host_pool {
	struct host_pool *next;
	struct zs_pool *pool;
	struct dentry *debugfs;
};

/*
 * A reader of the lock keeps the list and its pools. Tasks that reclaim are readers: they work side
 * by side, for a task that finds nothing to do takes it that there is no memory. A holder allocates
 * nothing.
 */
static struct host_pool *pools;
static DECLARE_RWSEM(pools_lock);
static struct shrinker *pools_shrinker;

struct zs_pool *host_create_pool(const char *name)
{
	struct pool_config config = host_config();
	struct host_pool *host = kzalloc(sizeof(*host), GFP_KERNEL);

	if (!host)
		return NULL;
	host->pool = pool_create(name, &config);
	if (!host->pool) {
		kfree(host);
		return NULL;
	}
	host->debugfs = debugfs_add_pool(host->pool);
	down_write(&pools_lock);
	host->next = pools;
	pools = host;
	up_write(&pools_lock);
	return host->pool;
}

/* Takes a pool off the list: the shrinker is done with it. */
static struct host_pool *host_take(const struct zs_pool *pool)
{
	struct host_pool **place = &pools, *host;

	down_write(&pools_lock);
	while (*place && (*place)->pool != pool)
		place = &(*place)->next;
	host = *place;
	if (host)
		*place = host->next;
	up_write(&pools_lock);
	return host;
}

void host_destroy_pool(struct zs_pool *pool)
{
	struct host_pool *host = host_take(pool);

	if (WARN_ON(!host))
		return;
	debugfs_remove_pool(host->debugfs);
	pool_destroy(pool);
	kfree(host);
}

unsigned long host_pages_compacted(const struct zs_pool *pool)
{
	return (unsigned long)atomic64_read(&pool->pages_compacted);
}

/* Returns the pages that can come free. What waits counts as some two objects to a page. */
static unsigned long count_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	u64 pages = READ_ONCE(runtime.zspages.store.pages) +
		    DIV_ROUND_UP_ULL(queue_pending(&runtime.queue), 2);

	down_read(&pools_lock);
	for (struct host_pool *host = pools; host; host = host->next)
		pages += pool_reclaimable(host->pool);
	up_read(&pools_lock);
	return pages ? (unsigned long)pages : SHRINK_EMPTY;
}

/* Returns the pages of all pools, free ones too. */
static u64 pages_held(void)
{
	u64 pages = READ_ONCE(runtime.zspages.store.pages);

	lockdep_assert_held(&pools_lock);
	for (struct host_pool *host = pools; host; host = host->next)
		pages += (u64)atomic64_read(&host->pool->pages);
	return pages;
}

static unsigned long scan_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	u64 before, after;

	down_read(&pools_lock);
	before = pages_held();
	drain_flush();
	for (struct host_pool *host = pools; host; host = host->next)
		if (pool_reclaimable(host->pool))
			pool_compact(host->pool);
	runtime_work_in(port_store_trim(&runtime.zspages.store, true));
	after = pages_held();
	up_read(&pools_lock);
	return before > after ? (unsigned long)(before - after) : SHRINK_STOP;
}

int pools_init(void)
{
	int error;

	pools_shrinker = compat_shrinker_alloc();
	if (!pools_shrinker)
		return -ENOMEM;
	pools_shrinker->count_objects = count_objects;
	pools_shrinker->scan_objects = scan_objects;
	error = compat_shrinker_register(pools_shrinker);
	if (error)
		pools_exit();
	return error;
}

void pools_exit(void)
{
	compat_shrinker_free(pools_shrinker);
}
