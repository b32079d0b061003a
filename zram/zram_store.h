/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What a store is made of. First comes what the exit path reads to free a page's slot. What writers
 * of pages change has cache lines of its own.
 */
#ifndef ZRAM_ZRAM_STORE_H
#define ZRAM_ZRAM_STORE_H

#include "backing.h"
#include "counters.h"
#include "slot.h"
#include "stream.h"
#include "zram.h"
#include "zsmalloc_published.h"

struct zram {
	struct slot *slots;
	uint64_t nr_slots;
	struct zs_pool *pool;
	size_t page_size;
	unsigned int free_policy;
	bool refuses_huge; /* see store_create_on() */
	size_t max_compressed; /* a page that does not get so small is stored as it is */
	uint64_t limit_pages; /* 0: no limit */
	struct streams streams;
	struct backing backing;
	struct zram *next; /* of all stores: see stores.c */
	struct zram *prev;
	_Atomic bool walking; /* see walk.h */
	_Alignas(64) _Atomic uint64_t max_used_pages;
	struct counters counters;
	_Atomic uint64_t failed_reads; /* what few calls count, see struct zram_io_stat */
	_Atomic uint64_t failed_writes;
	_Atomic uint64_t invalid_io;
};

/* What a store's pool calls under memory pressure. */
struct pressure_call {
	void (*call)(void *arg);
	void *arg;
};

struct zram *store_create(const struct zram_options *options, const struct pressure_call *pressure);
struct zram *store_create_on(const struct zram *owner, uint64_t pages);
void store_destroy_on(struct zram *zram);
bool page_is_same_filled(const void *page, size_t page_size, unsigned long *word);
bool read_sized(void *own, size_t own_size, const void *given, size_t size);
void update_used_max(struct zram *zram, uint64_t used);
void count_store(const void *store, struct zs_published_store *to);
unsigned int entry_class(const struct zram *zram, const struct entry *entry);
int copy_object(struct zram *zram, struct stream *stream, const struct entry *entry);
int load_page(struct zram *zram, struct stream *stream, const struct entry *entry, void *page);
int read_backed(struct zram *zram, struct slot *slot, const struct entry *entry, void *page);

/*
 * Count a page in (@sign 1) or out (@sign -1). Inlined, as is take_entry(): they are the exit
 * path, and an entry handed over in memory would take a quarter of its time.
 */
static inline __attribute__((always_inline)) void count_entry(struct zram *zram,
							      const struct entry *entry, int sign)
{
	const struct tally tally = tally_of(&zram->counters);
	size_t size = entry_size(entry);

	if (size == zram->page_size) {
		tally_add(tally, HUGE_PAGES, (uint64_t)sign);
	} else if (size) {
		unsigned int number = entry_compressor(entry);

		tally_add(tally, PAGES_BY + 2 * number, (uint64_t)sign);
		tally_add(tally, BYTES_BY + 2 * number, (uint64_t)sign * size);
	} else {
		tally_add(tally, entry_is_backed(entry) ? BACKED_PAGES : SAME_PAGES,
			  (uint64_t)sign);
	}
}

#endif /* ZRAM_ZRAM_STORE_H */
