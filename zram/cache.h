/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A cache of compressed pages before slower stores, as the kernel's zswap is.
 *
 *   cache   ── areas ──> area ── area             one pool, one limit, one LRU for all areas
 *   area    [ record | record | record | ... ]    one a page: where it is
 *   LRU     cold <── record ── record ── record ──> hot       of any area
 *
 *   write   compresses to fewer bytes, within the limit ──> memory, hot end
 *           else ──> slower store
 *   shrink  cold end ──> slower store ──> out of memory
 *
 * A page is empty, in memory, or in the slower store. Besides, the slower store may have an old
 * copy of it, which waits to be replaced or freed. A page that is read from the slower store stays
 * there, for the reader has it.
 *
 * A record's lock guards its state and its slot in the area's store. A thread that calls the slower
 * store for a page marks the record busy first, and lets the lock go. So those calls follow one
 * another, and a write or a free waits for none unless it calls the slower store itself. Each
 * change of a page makes a new version:
 *
 *   write back   version? | copy, slower store's write() | same version: the page is there now
 *                         | (write, free: new version)   | else: what is there is old
 *
 * The thread that ends being busy frees what the slower store has of a page that is empty by then.
 *
 * A page changes its record first and leaves the store after that. So a reader takes no lock of the
 * cache: a record that still says the same after the read has not lost the page meanwhile.
 *
 * A read sets a mark. A marked page that comes to the cold end gets a second chance, at the hot
 * end. So the LRU changes with writes alone.
 *
 * Locks, in this order: cache.shrinking, a record's, cache.lru_lock, or the locks of the store
 * (zram.c). No other is taken under cache.shrinker.lock.
 */
#ifndef ZRAM_CACHE_H
#define ZRAM_CACHE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backing.h"
#include "zram_store.h"

#define RECORD_WHERE 3U
#define RECORD_EMPTY 0U
#define RECORD_MEMORY 1U
#define RECORD_SLOWER 2U
#define RECORD_SAME 4U /* in memory, and takes none */
#define RECORD_COPY 8U /* the slower store has the page, or an old copy if that is elsewhere */
#define RECORD_BUSY 16U /* a call of the slower store is under way */
#define RECORD_USED 32U /* read since it came, or since the LRU looked */
#define RECORD_VERSION 64U /* what is above counts changes */

struct record {
	struct record *prev; /* in the LRU, of which cold is first; NULL: it is not there */
	struct record *next;
	struct zram_area *area; /* set before the first state that is not 0 */
	_Atomic uint32_t state;
	uint32_t check; /* of a page in the slower store: entry_checksum() */
};

_Static_assert(sizeof(struct record) == 32, "two records share a cache line");

struct zram_area {
	struct zram_cache *cache;
	struct record *records;
	struct zram *store; /* see store_create_on() */
	struct zram_slower slower;
	struct backing file; /* the slower store, of zram_cache_attach_file() */
	struct zram_area *next; /* of all areas of the cache */
};

/* A call of a slower store that is under way, on its thread's stack. */
struct busy {
	struct record *record;
	struct busy *next;
};

enum cache_counter {
	CACHE_PAGES,
	CACHE_SAME,
	CACHE_SLOWER,
	CACHE_HITS,
	CACHE_MISSES,
	CACHE_WRITTEN_BACK,
	CACHE_REJECTED_HUGE,
	CACHE_REJECTED_LIMIT,
	CACHE_LIMIT_HITS,
	CACHE_FAILED_READS,
	CACHE_FAILED_WRITES,
	CACHE_FAILED_FREES,
	CACHE_COUNTERS,
};

struct shrinker {
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t asked;
	pthread_t thread;
	bool running; /* not in a child of fork(), before it needs the thread */
	bool begun; /* the first thread has */
	_Atomic bool limit_asks; /* these may be read without it */
	_Atomic bool pressure_asks;
	_Atomic bool stopping;
};

struct zram_cache {
	struct zram *owner; /* of pool and streams, with no pages of its own */
	size_t page_size;
	uint64_t limit_pages;
	uint64_t accept_pages;
	_Atomic bool full; /* the limit was reached, and it is not yet down to accept_pages */
	struct shrinker shrinker;
	pthread_mutex_t shrinking; /* one thread writes back; protects the buffer */
	void *buffer; /* a page */
	_Alignas(64) pthread_mutex_t lru_lock; /* protects what follows, up to the counts */
	struct record lru; /* its next one is the coldest */
	uint64_t lru_length;
	struct zram_area *areas;
	struct busy *busy;
	_Alignas(64) _Atomic uint64_t count[CACHE_COUNTERS];
	struct zram_cache *prev; /* of all caches: see caches.c */
	struct zram_cache *next;
};

/* The records of a process share locks, by a hash, as slots do. */
struct record_lock {
	_Alignas(64) pthread_mutex_t mutex;
	pthread_cond_t idle; /* a record is not busy any more */
};

extern struct record_lock record_locks[SLOT_LOCKS];

static inline struct record_lock *record_lock_of(const struct record *record)
{
	return &record_locks[(uintptr_t)record / sizeof(*record) % SLOT_LOCKS];
}

static inline void record_lock(const struct record *record)
{
	pthread_mutex_lock(&record_lock_of(record)->mutex);
}

static inline void record_unlock(const struct record *record)
{
	pthread_mutex_unlock(&record_lock_of(record)->mutex);
}

static inline uint32_t record_state(const struct record *record)
{
	return atomic_load_explicit(&record->state, memory_order_acquire);
}

static inline uint32_t record_where(const struct record *record)
{
	return record_state(record) & RECORD_WHERE;
}

/* Returns which version of the page a state is. */
static inline uint32_t state_version(uint32_t state)
{
	return state & ~(RECORD_VERSION - 1);
}

static inline uint64_t record_index(const struct record *record)
{
	return (uint64_t)(record - record->area->records);
}

static inline void cache_count(struct zram_cache *cache, enum cache_counter counter, uint64_t n)
{
	atomic_fetch_add_explicit(&cache->count[counter], n, memory_order_relaxed);
}

/* cache.c */
int record_write_out(struct record *record, const void *page);
struct zram_area *area_create(struct zram_cache *cache, uint64_t pages,
			      const struct zram_slower *slower, const struct backing *file);

/* cache_shrink.c */
void lru_heat(struct record *record);
void lru_remove(struct record *record);
int shrinker_start(struct zram_cache *cache);
void shrinker_stop(struct zram_cache *cache);
void shrinker_limit(struct zram_cache *cache);
void shrinker_pressure(void *cache);

/* caches.c */
int caches_add(struct zram_cache *cache);
void caches_remove(struct zram_cache *cache);

/* container.c */
uint64_t container_memory(const char *root);

#endif /* ZRAM_CACHE_H */
