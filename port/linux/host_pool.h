/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What those files of this host need of each other that know what a pool is inside.
 */
#ifndef ZS_HOST_POOL_H
#define ZS_HOST_POOL_H

#include "../../src/pool.h"
#include "host.h"

extern struct workqueue_struct *port_workqueue; /* unbound; makes progress under reclaim */
int port_workqueue_init(void);
void port_workqueue_exit(void);

extern const struct movable_operations port_movable_ops;
int migrate_init(void);
void migrate_exit(void);

void debugfs_init(void);
void debugfs_exit(void);
struct dentry *debugfs_add_pool(struct zs_pool *pool);
void debugfs_remove_pool(struct dentry *dir);

void shrinker_add_pool(struct compat_shrinker *shrinker, struct zs_pool *pool);

/* Pages of a chain and of the store, see store.c. Under the lock of the page. */
void port_page_own(struct page *page, struct port_store *store, struct port_chain *chain);
void port_page_disown(struct page *page);

static inline struct port_chain *port_page_chain(struct page *page)
{
	return (struct port_chain *)page_private(page);
}

static inline struct zs_pool *port_page_pool(struct page *page)
{
	struct port_store *store = (struct port_store *)*compat_page_word(page);

	return container_of(store, struct zs_pool, zspages.store);
}

#endif /* ZS_HOST_POOL_H */
