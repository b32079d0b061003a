/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zsmalloc - stores a great many compressed objects densely, and takes them back without making
 * the caller wait.
 *
 * The functions have the names and signatures of Linux 7.x, so that code moves between kernel and
 * program unchanged. What a program gets in addition stands at the end. An opaque handle names an
 * object, never its address: the pool may move it (zs_compact()) whenever no thread reads it.
 *
 * Every function may be called from any thread at any time, except zs_destroy_pool(), which must
 * be the last call on its pool. A child of fork() goes on with all pools.
 */
#ifndef ZSMALLOC_H
#define ZSMALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is declared here is what the library exports; the rest of it is built hidden. */
#pragma GCC visibility push(default)

#define ZS_VERSION "0.1.0"

/**
 * typedef gfp_t - how far an allocation may go to find memory.
 *
 * GFP_KERNEL may do anything. GFP_NOWAIT makes no system call that can block, and so fails where
 * the pool would have to ask the system for memory.
 */
typedef unsigned int gfp_t;

#define GFP_NOWAIT ((gfp_t)0)
#define GFP_KERNEL ((gfp_t)1)

/* No preference among the machine's NUMA nodes. */
#define NUMA_NO_NODE (-1)

struct zs_pool;
struct zs_published_store;

/**
 * struct zs_pool_stats - what a pool has counted since its creation.
 * @pages_compacted: pages that compaction gave back
 * @misuses: wrong calls that were caught and survived, see %ZS_MISUSE_COUNT
 * @reserved: 0
 */
struct zs_pool_stats {
	unsigned long pages_compacted;
	unsigned long misuses;
	unsigned long reserved[6];
};

/**
 * enum zs_misuse - what happens after a wrong call was told on stderr.
 * @ZS_MISUSE_DEFAULT: what the environment variable ZSMALLOC_MISUSE says ("abort" or "count"),
 *	else abort
 * @ZS_MISUSE_ABORT: abort(), as glibc does for a double free
 * @ZS_MISUSE_COUNT: count it, do nothing else, and return
 */
enum zs_misuse {
	ZS_MISUSE_DEFAULT,
	ZS_MISUSE_ABORT,
	ZS_MISUSE_COUNT,
};

#define ZS_COMPACT_NEVER (~0U)

/**
 * struct zs_pool_options - how a pool differs from the default. 0 in a field: its default.
 * @size: sizeof(struct zs_pool_options), which lets the struct grow
 * @deferred_budget: bytes of uncompressed data that may wait in the deferred queue; the capacity
 *	is this divided by the page size. Default 16 GiB; SIZE_MAX lifts the budget. All pools share
 *	one queue, which has the largest of their budgets
 * @deferred_delay_ms: a drain begins at most this many milliseconds after the first handle was
 *	queued. Default 10; the queue has the shortest of its pools' delays
 * @max_chain: pages in the longest zspage, 1 to 32. Default 32
 * @misuse: one of enum zs_misuse
 * @compact_share: per cent of a CPU that the worker takes at most to compact the pool when it has
 *	become sparse. Default 10; %ZS_COMPACT_NEVER leaves that to zs_compact()
 * @publish: 1 shows the pool to `zsmalloc top`; by default the environment variable
 *	ZSMALLOC_PUBLISH does, if it is "1"
 * @pressure: 1 has the pool drain, compact and give its free memory back when the system tells of
 *	memory pressure. A thread watches for that
 * @on_pressure: for a pool with @pressure: what the watching thread calls after the pool has given
 *	its memory back. It must neither wait long nor destroy the pool. A child of fork() has no
 *	such thread
 * @on_pressure_arg: the argument
 * @count_store: called with @store when a reader asks for what is published, to fill in what the
 *	caller keeps in the pool. It takes no lock and calls nothing of the pool. By default nothing
 *	is shown of that. It is called from before zs_create_pool_with() returns, and for the last
 *	time before zs_destroy_pool() does
 * @store: what @count_store is called with
 */
struct zs_pool_options {
	size_t size;
	size_t deferred_budget;
	unsigned int deferred_delay_ms;
	unsigned int max_chain;
	unsigned int misuse;
	unsigned int publish;
	unsigned int compact_share;
	unsigned int pressure;
	void (*on_pressure)(void *arg);
	void *on_pressure_arg;
	void (*count_store)(const void *store, struct zs_published_store *to);
	const void *store;
};

struct zs_pool *zs_create_pool(const char *name);
void zs_destroy_pool(struct zs_pool *pool);

unsigned long zs_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid);
void zs_free(struct zs_pool *pool, unsigned long handle);
void zs_free_deferred(struct zs_pool *pool, unsigned long handle);
void zs_free_deferred_flush(struct zs_pool *pool);

void *zs_obj_read_begin(struct zs_pool *pool, unsigned long handle, size_t mem_len,
			void *local_copy);
void zs_obj_read_end(struct zs_pool *pool, unsigned long handle, size_t mem_len, void *handle_mem);
void zs_obj_write(struct zs_pool *pool, unsigned long handle, void *handle_mem, size_t mem_len);

size_t zs_huge_class_size(struct zs_pool *pool);
unsigned long zs_get_total_pages(struct zs_pool *pool);
unsigned long zs_compact(struct zs_pool *pool);
unsigned int zs_lookup_class_index(struct zs_pool *pool, unsigned int size);
void zs_pool_stats(struct zs_pool *pool, struct zs_pool_stats *stats);

/*
 * What follows is the program's alone.
 */
struct zs_pool *zs_create_pool_with(const char *name, const struct zs_pool_options *options);
void zs_free_bulk(struct zs_pool *pool, const unsigned long *handles, size_t count);
int zs_stats_classes(struct zs_pool *pool, FILE *out);
int zs_stats_deferred(struct zs_pool *pool, FILE *out);

/**
 * zs_is_err() - tell whether zs_malloc() failed.
 * @handle: what zs_malloc() returned
 *
 * Context: Any.
 * Return: true for a negative errno cast to unsigned long.
 */
static inline bool zs_is_err(unsigned long handle)
{
	return handle >= (unsigned long)-4095L;
}

/**
 * zs_err() - the error that zs_malloc() returned.
 * @handle: what zs_malloc() returned, one for which zs_is_err() holds
 *
 * Context: Any.
 * Return: the negative errno: -EINVAL, -ENOSPC or -ENOMEM.
 */
static inline int zs_err(unsigned long handle)
{
	return (int)(long)handle;
}

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* ZSMALLOC_H */
