/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What those files of this host need of each other that know what a pool is inside.
 */
#ifndef ZS_HOST_POOL_H
#define ZS_HOST_POOL_H

#include "../../src/pool.h"
#include "host.h"

struct pool_config host_config(void);

int pools_init(void);
void pools_exit(void);

void debugfs_init(void);
void debugfs_exit(void);
struct dentry *debugfs_add_pool(struct zs_pool *pool);
void debugfs_remove_pool(struct dentry *dir);

extern const struct movable_operations port_movable_ops;
int port_migrate_page(struct page *to, struct page *from, enum migrate_mode mode);
int migrate_init(void);
void migrate_exit(void);

/* Pages of the store: see store.c. */
void port_page_own(struct page *page);
void port_page_disown(struct page *page);
unsigned long store_give(struct port_store *store, unsigned long most, struct page *mine);

#define STORE_DELAY_MS 10 /* the worker starts at most so long after pages came free */

/* Returns the milliseconds within which the store wants a trim, or -1 for none. */
static inline int store_wants(const struct port_store *store)
{
	return READ_ONCE(store->pages) ? STORE_DELAY_MS : -1;
}

/*
 * The private word of a page of the store: of which zspage it is, or was last; zspage 0 is none.
 * The word is 0 once the page goes back to the page allocator.
 *
 *   word   0 | zspage 31 | lock 8 | 1
 */
#define PAGE_WORD_OURS 1UL
#define PAGE_WORD_LOCK_SHIFT 1
#define PAGE_WORD_ZSPAGE_SHIFT 9

static inline unsigned long page_word_make(u8 lock, u32 number)
{
	return (unsigned long)number << PAGE_WORD_ZSPAGE_SHIFT |
	       (unsigned long)lock << PAGE_WORD_LOCK_SHIFT | PAGE_WORD_OURS;
}

static inline u8 page_word_lock(unsigned long word)
{
	return (u8)(word >> PAGE_WORD_LOCK_SHIFT);
}

static inline u32 page_word_zspage(unsigned long word)
{
	return (u32)(word >> PAGE_WORD_ZSPAGE_SHIFT);
}

#endif /* ZS_HOST_POOL_H */
