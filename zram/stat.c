/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What a store tells of itself, in the fields of the kernel's zram.
 */
#include <errno.h>
#include <string.h>

#include "zram_store.h"
#include "zsmalloc.h"

/*
 * Counts what a store holds, without its pool. The pool calls this too, for programs that look at
 * the store.
 */
void count_store(const void *store, struct zs_published_store *to)
{
	const struct zram *zram = store;

	*to = (struct zs_published_store){
		.same = counters_sum(&zram->counters, SAME_PAGES),
		.huge = counters_sum(&zram->counters, HUGE_PAGES),
		.written_back = counters_sum(&zram->counters, BACKED_PAGES),
		.written = atomic_load(&zram->backing.writes),
	};
	to->pages = to->same + to->huge + to->written_back;
	to->compressed = to->huge * zram->page_size;
	for (unsigned int i = 0; i < zram->streams.nr_compressors; i++) {
		to->pages += counters_sum(&zram->counters, PAGES_BY + 2 * i);
		to->compressed += counters_sum(&zram->counters, BYTES_BY + 2 * i);
	}
}

/**
 * zram_get_mm_stat() - what the store holds, and what that takes.
 * @zram: the store; of NULL, all is 0
 * @stat: filled in; see struct zram_mm_stat
 *
 * The fields are exact when no other thread uses the store, and each for itself may lag otherwise.
 * mem_used_total leaves out an estimate of the objects that wait in the deferred queue.
 *
 * Context: Any thread.
 */
void zram_get_mm_stat(struct zram *zram, struct zram_mm_stat *stat)
{
	struct zs_published_store store;
	struct zs_pool_stats pool_stats;
	uint64_t used;

	if (!stat)
		return;
	memset(stat, 0, sizeof(*stat));
	if (!zram)
		return;

	used = zs_get_total_pages(zram->pool);
	update_used_max(zram, used);
	zs_pool_stats(zram->pool, &pool_stats);

	count_store(zram, &store);
	stat->orig_data_size = store.pages * zram->page_size;
	stat->compr_data_size = store.compressed;
	stat->same_pages = store.same;
	stat->huge_pages = store.huge;
	stat->huge_pages_since = counters_sum(&zram->counters, HUGE_PAGES_SINCE);
	stat->mem_used_total = used * zram->page_size;
	stat->mem_limit = zram->limit_pages * zram->page_size;
	stat->mem_used_max = atomic_load(&zram->max_used_pages) * zram->page_size;
	stat->pages_compacted = pool_stats.pages_compacted;
}

/**
 * zram_get_io_stat() - what went wrong, and how many pages their owners gave up.
 * @zram: the store; of NULL, all is 0
 * @stat: filled in; see struct zram_io_stat
 *
 * Context: Any thread.
 */
void zram_get_io_stat(struct zram *zram, struct zram_io_stat *stat)
{
	if (!stat)
		return;
	memset(stat, 0, sizeof(*stat));
	if (!zram)
		return;
	stat->failed_reads = atomic_load(&zram->failed_reads);
	stat->failed_writes = atomic_load(&zram->failed_writes);
	stat->invalid_io = atomic_load(&zram->invalid_io);
	stat->notify_free = counters_sum(&zram->counters, NOTIFY_FREES);
}

/**
 * zram_get_bd_stat() - what the store has written back.
 * @zram: the store; of NULL, all is 0
 * @stat: filled in; see struct zram_bd_stat
 *
 * Context: Any thread.
 */
void zram_get_bd_stat(struct zram *zram, struct zram_bd_stat *stat)
{
	if (!stat)
		return;
	memset(stat, 0, sizeof(*stat));
	if (!zram)
		return;
	stat->bd_count = counters_sum(&zram->counters, BACKED_PAGES);
	stat->bd_reads = atomic_load(&zram->backing.reads);
	stat->bd_writes = atomic_load(&zram->backing.writes);
	stat->bd_capacity = atomic_load(&zram->backing.nr_blocks);
	stat->writeback_limit = atomic_load(&zram->backing.limit);
}

/**
 * zram_get_compressor_stat() - what one of the store's compressors does.
 * @zram: the store
 * @number: 0 for the one that writes use, 1 to 3 for the secondary ones
 * @stat: filled in; see struct zram_compressor_stat
 *
 * Context: Any thread.
 * Return: 0. -EINVAL: @zram or @stat is NULL, or the store has no compressor of that number.
 */
int zram_get_compressor_stat(struct zram *zram, unsigned int number,
			     struct zram_compressor_stat *stat)
{
	if (!zram || !stat || number >= zram->streams.nr_compressors)
		return -EINVAL;
	*stat = (struct zram_compressor_stat){
		.algorithm = zram->streams.compressor[number].codec->name,
		.level = zram->streams.compressor[number].level,
		.dictionary_size = zram->streams.compressor[number].dictionary_size,
		.pages = counters_sum(&zram->counters, PAGES_BY + 2 * number),
		.compr_data_size = counters_sum(&zram->counters, BYTES_BY + 2 * number),
	};
	return 0;
}

/**
 * zram_compact() - move the store's objects together.
 * @zram: the store
 *
 * Context: Any thread. May sleep. Reads and writes go on meanwhile.
 * Return: the pages of memory that went back; 0 if @zram is NULL.
 */
unsigned long zram_compact(struct zram *zram)
{
	return zram ? zs_compact(zram->pool) : 0;
}

/**
 * zram_get_pool() - the store's pool, for statistics, zs_compact(), zs_free_deferred_flush().
 * @zram: the store
 *
 * Context: Any thread. The pool lives as long as the store; its objects are the store's.
 * Return: the pool, or NULL if @zram is NULL.
 */
struct zs_pool *zram_get_pool(struct zram *zram)
{
	return zram ? zram->pool : NULL;
}
