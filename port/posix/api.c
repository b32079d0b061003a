/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The API of a program: the core's functions under the kernel's names. Some are the program's own:
 * pools with options, bulk frees, statistics to a FILE.
 */
#include <stdio.h>

#include "pool.h"
#include "process.h"
#include "watch/watch.h"

#define OPTIONS_MOST 4096 /* bytes; a larger size is not that of a struct zs_pool_options */

/*
 * Reads the options that the caller's header knew; the rest are 0. Returns false if they make no
 * sense.
 */
static bool options_read(struct zs_pool_options *options, const struct zs_pool_options *given)
{
	const char *bytes = (const char *)given;

	memset(options, 0, sizeof(*options));
	if (!given)
		return true;
	if (given->size < sizeof(given->size) || given->size > OPTIONS_MOST)
		return false;
	/* A newer header's fields are fine as long as they are 0. */
	for (size_t i = sizeof(*options); i < given->size; i++)
		if (bytes[i])
			return false;
	memcpy(options, given, given->size < sizeof(*options) ? given->size : sizeof(*options));
	return options->max_chain <= ZS_MAX_CHAIN && options->misuse <= ZS_MISUSE_COUNT &&
	       options->publish <= 1 && options->pressure <= 1 &&
	       (options->pressure || !options->on_pressure) &&
	       (options->compact_share <= 100 || options->compact_share == ZS_COMPACT_NEVER);
}

static struct pool_config config_of(const struct zs_pool_options *wish)
{
	size_t budget = wish->deferred_budget ? wish->deferred_budget : POOL_DEFERRED_BUDGET;
	unsigned int share = wish->compact_share ? wish->compact_share : POOL_COMPACT_SHARE;

	return (struct pool_config){
		.capacity = pool_capacity(budget),
		.delay_ms = wish->deferred_delay_ms ? wish->deferred_delay_ms :
						      POOL_DEFERRED_DELAY_MS,
		.max_chain = wish->max_chain ? wish->max_chain : ZS_MAX_CHAIN,
		.compact_share = share == ZS_COMPACT_NEVER ? 0 : share,
		.misuse_is_fatal = wish->misuse == ZS_MISUSE_DEFAULT ?
					   port_misuse_is_fatal() :
					   wish->misuse == ZS_MISUSE_ABORT,
	};
}

/**
 * zs_create_pool_with() - make a pool that differs from the default.
 * @name: a name for statistics and messages; cut after 63 bytes
 * @options: how it differs; NULL for not at all
 *
 * Context: May sleep.
 * Return: the pool, or NULL with errno set. EINVAL: no name, or an option out of range. ENOTSUP: an
 *	option that this library was built without, or pages above 64 KiB. ENOMEM.
 */
struct zs_pool *zs_create_pool_with(const char *name, const struct zs_pool_options *options)
{
	struct zs_pool_options wish;
	struct pool_config config;
	struct zs_pool *pool = NULL;

	if (!name || !options_read(&wish, options)) {
		errno = EINVAL;
		return NULL;
	}
	if (PORT_CHUNK_SIZE % PORT_PAGE_SIZE || !watch_can(&wish)) {
		errno = ENOTSUP;
		return NULL;
	}
	config = config_of(&wish);
	if (!process_get()) {
		pool = pool_create(name, &config);
		if (!pool)
			process_put();
	}
	if (!pool) {
		errno = ENOMEM;
		return NULL;
	}
	watch_add(pool, &wish);
	return pool;
}

/**
 * zs_create_pool() - make a pool.
 * @name: a name for statistics and messages; cut after 63 bytes
 *
 * Context: May sleep.
 * Return: the pool, or NULL with errno set: EINVAL for no name, ENOMEM, ENOTSUP as above.
 */
struct zs_pool *zs_create_pool(const char *name)
{
	return zs_create_pool_with(name, NULL);
}

/**
 * zs_destroy_pool() - free a pool and all that is in it.
 * @pool: the pool, which no thread uses any more
 *
 * Frees what is pending first. Objects that are still there go with the pool.
 *
 * Context: May sleep.
 */
void zs_destroy_pool(struct zs_pool *pool)
{
	if (!pool_given(pool, "zs_destroy_pool"))
		return;
	watch_remove(pool);
	pool_destroy(pool);
	process_put();
}

unsigned long zs_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid)
{
	return pool_malloc(pool, size, flags, nid);
}

void zs_free(struct zs_pool *pool, unsigned long handle)
{
	pool_free(pool, handle);
}

void zs_free_deferred(struct zs_pool *pool, unsigned long handle)
{
	pool_free_deferred(pool, handle);
}

/**
 * zs_free_deferred_flush() - wait until all deferred frees are done.
 * @pool: the pool
 *
 * On return every handle that was queued before the call is free. Other threads may go on queueing
 * meanwhile.
 *
 * Context: May sleep.
 */
void zs_free_deferred_flush(struct zs_pool *pool)
{
	if (pool_given(pool, "zs_free_deferred_flush"))
		drain_flush();
}

void *zs_obj_read_begin(struct zs_pool *pool, unsigned long handle, size_t mem_len,
			void *local_copy)
{
	return pool_read_begin(pool, handle, mem_len, local_copy);
}

void zs_obj_read_end(struct zs_pool *pool, unsigned long handle, size_t mem_len, void *handle_mem)
{
	pool_read_end(pool, handle, mem_len, handle_mem);
}

