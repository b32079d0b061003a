/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zram - a compressed page store: what the kernel's zram does with zsmalloc, for programs.
 *
 * A store is an array of pages, named by their index, all of them empty (zero) at first. A page
 * that is written is compressed and kept in a zsmalloc pool. A page of one repeated word takes no
 * memory. A page that does not compress is kept as it is. Pages are of the system's page size.
 *
 * Every function may be called from any thread at any time. Only zram_destroy(),
 * zram_cache_detach() and zram_cache_destroy() must be the last calls on what they end. Threads may
 * use different indexes freely and the same index safely.
 */
#ifndef ZRAM_H
#define ZRAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zram;
struct zram_area;
struct zram_cache;
struct zs_pool;

/* The most seconds that zram_mark_idle() takes: 32 hours. */
#define ZRAM_AGE_MAX 115200

/**
 * enum zram_free_policy - what zram_slot_free_notify() does with a page's object.
 * @ZRAM_FREE_DEFERRED: zs_free_deferred(), which returns at once
 * @ZRAM_FREE_NOW: zs_free()
 */
enum zram_free_policy {
	ZRAM_FREE_DEFERRED,
	ZRAM_FREE_NOW,
};

/* The compressors that a store can have besides the one that writes use. */
#define ZRAM_SECONDARY_MAX 3

/**
 * struct zram_compressor - a compressor for zram_recompress(). 0 in a field: its default.
 * @algorithm: as in struct zram_options; must be given
 * @level: as in struct zram_options
 * @dictionary: as in struct zram_options
 * @dictionary_size: its size in bytes
 */
struct zram_compressor {
	const char *algorithm;
	int level;
	const void *dictionary;
	size_t dictionary_size;
};

/**
 * struct zram_options - how a store is made. 0 in a field: its default.
 * @size: sizeof(struct zram_options), which lets the struct grow
 * @disksize: bytes that the store can hold uncompressed, rounded up to whole pages; must be given
 * @algorithm: a name that zram_algorithm() returns; zram_create(3) has a table of names and levels
 * @level: the compressor's level; 0 is the algorithm's own default
 * @free_policy: one of enum zram_free_policy
 * @mem_limit: bytes that the pool's memory may take, rounded up to whole pages; 0 is no limit
 * @deferred_budget: the pool's, see struct zs_pool_options
 * @deferred_delay_ms: the pool's
 * @dictionary: what pages have in common, for "zstd" alone: see zram_train_dictionary()
 * @dictionary_size: its size in bytes
 * @secondary: up to three compressors that zram_recompress() tries, in this order; the first
 *	without an algorithm ends them
 */
struct zram_options {
	size_t size;
	uint64_t disksize;
	const char *algorithm;
	int level;
	unsigned int free_policy;
	uint64_t mem_limit;
	size_t deferred_budget;
	unsigned int deferred_delay_ms;
	const void *dictionary;
	size_t dictionary_size;
	struct zram_compressor secondary[ZRAM_SECONDARY_MAX];
};

/**
 * struct zram_mm_stat - the fields of the kernel's /sys/block/zramN/mm_stat, in bytes or pages.
 * @orig_data_size: bytes of the pages that are stored, uncompressed; same-filled pages included
 * @compr_data_size: bytes of them as they are kept; same-filled pages are kept in none
 * @mem_used_total: bytes of memory that the pool holds for them
 * @mem_limit: the limit, 0 for none
 * @mem_used_max: the most that mem_used_total has been
 * @same_pages: pages of one repeated word, which take no memory
 * @pages_compacted: pages that compaction gave back
 * @huge_pages: pages now stored that did not compress
 * @huge_pages_since: pages ever stored that did not compress
 */
struct zram_mm_stat {
	uint64_t orig_data_size;
	uint64_t compr_data_size;
	uint64_t mem_used_total;
	uint64_t mem_limit;
	uint64_t mem_used_max;
	uint64_t same_pages;
	uint64_t pages_compacted;
	uint64_t huge_pages;
	uint64_t huge_pages_since;
};

