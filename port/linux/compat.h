/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What differs among the kernels that the module is built for: 6.1, 6.12 and 7.3. All of it is
 * here; the other files ask for a thing, never for a version.
 */
#ifndef ZS_COMPAT_H
#define ZS_COMPAT_H

#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>

#ifndef CONFIG_64BIT
#error "zsmalloc needs a 64-bit kernel"
#endif
#if !IS_ENABLED(CONFIG_ZSMALLOC)
#error "zsmalloc needs a kernel with CONFIG_ZSMALLOC: without it pages cannot be accounted"
#endif
#if IS_BUILTIN(CONFIG_ZSMALLOC) && !defined(ZS_BUILD_ANYWAY)
#error "this kernel has zsmalloc built in (CONFIG_ZSMALLOC=y): a module can't take its place"
#endif
#define COMPAT_SERIES(major, minor)                                                                \
	(LINUX_VERSION_CODE >> 8 == KERNEL_VERSION(major, minor, 0) >> 8)
#define COMPAT_7_3 (LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)) /* and later ones, untried */

#if !COMPAT_SERIES(6, 1) && !COMPAT_SERIES(6, 12) && !COMPAT_7_3
#error "zsmalloc is for Linux 6.1, 6.12 and 7.3: it was never tried with this one"
#endif

/* What the kernel has: objects that are mapped; a node for zs_malloc(); zpool, zswap's way in. */
#if COMPAT_7_3
#define COMPAT_MAP 0
#define COMPAT_MALLOC_NID , const int nid
#define COMPAT_NID nid
#define COMPAT_ZPOOL 0
#else
#define COMPAT_MAP 1
#define COMPAT_MALLOC_NID
#define COMPAT_NID NUMA_NO_NODE
#define COMPAT_ZPOOL IS_ENABLED(CONFIG_ZPOOL)
#endif

#define COMPAT_CLASS_INDEX (!COMPAT_SERIES(6, 1)) /* zs_lookup_class_index() */

/* A zpool driver's create(), and how it tells its size. */
#if COMPAT_SERIES(6, 1)
#define COMPAT_ZPOOL_CREATE                                                                        \
	const char *name, gfp_t gfp, const struct zpool_ops *ops, struct zpool *zpool
#define COMPAT_ZPOOL_TOTAL .total_size
#define COMPAT_ZPOOL_UNIT PAGE_SIZE
#else
#define COMPAT_ZPOOL_CREATE const char *name, gfp_t gfp
#define COMPAT_ZPOOL_TOTAL .total_pages
#define COMPAT_ZPOOL_UNIT 1
#endif

/* Movable pages. Context: the page is locked. */
#if COMPAT_7_3

static inline int compat_movable_register(const struct movable_operations *ops)
{
	return set_movable_ops(ops, PGTY_zsmalloc);
}

static inline void compat_movable_unregister(void)
{
	set_movable_ops(NULL, PGTY_zsmalloc);
}

static inline void compat_page_movable(struct page *page, const struct movable_operations *ops)
{
	__SetPageZsmalloc(page);
	SetPageMovableOps(page);
}

/* The page's type stays until the page is free. */
static inline void compat_page_unmovable(struct page *page)
{
}

#else

static inline int compat_movable_register(const struct movable_operations *ops)
{
	return 0;
}

static inline void compat_movable_unregister(void)
{
}

static inline void compat_page_movable(struct page *page, const struct movable_operations *ops)
{
	__SetPageMovable(page, ops);
}

static inline void compat_page_unmovable(struct page *page)
{
	__ClearPageMovable(page);
}

#endif

/* Shrinkers. compat_shrinker_free() also takes one that was never registered. */
#if COMPAT_SERIES(6, 1)

static inline struct shrinker *compat_shrinker_alloc(void)
{
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);

	if (shrinker)
		shrinker->seeks = DEFAULT_SEEKS;
	return shrinker;
}

static inline int compat_shrinker_register(struct shrinker *shrinker)
{
	return register_shrinker(shrinker, "mm-zspool");
}

static inline void compat_shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}

#else

static inline struct shrinker *compat_shrinker_alloc(void)
{
	return shrinker_alloc(0, "mm-zspool");
}

static inline int compat_shrinker_register(struct shrinker *shrinker)
{
	shrinker_register(shrinker);
	return 0;
}

static inline void compat_shrinker_free(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}

#endif

#endif /* ZS_COMPAT_H */
