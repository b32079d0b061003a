/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What a pool shows in debugfs: zsmalloc/POOL/classes, deferred_free and pages.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "host_pool.h"

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

/*
 * Pages of the pool; of all pools those that wait for the worker, and those that the kernel has
 * moved.
 */
static int pages_show(struct seq_file *seq, void *unused)
{
	const struct port_store *store = &runtime.zspages.store;

	seq_printf(seq, "used: %lu\nfree: %lu\nmigrated: %llu\n", pool_total_pages(seq->private),
		   READ_ONCE(store->pages), (u64)atomic64_read(&store->migrated));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pages);

struct dentry *debugfs_add_pool(struct zs_pool *pool)
{
	struct dentry *dir = debugfs_create_dir(pool->name, debugfs_root);

	debugfs_create_file("classes", 0444, dir, pool, &classes_fops);
	debugfs_create_file("deferred_free", 0444, dir, pool, &deferred_free_fops);
	debugfs_create_file("pages", 0444, dir, pool, &pages_fops);
	return dir;
}

/* Waits for readers of the files. */
void debugfs_remove_pool(struct dentry *dir)
{
	debugfs_remove_recursive(dir);
}

void debugfs_init(void)
{
	debugfs_root = debugfs_create_dir("zsmalloc", NULL);
}

void debugfs_exit(void)
{
	debugfs_remove_recursive(debugfs_root);
}
