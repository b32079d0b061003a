/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The module's pools: what debugfs shows of each, in zsmalloc/POOL/, and the shrinker that asks all
 * of them for memory. It gives free pages back at once, drains, and moves objects together where
 * that frees pages, as far as it is asked.
 */
#include <linux/debugfs.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>

#include "host.h"

/*
 * Keeps pools from their end, and so is enough for pool_at(). A holder allocates nothing, as
 * reclaim takes it, too.
 */
static DEFINE_MUTEX(pools_lock);
static struct dentry *debugfs_root;

static int classes_show(struct seq_file *seq, void *unused)
{
	struct port_out out = { .seq = seq };

	pool_show_classes(seq->private, &out);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(classes);

static int deferred_free_show(struct seq_file *seq, void *unused)
{
	struct port_out out = { .seq = seq };

	pool_show_deferred(seq->private, &out);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(deferred_free);

/* Pages of the pool; of all pools, free ones that wait for the worker, and moved ones. */
static int pages_show(struct seq_file *seq, void *unused)
{
	const struct port_store *store = &runtime.zspages.store;

	seq_printf(seq, "used: %lu\nfree: %lu\nmigrated: %llu\n", pool_total_pages(seq->private),
		   READ_ONCE(store->pages), (u64)atomic64_read(&store->migrated));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pages);

struct zs_pool *host_create_pool(const char *name)
{
	struct pool_config config = host_config();
	struct zs_pool *pool = pool_create(name, &config);
	struct dentry *dir;

	if (!pool)
		return NULL;
	dir = debugfs_create_dir(pool->name, debugfs_root);
	debugfs_create_file("classes", 0444, dir, pool, &classes_fops);
	debugfs_create_file("deferred_free", 0444, dir, pool, &deferred_free_fops);
	debugfs_create_file("pages", 0444, dir, pool, &pages_fops);
	return pool;
}

void host_destroy_pool(struct zs_pool *pool)
{
	debugfs_lookup_and_remove(pool->name, debugfs_root); /* waits for readers of the files */
	mutex_lock(&pools_lock);
	pool_destroy(pool);
	mutex_unlock(&pools_lock);
}

/*
 * Returns the pages that can come free. What waits counts as some two objects to a page. While
 * another task is at work it is not known: that is 0.
 */
static unsigned long count_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	u64 pages = READ_ONCE(runtime.zspages.store.pages) +
		    DIV_ROUND_UP_ULL(queue_pending(&runtime.queue), 2);
	u64 tags = table_size(&runtime.pools, sizeof(struct zs_pool *));

	if (!mutex_trylock(&pools_lock))
		return 0;
	for (u32 tag = 0; tag < tags; tag++)
		pages += pool_at(tag) ? pool_reclaimable(pool_at(tag)) : 0;
	mutex_unlock(&pools_lock);
	return pages ? (unsigned long)pages : SHRINK_EMPTY;
}

/*
 * Returns how many pages the call gave back to the page allocator: at most as many as it was asked
 * for. It looks at two handles for each, and leaves the rest to the next call. One task works at a
 * time, for a moment; the others do not wait for it.
 */
static unsigned long scan_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	unsigned long most = control->nr_to_scan, handles = 0, freed;
	struct port_store *store = &runtime.zspages.store;
	u64 tags = table_size(&runtime.pools, sizeof(struct zs_pool *));
	static u32 last; /* the pool whose objects were moved: the next goes on behind it */
	u32 count = 1;

	if (!mutex_trylock(&pools_lock))
		return SHRINK_STOP;
	freed = store_give(store, most, NULL);
	while (count && freed < most && handles < 2 * most) {
		count = drain_some(GFP_KERNEL);
		handles += count;
		freed += store_give(store, most - freed, NULL);
	}
	/* What waits is not worth moving. */
	for (u64 left = tags; left && !count && freed < most; left--) {
		struct zs_pool *pool;

		last = (last + 1) % tags;
		pool = pool_at(last);
		if (pool && pool_reclaimable(pool)) {
			pool_compact_pages(pool, most - freed);
			freed += store_give(store, most - freed, NULL);
		}
	}
	mutex_unlock(&pools_lock);
	return freed || handles ? freed : SHRINK_STOP;
}

static struct shrinker functions = {
	.count_objects = count_objects,
	.scan_objects = scan_objects,
	.seeks = DEFAULT_SEEKS,
};
static struct shrinker *shrinker;

int pools_init(void)
{
	shrinker = compat_shrinker_start(&functions, "mm-zspool");
	if (!shrinker)
		return -ENOMEM;
	debugfs_root = debugfs_create_dir("zsmalloc", NULL);
	return 0;
}

void pools_exit(void)
{
	debugfs_remove(debugfs_root);
	compat_shrinker_stop(shrinker);
}
