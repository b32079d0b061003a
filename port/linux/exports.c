/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What the module exports: the kernel's own API of zsmalloc, as this kernel has it, and the
 * deferred free. A module that was built against the kernel's zsmalloc, zram.ko for one, takes this
 * for it. Where the kernel's own is built in, these functions have other names (Kbuild), and
 * takeover.c has the kernel's calls go on here.
 *
 * None of them may be called in an interrupt. <linux/zsmalloc.h> and the kernel's own zsmalloc say
 * what they promise; comments here say what is more.
 */
#include <linux/atomic.h>
#include <linux/export.h>
#include <linux/zsmalloc.h>

#include "compat.h"
#include "zsmalloc_deferred.h"

/* The kernel's own exports have checksums that do not count what a pool is inside. */
#ifndef __GENKSYMS__
#include "host.h"
#endif

#if TAKEOVER
#define HOST_EXPORT(function)
#else
#define HOST_EXPORT(function) EXPORT_SYMBOL_GPL(function)
#endif

struct zs_pool *zs_create_pool(const char *name)
{
	struct zs_pool *pool = host_create_pool(name);

	if (TAKEOVER && !pool)
		takeover_uncount();
	return pool_mark(pool);
}
HOST_EXPORT(zs_create_pool);

/* Frees what is pending first. */
void zs_destroy_pool(struct zs_pool *pool)
{
	host_destroy_pool(pool_unmark(pool));
	if (TAKEOVER)
		takeover_uncount();
}
HOST_EXPORT(zs_destroy_pool);

unsigned long zs_malloc(struct zs_pool *pool, size_t size, gfp_t gfp COMPAT_MALLOC_NID)
{
	return pool_malloc(pool_unmark(pool), size, gfp, COMPAT_NID);
}
HOST_EXPORT(zs_malloc);

/*
 * With the parameter deferred, which is on by default, this is zs_free_deferred(). So the frees of
 * an unmodified zram don't hold up an exiting process.
 */
void zs_free(struct zs_pool *pool, unsigned long handle)
{
	pool = pool_unmark(pool);
	if (READ_ONCE(host_deferred))
		pool_free_deferred(pool, handle);
	else
		pool_free(pool, handle);
}
HOST_EXPORT(zs_free);

/**
 * zs_free_deferred() - have an object freed soon, and return at once.
 * @pool: the pool
 * @handle: what zs_malloc() returned; 0 and error values are ignored
 *
 * The handle is dead when this returns. The object's memory is the pool's again at the latest when
 * a later zs_free_deferred_flush() returns. If the queue can't take the handle at once, the object
 * is freed at once.
 *
 * Context: Any but an interrupt, under any lock of the caller's. Never sleeps or allocates.
 */
void zs_free_deferred(struct zs_pool *pool, unsigned long handle)
{
	/* The kernel's own has no such function: its pools come here, too. */
	if (TAKEOVER && !pool_is_marked(pool))
		takeover_free(pool, handle);
	else
		pool_free_deferred(pool_unmark(pool), handle);
}
EXPORT_SYMBOL_GPL(zs_free_deferred);

/**
 * zs_free_deferred_flush() - wait until all deferred frees are done.
 * @pool: the pool
 *
 * On return every handle that was queued before the call is free.
 *
 * Context: May sleep.
 */
void zs_free_deferred_flush(struct zs_pool *pool)
{
	drain_flush();
}
EXPORT_SYMBOL_GPL(zs_free_deferred_flush);

size_t zs_huge_class_size(struct zs_pool *pool)
{
	return host_huge_size(pool_unmark(pool));
}
HOST_EXPORT(zs_huge_class_size);

/* Leaves out an estimate of what waits to be freed: zram compares the total with its limit. */
unsigned long zs_get_total_pages(struct zs_pool *pool)
{
	return pool_total_pages(pool_unmark(pool));
}
HOST_EXPORT(zs_get_total_pages);

/* Does the deferred frees first. */
unsigned long zs_compact(struct zs_pool *pool)
{
	return pool_compact(pool_unmark(pool));
}
HOST_EXPORT(zs_compact);

void zs_pool_stats(struct zs_pool *pool, struct zs_pool_stats *stats)
{
	atomic_long_set(&stats->pages_compacted,
			atomic64_read(&pool_unmark(pool)->pages_compacted));
}
HOST_EXPORT(zs_pool_stats);

#if HAVE_CLASS_INDEX
/* What counts as huge has the index of a page: for zram, to compress it again gains nothing. */
unsigned int zs_lookup_class_index(struct zs_pool *pool, unsigned int size)
{
	pool = pool_unmark(pool);
	return pool_class_index(pool, size < host_huge_size(pool) ? size : PAGE_SIZE);
}
HOST_EXPORT(zs_lookup_class_index);
#endif

#if HAVE_MAP
/* A CPU has one object mapped at a time, and its task does not sleep meanwhile. */
void *zs_map_object(struct zs_pool *pool, unsigned long handle, enum zs_mapmode mode)
{
	return map_begin(pool_unmark(pool), handle, mode != ZS_MM_WO, mode != ZS_MM_RO);
}
HOST_EXPORT(zs_map_object);

void zs_unmap_object(struct zs_pool *pool, unsigned long handle)
{
	map_end(pool_unmark(pool), handle);
}
HOST_EXPORT(zs_unmap_object);
#else
/* A local copy is used if the object spans pages; NULL says that it is known not to. */
void *zs_obj_read_begin(struct zs_pool *pool, unsigned long handle, size_t mem_len,
			void *local_copy)
{
	return pool_read_begin(pool_unmark(pool), handle, mem_len, local_copy);
}
HOST_EXPORT(zs_obj_read_begin);

void zs_obj_read_end(struct zs_pool *pool, unsigned long handle, size_t mem_len, void *handle_mem)
{
	pool_read_end(pool_unmark(pool), handle, mem_len, handle_mem);
}
HOST_EXPORT(zs_obj_read_end);

/* The list has room for two entries; it is initialised here. */
void zs_obj_read_sg_begin(struct zs_pool *pool, unsigned long handle, struct scatterlist *sg,
			  size_t mem_len)
{
	sg_begin(pool_unmark(pool), handle, sg, mem_len);
}
HOST_EXPORT(zs_obj_read_sg_begin);

void zs_obj_read_sg_end(struct zs_pool *pool, unsigned long handle)
{
	sg_end(pool_unmark(pool), handle);
}
HOST_EXPORT(zs_obj_read_sg_end);

void zs_obj_write(struct zs_pool *pool, unsigned long handle, void *handle_mem, size_t mem_len)
{
	pool_write(pool_unmark(pool), handle, handle_mem, mem_len);
}
HOST_EXPORT(zs_obj_write);
#endif
