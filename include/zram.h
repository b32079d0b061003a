/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zram - a compressed page store: what the kernel's zram does with zsmalloc, for programs.
 *
 * A store is an array of pages, named by their index, all of them empty (zero) at first. A page
 * that is written is compressed and kept in a zsmalloc pool. A page of one repeated word takes no
 * memory. A page that does not compress is kept as it is. Pages are of the system's page size.
 *
 * Every function may be called from any thread at any time, except zram_destroy(), which must be
 * the last call on its store. Threads may use different indexes freely and the same index safely.
 */
#ifndef ZRAM_H
#define ZRAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zram;
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

/**
 * struct zram_options - how a store is made. 0 in a field: its default.
 * @size: sizeof(struct zram_options), which lets the struct grow
 * @disksize: bytes that the store can hold uncompressed, rounded up to whole pages; must be given
 * @algorithm: "lz4" (default), "lz4hc", "zstd", "deflate"; "lzo" where the library was built with
 *	it
 * @level: the compressor's level; 0 is the algorithm's own default. lz4: 1 (default) to 65537, its
 *	acceleration, more is faster. lz4hc: 1 to 12, default 9. zstd: -131072 to 22, default 3.
 *	deflate: 1 to 12, default 6. lzo: 1
 * @free_policy: one of enum zram_free_policy
 * @mem_limit: bytes that the pool's memory may take, rounded up to whole pages; 0 is no limit
 * @deferred_budget: the pool's, see struct zs_pool_options
 * @deferred_delay_ms: the pool's
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

#pragma GCC visibility push(default)

struct zram *zram_create(const struct zram_options *options);
void zram_destroy(struct zram *zram);

int zram_write_page(struct zram *zram, uint64_t index, const void *page);
int zram_read_page(struct zram *zram, uint64_t index, void *page);
int zram_slot_free_notify(struct zram *zram, uint64_t index);
int zram_discard(struct zram *zram, uint64_t index, uint64_t count);

int zram_mark_idle(struct zram *zram, uint64_t age);

void zram_get_mm_stat(struct zram *zram, struct zram_mm_stat *stat);
struct zs_pool *zram_get_pool(struct zram *zram);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* ZRAM_H */
