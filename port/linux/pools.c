/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The module's pools: what debugfs shows of each, in zsmalloc/POOL/, and the shrinker that asks all
 * of them for memory. It gives free pages back at once, drains, and moves objects together where
 * that frees pages, as far as it is asked. Before the kernel kills a process for want of memory, it
 * is asked for all.
 */
#include <linux/debugfs.h>
#include <linux/oom.h>

#include "host.h"

/*
 * The lock keeps the pools, by their tags, and the count of pages that reclaim got since it last
 * ran out of memory. A holder allocates nothing, and waits for no lock under which another does:
 * reclaim takes the lock, too.
 */
static DEFINE_MUTEX(pools_lock);
static DECLARE_BITMAP(pools, HANDLE_TAGS);
static unsigned long pages_given;
static struct dentry *debugfs_root;

static int classes_show(struct seq_file *seq, void *unused)
{
	pool_show_classes(seq->private, container_of(seq, struct port_out, seq));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(classes);

static int deferred_free_show(struct seq_file *seq, void *unused)
{
	pool_show_deferred(seq->private, container_of(seq, struct port_out, seq));
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

	if (!pool)
		return NULL;
	set_bit(pool->tag, pools);
	pool->shown = debugfs_create_dir(pool->name, debugfs_root);
	debugfs_create_file("classes", 0444, pool->shown, pool, &classes_fops);
	debugfs_create_file("deferred_free", 0444, pool->shown, pool, &deferred_free_fops);
	debugfs_create_file("pages", 0444, pool->shown, pool, &pages_fops);
	return pool;
}

void host_destroy_pool(struct zs_pool *pool)
{
	debugfs_remove(pool->shown); /* waits for readers of the files */
	mutex_lock(&pools_lock);
	clear_bit(pool->tag, pools);
	mutex_unlock(&pools_lock);
	pool_destroy(pool);
}

/*
 * Returns the pages that can come free. What waits counts as some two objects to a page. While
 * another task is at work it is not known: that is 0.
 */
static unsigned long count_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	u64 pages = READ_ONCE(runtime.zspages.store.pages) +
		    DIV_ROUND_UP_ULL(queue_pending(&runtime.queue), 2);
	u32 tag;

	if (!mutex_trylock(&pools_lock))
		return 0;
	for_each_set_bit (tag, pools, HANDLE_TAGS)
		pages += pool_reclaimable(pool_at(tag));
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
	static u32 next; /* the tag from which on pools have their objects moved */
	u32 count = 1, tag, start = next;

	lockdep_assert_held(&pools_lock);
	freed = store_give(store, most, NULL);
	while (count && freed < most && handles < 2 * most) {
		count = drain_some(GFP_KERNEL);
		handles += count;
		freed += store_give(store, most - freed, NULL);
		cond_resched();
	}
	for_each_set_bit_wrap(tag, pools, HANDLE_TAGS, start)
	{
		if (count || freed >= most) /* what waits is not worth moving */
			break;
		if (pool_reclaimable(pool_at(tag)))
			pool_compact_pages(pool_at(tag), most - freed);
		freed += store_give(store, most - freed, NULL);
		next = tag + 1;
	}
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
	register_oom_notifier(&oom_notifier); /* fails only for one that is there already */
	debugfs_root = debugfs_create_dir("zsmalloc", NULL);
	return 0;
}

void pools_exit(void)
{
	debugfs_remove(debugfs_root);
	compat_shrinker_stop(shrinker);
	unregister_oom_notifier(&oom_notifier);
}
