/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What the files of this host need of each other.
 */
#ifndef ZS_HOST_H
#define ZS_HOST_H

#include "../../src/pool.h"
#include "compat.h"

struct scatterlist;

/* The module's parameters: see module.c. */
extern bool host_deferred;
struct pool_config host_config(void);
size_t host_huge_size(const struct zs_pool *pool);

/* Pools and what comes with them in the kernel: debugfs, a shrinker. */
struct zs_pool *host_create_pool(const char *name);
void host_destroy_pool(struct zs_pool *pool);
int pools_init(void);
void pools_exit(void);

/* Access to objects as the kernels want it. */
int map_init(void);
void map_exit(void);
void *map_begin(struct zs_pool *pool, unsigned long handle, bool read, bool write);
void map_end(struct zs_pool *pool, unsigned long handle);
void sg_begin(struct zs_pool *pool, unsigned long handle, struct scatterlist *sg, size_t len);
void sg_end(struct zs_pool *pool, unsigned long handle);

/* The way in for zswap, where HAVE_ZPOOL. */
extern struct zpool_driver host_zpool;
void zpool_init(void);
void zpool_exit(void);

/* Kbuild sets TAKEOVER where the kernel's own zsmalloc is built in: see takeover.c. */
int takeover_init(void);
void takeover_exit(void);
void takeover_uncount(void);
void takeover_free(struct zs_pool *pool, unsigned long handle);

/*
 * There, callers have a pool's pointer without this bit, which is set in any address of the
 * kernel's. An access by such a pointer is a fault. arm64 may ignore the topmost byte.
 */
#define POOL_BIT (IS_ENABLED(CONFIG_ARM64) ? BIT(54) : BIT(62))

static inline bool pool_is_marked(const struct zs_pool *pool)
{
	return ((unsigned long)pool & (BIT(63) | POOL_BIT)) == BIT(63);
}

static inline struct zs_pool *pool_mark(struct zs_pool *pool)
{
	return TAKEOVER && pool ? (struct zs_pool *)((unsigned long)pool & ~POOL_BIT) : pool;
}

static inline struct zs_pool *pool_unmark(struct zs_pool *pool)
{
	return TAKEOVER ? (struct zs_pool *)((unsigned long)pool | POOL_BIT) : pool;
}

/* Moving pages: see migrate.c. */
extern const struct movable_operations port_movable_ops;
int port_migrate_page(struct page *to, struct page *from, enum migrate_mode mode);

/* Pages of the store: see store.c. */
void port_page_own(struct page *page);
void port_page_disown(struct page *page);
unsigned long store_give(struct port_store *store, unsigned long most, struct page *mine);

/*
 * The private word of a page of the store: of which zspage it is, or was last; zspage 0 is none.
 * The word is 0 once the page goes back to the page allocator.
 *
 *   word   0 | zspage 31 | 1
 */
#define PAGE_WORD_OURS 1UL
#define PAGE_WORD_SHIFT 1

static inline unsigned long page_word_make(u32 number)
{
	return (unsigned long)number << PAGE_WORD_SHIFT | PAGE_WORD_OURS;
}

static inline u32 page_word_zspage(unsigned long word)
{
	return (u32)(word >> PAGE_WORD_SHIFT);
}

#endif /* ZS_HOST_H */
