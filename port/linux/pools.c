/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The module's pools, and the shrinker that asks all of them for memory. It gives free pages back
 * at once, drains, and moves objects together where that frees pages, as far as it is asked. Before
 * the kernel kills a process for want of memory, it is asked for all.
 */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/oom.h>
#include <linux/slab.h>

#include "host_pool.h"

/* What the kernel keeps for a pool beside it. */
struct host_pool {
	struct list_head list;
	struct zs_pool *pool;
	struct dentry *debugfs;
};

/*
 * The lock keeps the list, its pools and the count of pages that reclaim got since it last ran out
 * of memory. A holder allocates nothing, as reclaim takes the lock, too.
 */
static LIST_HEAD(pools);
static DEFINE_MUTEX(pools_lock);
static unsigned long pages_given;
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
	mutex_lock(&pools_lock);
	list_add(&host->list, &pools);
	mutex_unlock(&pools_lock);
	return host->pool;
}

void host_destroy_pool(struct zs_pool *pool)
{
	struct host_pool *host;

	mutex_lock(&pools_lock);
	list_for_each_entry (host, &pools, list)
		if (host->pool == pool)
			break;
	if (WARN_ON(list_entry_is_head(host, &pools, list))) {
		mutex_unlock(&pools_lock);
		return;
	}
	list_del(&host->list);
	mutex_unlock(&pools_lock);
	debugfs_remove_pool(host->debugfs);
	pool_destroy(pool);
	kfree(host);
}

unsigned long host_pages_compacted(const struct zs_pool *pool)
{
	return (unsigned long)atomic64_read(&pool->pages_compacted);
}

/*
 * Returns the pages that can come free. What waits counts as some two objects to a page. While
 * another task is at work it is not known: that is 0.
 */
static unsigned long count_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	u64 pages = READ_ONCE(runtime.zspages.store.pages) +
		    DIV_ROUND_UP_ULL(queue_pending(&runtime.queue), 2);
	struct host_pool *host;

	if (!mutex_trylock(&pools_lock))
		return 0;
	list_for_each_entry (host, &pools, list)
		pages += pool_reclaimable(host->pool);
	mutex_unlock(&pools_lock);
	return pages ? (unsigned long)pages : SHRINK_EMPTY;
}

/*
 * Gives up to @most pages back to the page allocator. Returns how many. It looks at two handles for
 * each.
 * - Under the lock of the pools.
 */
static unsigned long pools_give(unsigned long most)
{
	struct port_store *store = &runtime.zspages.store;
	unsigned long handles = 0, freed;
	struct host_pool *host;
	u32 count = 1;

	lockdep_assert_held(&pools_lock);
	freed = store_give(store, most, NULL);
	while (count && freed < most && handles < 2 * most) {
		count = drain_some(GFP_KERNEL);
		handles += count;
		freed += store_give(store, most - freed, NULL);
		cond_resched();
	}
	list_rotate_left(&pools); /* another is the first to have its objects moved */
	list_for_each_entry (host, &pools, list) {
		if (count || freed >= most) /* what waits is not worth moving */
			break;
		if (pool_reclaimable(host->pool))
			pool_compact_pages(host->pool, most - freed);
		freed += store_give(store, most - freed, NULL);
	}
	runtime_work_in(store_wants(store));
	pages_given += freed;
	return freed;
}

/*
 * Returns how many pages the call gave back: at most as many as it was asked for. It leaves the
 * rest to the next call. One task works at a time, for a moment; the others do not wait for it.
 */
static unsigned long scan_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	unsigned long freed;

	if (!mutex_trylock(&pools_lock))
		return SHRINK_STOP;
	freed = pools_give(control->nr_to_scan);
	mutex_unlock(&pools_lock);
	return freed || queue_pending(&runtime.queue) ? freed : SHRINK_STOP;
}

/*
 * Gives back all that can come free. The kernel looks for memory again if there was something.
 * Another task may have given it: reclaim finds nothing while that task is at work.
 */
static int oom_notify(struct notifier_block *block, unsigned long unused, void *freed)
{
	mutex_lock(&pools_lock);
	pools_give(ULONG_MAX / 2);
	*(unsigned long *)freed += pages_given;
	pages_given = 0;
	mutex_unlock(&pools_lock);
	return NOTIFY_OK;
}

static struct notifier_block oom_notifier = { .notifier_call = oom_notify };

int pools_init(void)
{
	int error;

	pools_shrinker = compat_shrinker_alloc();
	if (!pools_shrinker)
		return -ENOMEM;
	pools_shrinker->count_objects = count_objects;
	pools_shrinker->scan_objects = scan_objects;
	error = compat_shrinker_register(pools_shrinker);
	if (!error)
		error = register_oom_notifier(&oom_notifier);
	if (error)
		pools_exit();
	return error;
}

void pools_exit(void)
{
	unregister_oom_notifier(&oom_notifier);
	compat_shrinker_free(pools_shrinker);
}
