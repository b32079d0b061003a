/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The part of the API that is the program's own: pools with options, bulk frees, statistics to a
 * FILE. The rest is the core's.
 */
#include <stdio.h>

#include "pool.h"
#include "pressure.h"
#include "publish.h"

#define OPTIONS_MOST 4096 /* bytes; more is a size that nobody has set */

/* Read the options that the caller's header knew; the rest are 0. False if they make no sense. */
static bool options_read(struct zs_pool_options *options, const struct zs_pool_options *given)
{
	const char *bytes = (const char *)given;

	memset(options, 0, sizeof(*options));
	if (!given)
		return true;
	if (given->size < sizeof(given->size) || given->size > OPTIONS_MOST)
		return false;
	/* A newer header's fields are fine as long as nobody uses them. */
	for (size_t i = sizeof(*options); i < given->size; i++)
		if (bytes[i])
			return false;
	memcpy(options, given, given->size < sizeof(*options) ? given->size : sizeof(*options));
	return options->max_chain <= ZS_MAX_CHAIN && options->misuse <= ZS_MISUSE_COUNT &&
	       options->publish <= 1 && options->drain_workers <= POOL_DRAIN_WORKERS &&
	       options->pressure <= ZS_PRESSURE_IGNORE && !options->reserved &&
	       (options->compact_share <= 100 || options->compact_share == ZS_COMPACT_NEVER);
}

/**
 * zs_create_pool_with() - make a pool that differs from the default.
 * @name: a name for statistics and messages; cut after 63 bytes
 * @options: how it differs; NULL for not at all
 *
 * Context: May sleep.
 * Return: the pool, or NULL with errno set: EINVAL for no name or an option out of range, ENOMEM, ENOTSUP
 *	for a system whose pages are larger than 64 KiB.
 */
struct zs_pool *zs_create_pool_with(const char *name, const struct zs_pool_options *options)
{
	struct zs_pool_options wish;
	struct pool_config config;
	struct zs_pool *pool;

	if (!name || !options_read(&wish, options)) {
		errno = EINVAL;
		return NULL;
	}
	if (PORT_CHUNK_SIZE % PORT_PAGE_SIZE) { /* a chunk of a table must be whole pages */
		errno = ENOTSUP;
		return NULL;
	}
	config.capacity =
		pool_capacity(wish.deferred_budget ? wish.deferred_budget : POOL_DEFERRED_BUDGET);
	config.delay_ms = wish.deferred_delay_ms ? wish.deferred_delay_ms : POOL_DEFERRED_DELAY_MS;
	config.max_chain = wish.max_chain ? wish.max_chain : ZS_MAX_CHAIN;
	config.compact_share = wish.compact_share ? wish.compact_share : POOL_COMPACT_SHARE;
	if (wish.compact_share == ZS_COMPACT_NEVER)
		config.compact_share = 0;
	config.drain_workers = pool_drain_workers(wish.drain_workers);
	config.misuse_is_fatal = wish.misuse == ZS_MISUSE_DEFAULT ? port_misuse_is_fatal() :
								    wish.misuse == ZS_MISUSE_ABORT;
	pool = pool_create(name, &config);
	if (!pool) {
		errno = ENOMEM;
		return NULL;
	}
	if (wish.pressure != ZS_PRESSURE_IGNORE)
		pressure_add(pool);
	if (wish.publish || publish_wanted())
		publish_add(pool, !wish.publish);
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
 * @pool: the pool, which nobody else uses any more
 *
 * Pending deferred frees are done first. Objects that are still there go with the pool.
 *
 * Context: May sleep.
 */
void zs_destroy_pool(struct zs_pool *pool)
{
	if (!pool_check(pool, "zs_destroy_pool() of no pool"))
		return;
	publish_remove(pool);
	pressure_remove(pool);
	pool_destroy(pool);
}

#define BULK_LEAST 64 /* fewer objects are not worth a batch */

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

	if (!pool_check(pool, "zs_free_bulk() of no pool") || !count)
		return;
	if (!handles) {
		pool_misuse(pool, "zs_free_bulk() with a null buffer", 0);
		return;
	}
	batch = count > BULK_LEAST ? port_alloc(sizeof(*batch), GFP_KERNEL) : NULL;
	while (batch && count) {
		unsigned int part = count < DEFERRED_BATCH ? (unsigned int)count : DEFERRED_BATCH;

		pool_free_batch(pool, batch, handles, part);
		handles += part;
		count -= part;
	}
	for (size_t i = 0; i < count; i++)
		zs_free(pool, handles[i]);
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
	if (!pool_check(pool, "zs_pool_stats() of no pool"))
		return;
	if (!stats) {
		pool_misuse(pool, "zs_pool_stats() with a null buffer", 0);
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
	if (!pool_check(pool, "zs_stats_classes() of no pool"))
		return -EINVAL;
	return show(pool, out, pool_show_classes);
}

/**
 * zs_stats_deferred() - print the state of the deferred queue, as debugfs shows it.
 * @pool: the pool
 * @out: where to
 *
 * The first two lines are "pending: N" and "capacity: N".
 *
 * Context: May sleep.
 * Return: 0, -EINVAL for no pool or no file, -EIO if it can't be written.
 */
int zs_stats_deferred(struct zs_pool *pool, FILE *out)
{
	if (!pool_check(pool, "zs_stats_deferred() of no pool"))
		return -EINVAL;
	return show(pool, out, pool_show_deferred);
}
