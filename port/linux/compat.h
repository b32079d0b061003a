/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What differs among the kernels that the module is built for: 6.1, 6.12 and 7.3. All of it is here;
 * the other files ask for a thing, never for a version.
 */
#ifndef ZS_COMPAT_H
#define ZS_COMPAT_H

#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/version.h>

#ifndef CONFIG_64BIT
#error "zsmalloc needs a 64-bit kernel"
#endif
#if !IS_ENABLED(CONFIG_ZSMALLOC)
#error "zsmalloc needs a kernel with CONFIG_ZSMALLOC: without it pages cannot be accounted"
#endif
#if IS_BUILTIN(CONFIG_ZSMALLOC) && !defined(ZS_BUILD_ANYWAY)
#error "this kernel has its own zsmalloc built in (CONFIG_ZSMALLOC=y): a module can't take its place"
#endif
#define COMPAT_SERIES(major, minor)                                                                \
	(LINUX_VERSION_CODE >> 8 == KERNEL_VERSION(major, minor, 0) >> 8)
#define COMPAT_7_3 (LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)) /* and, it is hoped, later */

#if !COMPAT_SERIES(6, 1) && !COMPAT_SERIES(6, 12) && !COMPAT_7_3
#error "zsmalloc is for Linux 6.1, 6.12 and 7.3: it was never tried with this one"
#endif

/*
 * User Mode Linux has a full fence for each acquire and release. The processors of x86 that it runs on order
 * all but a store with a later load by themselves, as their own kernels rely on.
 */
#if IS_ENABLED(CONFIG_UML) && defined(CONFIG_X86_64)
#undef smp_load_acquire
#undef smp_store_release
#define smp_load_acquire(p)                                                                        \
	({                                                                                         \
		typeof(*(p)) loaded_ = READ_ONCE(*(p));                                            \
		barrier();                                                                         \
		loaded_;                                                                           \
	})
#define smp_store_release(p, value)                                                                \
	do {                                                                                       \
		barrier();                                                                         \
		WRITE_ONCE(*(p), value);                                                           \
	} while (0)
#define atomic_read_acquire(v) smp_load_acquire(&(v)->counter)
#define atomic_set_release(v, value) smp_store_release(&(v)->counter, value)
#define atomic64_read_acquire(v) smp_load_acquire(&(v)->counter)
#define atomic64_set_release(v, value) smp_store_release(&(v)->counter, value)
#endif

#if COMPAT_SERIES(6, 1)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
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

/*
 * Movable pages. All under the lock of the page.
 */
#if !COMPAT_7_3

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

/* No longer movable, its owner is about to free it. */
static inline void compat_page_unmovable(struct page *page)
{
	__ClearPageMovable(page);
}

/* A word of the page that is its owner's. */
static inline unsigned long *compat_page_word(struct page *page)
{
	return &page->index;
}

#else

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

/* The page's type tells the kernel until it is freed. */
static inline void compat_page_unmovable(struct page *page)
{
}

static inline unsigned long *compat_page_word(struct page *page)
{
	return &page->__folio_index;
}

#endif

/* Shrinkers: one that is allocated, or one within a structure of one's own. */
struct compat_shrinker {
#if COMPAT_SERIES(6, 1)
	struct shrinker shrinker;
#endif
	struct shrinker *registered; /* NULL: none */
	void *owner;
};

typedef unsigned long (*compat_shrink_fn)(struct shrinker *shrinker,
					  struct shrink_control *control);

#if COMPAT_SERIES(6, 1)

static inline void *compat_shrinker_owner(struct shrinker *shrinker)
{
	return container_of(shrinker, struct compat_shrinker, shrinker)->owner;
}

static inline void compat_shrinker_register(struct compat_shrinker *shrinker, const char *name,
					    compat_shrink_fn count, compat_shrink_fn scan)
{
	shrinker->shrinker.count_objects = count;
	shrinker->shrinker.scan_objects = scan;
	shrinker->shrinker.seeks = DEFAULT_SEEKS;
	if (!register_shrinker(&shrinker->shrinker, "mm-zspool:%s", name))
		shrinker->registered = &shrinker->shrinker;
}

static inline void compat_shrinker_unregister(struct compat_shrinker *shrinker)
{
	if (shrinker->registered)
		unregister_shrinker(shrinker->registered);
}

#else

static inline void *compat_shrinker_owner(struct shrinker *shrinker)
{
	return ((struct compat_shrinker *)shrinker->private_data)->owner;
}

static inline void compat_shrinker_register(struct compat_shrinker *shrinker, const char *name,
					    compat_shrink_fn count, compat_shrink_fn scan)
{
	shrinker->registered = shrinker_alloc(0, "mm-zspool:%s", name);
	if (!shrinker->registered)
		return;
	shrinker->registered->count_objects = count;
	shrinker->registered->scan_objects = scan;
	shrinker->registered->private_data = shrinker;
	shrinker_register(shrinker->registered);
}

static inline void compat_shrinker_unregister(struct compat_shrinker *shrinker)
{
	if (shrinker->registered)
		shrinker_free(shrinker->registered);
}

#endif

#endif /* ZS_COMPAT_H */