void zs_obj_write(struct zs_pool *pool, unsigned long handle, void *handle_mem, size_t mem_len)
{
	pool_write(pool, handle, handle_mem, mem_len);
}

/**
 * zs_huge_class_size() - from which size on an object takes a whole page.
 * @pool: the pool
 *
 * Context: Any.
 * Return: the smallest such size, bytes.
 */
size_t zs_huge_class_size(struct zs_pool *pool)
{
	return pool_given(pool, "zs_huge_class_size") ? pool_huge_size(pool) : 0;
}

/**
 * zs_get_total_pages() - how many pages the pool's zspages hold.
 * @pool: the pool
 *
 * Leaves out an estimate of what waits in the deferred queue. Leaves out the pages behind the last
 * object of a zspage too: they take no memory until they are written.
 *
 * Context: Any.
 * Return: the number.
 */
unsigned long zs_get_total_pages(struct zs_pool *pool)
{
	return pool_given(pool, "zs_get_total_pages") ? pool_total_pages(pool) : 0;
}

unsigned long zs_compact(struct zs_pool *pool)
{
	return pool_compact(pool);
}

/**
 * zs_lookup_class_index() - the size class for objects of a size.
 * @pool: the pool
 * @size: bytes, 1 to the page size
 *
 * Context: Any.
 * Return: the index of the class; that of the largest for a @size above the page size.
 */
unsigned int zs_lookup_class_index(struct zs_pool *pool, unsigned int size)
{
	return pool_given(pool, "zs_lookup_class_index") ? pool_class_index(pool, size) : 0;
}

#define BULK_LEAST 64 /* fewer objects are not worth a batch */

/*
 * Puts the handles of the pool into a batch, telling of those that are not. Returns how many there
 * are.
 */
static u32 batch_fill(struct zs_pool *pool, struct free_batch *batch, const unsigned long *handles,
		      u32 count)
{
	u32 ours = 0;

	for (u32 i = 0; i < count; i++)
		if (pool_has_handle(pool, handles[i]))
			batch->name[ours++] = handle_name(handles[i]);
		else if (handles[i] && !handle_is_err(handles[i]))
			misuse_handle(pool, "zs_free_bulk", handles[i]);
	return ours;
}

/**
 * zs_free_bulk() - free many objects for less than one by one.
 * @pool: the pool
 * @handles: the objects; 0 and error values are ignored
 * @count: how many
 *
 * Context: Any thread; takes one class lock at a time. Allocates some memory to work in, and frees
 * one by one if there is none.
 */
void zs_free_bulk(struct zs_pool *pool, const unsigned long *handles, size_t count)
{
	struct free_batch *batch;

	if (!pool_given(pool, "zs_free_bulk") || !count)
		return;
	if (!handles) {
		misuse_pool(pool, "zs_free_bulk", "called with a null buffer", 0);
		return;
	}
	batch = count > BULK_LEAST ? port_alloc(sizeof(*batch), GFP_KERNEL) : NULL;
	while (batch && count) {
		u32 part = count < FREE_BATCH ? (u32)count : FREE_BATCH;

		free_batch(batch, batch_fill(pool, batch, handles, part), pool);
		handles += part;
		count -= part;
	}
	for (size_t i = 0; i < count; i++)
		pool_free(pool, handles[i]);
	if (batch)
		port_free(batch, sizeof(*batch));
}

/**
 * zs_pool_stats() - what a pool has counted.
 * @pool: the pool
 * @stats: filled in
 *
 * Context: Any.
 */
void zs_pool_stats(struct zs_pool *pool, struct zs_pool_stats *stats)
{
	if (!pool_given(pool, "zs_pool_stats"))
		return;
	if (!stats) {
		misuse_pool(pool, "zs_pool_stats", "called with a null buffer", 0);
		return;
	}
	memset(stats, 0, sizeof(*stats));
	stats->pages_compacted = atomic64_read(&pool->pages_compacted);
	stats->misuses = atomic64_read(&pool->misuses);
}

static int show(struct zs_pool *pool, FILE *file,
		void (*what)(const struct zs_pool *pool, struct port_out *out))
{
	struct port_out out = { .file = file };

	if (!file)
		return -EINVAL;
	what(pool, &out);
	return fflush(file) || ferror(file) ? -EIO : 0;
}

/**
 * zs_stats_classes() - print the table of size classes, as debugfs shows it.
 * @pool: the pool
 * @out: where to
 *
 * Context: May sleep.
 * Return: 0, -EINVAL for no pool or no file, -EIO if it can't be written.
 */
int zs_stats_classes(struct zs_pool *pool, FILE *out)
{
	return pool_given(pool, "zs_stats_classes") ? show(pool, out, pool_show_classes) : -EINVAL;
}

/**
 * zs_stats_deferred() - print the state of the deferred queue, as debugfs shows it.
 * @pool: the pool
 * @out: where to
 *
 * The pools of a process share the queue. The first two lines are "pending: N" and "capacity: N".
 *
 * Context: May sleep.
 * Return: 0, -EINVAL for no pool or no file, -EIO if it can't be written.
 */
int zs_stats_deferred(struct zs_pool *pool, FILE *out)
{
	return pool_given(pool, "zs_stats_deferred") ? show(pool, out, pool_show_deferred) :
						       -EINVAL;
}
