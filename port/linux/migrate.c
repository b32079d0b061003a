/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Moving the pages of chains: what the kernel's memory compaction does to make large free runs.
 *
 * A page knows its chain and its pool, and is locked by the kernel while it is moved. The pool can't
 * go meanwhile: it takes the lock of each of its pages before it gives it back. Under the class lock
 * it is certain whether the chain's zspage lives and has this page; frozen, nobody reads it. Then
 * the page's bytes move, and handles, which name slots, never notice. A zspage that a reader or a
 * chunk of the deferred queue has pinned stays where it is.
 */
#include <linux/highmem.h>
#include <linux/vmstat.h>

#include "host_pool.h"

/* Where the page is in the chain; NULL if it is not. Under the class lock. */
static struct page **chain_find(struct port_chain *chain, unsigned int pages, struct page *page)
{
	for (unsigned int i = 0; i < pages; i++)
		if (chain->page[i] == page)
			return &chain->page[i];
	return NULL;
}

static bool isolate_page(struct page *page, isolate_mode_t mode)
{
	return page_private(page) != 0;
}

static void putback_page(struct page *page)
{
}

static int migrate_page(struct page *to, struct page *from, enum migrate_mode mode)
{
	struct port_chain *chain = port_page_chain(from);
	struct size_class *class;
	struct zspage *zspage;
	struct zs_pool *pool;
	struct page **place;

	if (!chain)
		return 0; /* freed since it was isolated */
	pool = port_page_pool(from);
	zspage = container_of(chain, struct zspage, chain);
	class = zspage_class_lock(zspage, &pool->classes);
	if (!class)
		return -EBUSY;
	place = chain_find(chain, class->geometry.pages, from);
	if (!place || !zspage_freeze(zspage)) {
		port_unlock(&class->lock);
		return -EBUSY;
	}
	copy_highpage(to, from);
	port_page_own(to, &pool->zspages.store, chain);
	get_page(to);
	*place = to;
	zspage_thaw(zspage);
	port_unlock(&class->lock);

	atomic64_inc(&pool->zspages.store.migrated);
	inc_zone_page_state(to, NR_ZSPAGES);
	dec_zone_page_state(from, NR_ZSPAGES);
	port_page_disown(from);
	put_page(from);
	return 0;
}

const struct movable_operations port_movable_ops = {
	.isolate_page = isolate_page,
	.migrate_page = migrate_page,
	.putback_page = putback_page,
};

int migrate_init(void)
{
	return IS_ENABLED(CONFIG_COMPACTION) ? compat_movable_register(&port_movable_ops) : 0;
}

void migrate_exit(void)
{
	if (IS_ENABLED(CONFIG_COMPACTION))
		compat_movable_unregister();
}