/**
 * struct zram_io_stat - the fields of the kernel's /sys/block/zramN/io_stat.
 * @failed_reads: pages that could not be read
 * @failed_writes: pages that could not be written
 * @invalid_io: calls whose index does not exist
 * @notify_free: calls of zram_slot_free_notify()
 */
struct zram_io_stat {
	uint64_t failed_reads;
	uint64_t failed_writes;
	uint64_t invalid_io;
	uint64_t notify_free;
};

/* No limit for zram_set_writeback_limit(). */
#define ZRAM_NO_LIMIT UINT64_MAX

/**
 * struct zram_bd_stat - the fields of the kernel's /sys/block/zramN/bd_stat, in pages; and more.
 * @bd_count: pages that are on the device now
 * @bd_reads: reads of it
 * @bd_writes: pages that were written to it
 * @bd_capacity: pages that it has room for; 0 as long as there is none
 * @writeback_limit: bytes that may yet be written, or %ZRAM_NO_LIMIT
 */
struct zram_bd_stat {
	uint64_t bd_count;
	uint64_t bd_reads;
	uint64_t bd_writes;
	uint64_t bd_capacity;
	uint64_t writeback_limit;
};

/**
 * struct zram_compressor_stat - one of the store's compressors.
 * @algorithm: its name
 * @level: its level, never 0
 * @dictionary_size: bytes of its dictionary, 0 for none
 * @pages: pages that are now kept as it compressed them
 * @compr_data_size: bytes of them as they are kept
 */
struct zram_compressor_stat {
	const char *algorithm;
	int level;
	size_t dictionary_size;
	uint64_t pages;
	uint64_t compr_data_size;
};

/**
 * enum zram_mark - what a page must be for zram_recompress() or zram_writeback() to take it.
 * @ZRAM_IDLE: marked by zram_mark_idle(), and not used since
 * @ZRAM_HUGE: kept as it is, as it does not compress
 * @ZRAM_INCOMPRESSIBLE: no secondary compressor made it smaller
 */
enum zram_mark {
	ZRAM_IDLE = 1,
	ZRAM_HUGE = 2,
	ZRAM_INCOMPRESSIBLE = 4,
};

/**
 * struct zram_select - which pages a call takes. 0 in a field: no condition.
 * @size: sizeof(struct zram_select), which lets the struct grow
 * @marks: of enum zram_mark, all that a page must have
 * @first: the index of the first page
 * @count: how many pages from there; 0 is up to the last one
 * @min_size: bytes that a page takes at least, as it is kept
 * @max_pages: pages that the call takes at most
 */
struct zram_select {
	size_t size;
	unsigned int marks;
	uint64_t first;
	uint64_t count;
	size_t min_size;
	uint64_t max_pages;
};

/*
 * A cache of compressed pages before slower stores, as the kernel's zswap is: see zram_cache.3.
 */

/**
 * struct zram_cache_options - how a cache is made. 0 in a field: its default.
 * @size: sizeof(struct zram_cache_options), which lets the struct grow
 * @algorithm: as in struct zram_options
 * @level: as in struct zram_options
 * @limit: bytes that the pool's memory may take, rounded up to whole pages
 * @limit_percent: the same in per cent of the memory that the process's control groups leave it, or
 *	that the machine has; up to 100. The smaller of both holds. Without any: 20 per cent
 * @accept_percent: the acceptance threshold, in per cent of the limit. Once the limit was reached,
 *	the cache keeps no more pages until it is down to that. Up to 100, default 90
 * @pressure: 1 has the cache write cold pages back when the system tells of memory pressure
 */
struct zram_cache_options {
	size_t size;
	const char *algorithm;
	int level;
	unsigned int limit_percent;
	uint64_t limit;
	unsigned int accept_percent;
	unsigned int pressure;
};

/**
 * struct zram_slower - a slower store, as the program's functions. Each returns 0 or a negative
 * errno, which hits that page alone. Calls for one page follow one another. Calls for different
 * pages come at the same time, from the callers' threads and the cache's own. No lock of the cache
 * is held. A function must not call the cache.
 * @size: sizeof(struct zram_slower), which lets the struct grow
 * @write: keep a page; the page leaves memory only if that succeeds
 * @read: fill in a page that was written
 * @free: forget a page that was written; may be NULL
 * @arg: their first argument
 */
