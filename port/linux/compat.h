/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What differs among kernels. The script configure finds out what this one has, and writes have.h;
 * no file looks at a kernel's version.
 */
#ifndef ZS_COMPAT_H
#define ZS_COMPAT_H

#include <linux/migrate.h>
#include <linux/shrinker.h>

#include "have.h"

/* zs_malloc() takes a node, or prefers none. */
#if HAVE_MALLOC_NID
#define COMPAT_MALLOC_NID , const int nid
#define COMPAT_NID nid
#define COMPAT_ANY_NODE , NUMA_NO_NODE
#else
#define COMPAT_MALLOC_NID
#define COMPAT_NID NUMA_NO_NODE
#define COMPAT_ANY_NODE
#endif

/* A zpool driver's create(), and how it tells its size. */
#if HAVE_ZPOOL_OPS
#define COMPAT_ZPOOL_CREATE                                                                        \
	const char *name, gfp_t gfp, const struct zpool_ops *ops, struct zpool *zpool
#else
#define COMPAT_ZPOOL_CREATE const char *name, gfp_t gfp
#endif
#if HAVE_ZPOOL_TOTAL_PAGES
#define COMPAT_ZPOOL_TOTAL total_pages
#define COMPAT_ZPOOL_UNIT 1
#else
#define COMPAT_ZPOOL_TOTAL total_size
#define COMPAT_ZPOOL_UNIT PAGE_SIZE
#endif

/* Makes a page movable. Context: the page is locked. */
static inline void compat_page_movable(struct page *page, const struct movable_operations *ops)
{
#if HAVE_SET_MOVABLE_OPS
	__SetPageZsmalloc(page);
	SetPageMovableOps(page);
#else
	__SetPageMovable(page, ops);
#endif
}

/* Ends that. Where pages have a type, it stays until the page is free. */
static inline void compat_page_unmovable(struct page *page)
{
#if !HAVE_SET_MOVABLE_OPS
	__ClearPageMovable(page);
#endif
}

/* Starts a shrinker with the functions of this one. Returns it, or NULL for no memory. */
static inline struct shrinker *compat_shrinker_start(struct shrinker *functions, const char *name)
{
#if HAVE_SHRINKER_ALLOC
	struct shrinker *shrinker = shrinker_alloc(0, "%s", name);

	if (shrinker) {
		shrinker->count_objects = functions->count_objects;
		shrinker->scan_objects = functions->scan_objects;
		shrinker_register(shrinker);
	}
	return shrinker;
#else
	return register_shrinker(functions, "%s", name) ? NULL : functions;
#endif
}

static inline void compat_shrinker_stop(struct shrinker *shrinker)
{
#if HAVE_SHRINKER_ALLOC
	shrinker_free(shrinker);
#else
	unregister_shrinker(shrinker);
#endif
}

#endif /* ZS_COMPAT_H */