struct zram_slower {
	size_t size;
	int (*write)(void *arg, uint64_t index, const void *page);
	int (*read)(void *arg, uint64_t index, void *page);
	int (*free)(void *arg, uint64_t index);
	void *arg;
};

/**
 * struct zram_cache_stat - what a cache holds, and what happened to it.
 * @limit: bytes that the pool's memory may take
 * @accept: bytes that it must be down to after the limit was reached
 * @mem_used: bytes of memory that the pool holds
 * @pages: pages that are in memory; same-filled ones included
 * @same_pages: pages of one repeated word, which take no memory and are not written back
 * @slower_pages: pages that are in the slower stores
 * @hits: reads from memory
 * @misses: reads from the slower stores
 * @written_back: pages that left memory for the slower stores
 * @rejected_huge: writes that went straight to the slower store, as the page does not compress
 * @rejected_limit: writes that did so for the limit, or as there was no memory
 * @limit_hits: times that the limit was reached
 * @failed_reads: reads that the slower stores failed
 * @failed_writes: writes that they failed
 * @failed_frees: frees that they failed
 */
struct zram_cache_stat {
	uint64_t limit;
	uint64_t accept;
	uint64_t mem_used;
	uint64_t pages;
	uint64_t same_pages;
	uint64_t slower_pages;
	uint64_t hits;
	uint64_t misses;
	uint64_t written_back;
	uint64_t rejected_huge;
	uint64_t rejected_limit;
	uint64_t limit_hits;
	uint64_t failed_reads;
	uint64_t failed_writes;
	uint64_t failed_frees;
};

#pragma GCC visibility push(default)

struct zram *zram_create(const struct zram_options *options);
void zram_destroy(struct zram *zram);

int zram_write_page(struct zram *zram, uint64_t index, const void *page);
int zram_read_page(struct zram *zram, uint64_t index, void *page);
int zram_slot_free_notify(struct zram *zram, uint64_t index);
int zram_discard(struct zram *zram, uint64_t index, uint64_t count);
uint64_t zram_next_data(struct zram *zram, uint64_t index, uint64_t end);

int64_t zram_train_dictionary(const void *pages, size_t count, void *dictionary, size_t capacity);

int zram_mark_idle(struct zram *zram, uint64_t age);
int64_t zram_recompress(struct zram *zram, const struct zram_select *select, unsigned int number);

const char *zram_algorithm(unsigned int number);

int zram_set_backing(struct zram *zram, const char *path);
void zram_set_writeback_limit(struct zram *zram, uint64_t bytes);
int64_t zram_writeback(struct zram *zram, const struct zram_select *select);

void zram_get_mm_stat(struct zram *zram, struct zram_mm_stat *stat);
void zram_get_io_stat(struct zram *zram, struct zram_io_stat *stat);
void zram_get_bd_stat(struct zram *zram, struct zram_bd_stat *stat);
int zram_get_compressor_stat(struct zram *zram, unsigned int number,
			     struct zram_compressor_stat *stat);
unsigned long zram_compact(struct zram *zram);
struct zs_pool *zram_get_pool(struct zram *zram);

struct zram_cache *zram_cache_create(const struct zram_cache_options *options);
void zram_cache_destroy(struct zram_cache *cache);

struct zram_area *zram_cache_attach(struct zram_cache *cache, uint64_t pages,
				    const struct zram_slower *slower);
struct zram_area *zram_cache_attach_file(struct zram_cache *cache, const char *path);
void zram_cache_detach(struct zram_area *area);

int zram_cache_write(struct zram_area *area, uint64_t index, const void *page);
int zram_cache_read(struct zram_area *area, uint64_t index, void *page);
int zram_cache_free(struct zram_area *area, uint64_t index, uint64_t count);

int64_t zram_cache_shrink(struct zram_cache *cache, uint64_t pages);
int zram_cache_flush(struct zram_area *area);
void zram_cache_get_stat(struct zram_cache *cache, struct zram_cache_stat *stat);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* ZRAM_H */
