/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The calls of a cache: see cache.h.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache.h"
#include "zsmalloc.h"

#define LIMIT_PERCENT 20 /* the kernel's max_pool_percent */
#define ACCEPT_PERCENT 90 /* the kernel's accept_threshold_percent */

/*
 * Records.
 */

static void count_state(struct zram_cache *cache, uint32_t state, uint64_t n)
{
	if ((state & RECORD_WHERE) == RECORD_MEMORY)
		cache_count(cache, CACHE_PAGES, n);
	if ((state & RECORD_WHERE) == RECORD_SLOWER)
		cache_count(cache, CACHE_SLOWER, n);
	if (state & RECORD_SAME)
		cache_count(cache, CACHE_SAME, n);
}

/*
 * Says where the page of a locked record is from now on: @where may have RECORD_SAME. It is another
 * version. A mark that a reader sets at this moment may get lost.
 */
static void record_move(struct record *record, uint32_t where)
{
	struct zram_cache *cache = record->area->cache;
	uint32_t old = record_state(record);
	uint32_t kept = old & (RECORD_COPY | RECORD_BUSY);

	count_state(cache, where, 1);
	count_state(cache, old, (uint64_t)-1);
	atomic_store_explicit(&record->state, (state_version(old) + RECORD_VERSION) | kept | where,
			      memory_order_release);
}

/*
 * Calls of the slower store.
 */

/* Makes a locked record busy. May sleep without the lock. */
static void busy_begin(struct record *record, struct busy *busy)
{
	struct record_lock *lock = record_lock_of(record);
	struct zram_cache *cache = record->area->cache;

	while (record_state(record) & RECORD_BUSY)
		pthread_cond_wait(&lock->idle, &lock->mutex);
	atomic_fetch_or(&record->state, RECORD_BUSY);
	busy->record = record;
	pthread_mutex_lock(&cache->lru_lock);
	busy->next = cache->busy;
	cache->busy = busy;
	pthread_mutex_unlock(&cache->lru_lock);
}

/* What a slower store returned, as an errno. */
static int slower_error(int err)
{
	return err > 0 ? -EIO : err;
}

/* Whether the slower store has a copy of a page that is nowhere any more. */
static bool has_left_over(const struct record *record)
{
	return (record_state(record) & (RECORD_WHERE | RECORD_COPY)) == RECORD_COPY &&
	       record->area->slower.free;
}

/*
 * Ends being busy, of a locked record. Before, frees what is left over, without the lock. Returns
 * what that gave.
 */
static int busy_end(struct record *record, const struct busy *busy)
{
	const struct zram_slower *slower = &record->area->slower;
	struct zram_cache *cache = record->area->cache;
	struct busy **link = &cache->busy;
	int err = 0;

	while (!err && has_left_over(record)) {
		record_unlock(record);
		err = slower_error(slower->free(slower->arg, record_index(record)));
		record_lock(record);
		if (err)
			cache_count(cache, CACHE_FAILED_FREES, 1);
		else
			atomic_fetch_and(&record->state, ~RECORD_COPY);
	}
	pthread_mutex_lock(&cache->lru_lock);
	while (*link && *link != busy)
		link = &(*link)->next;
	if (*link)
		*link = busy->next;
	pthread_mutex_unlock(&cache->lru_lock);
	atomic_fetch_and(&record->state, ~RECORD_BUSY);
	pthread_cond_broadcast(&record_lock_of(record)->idle);
	return err;
}

/* Writes a page to the slower store, or the one of @record that is in memory, if @page is NULL. */
static int copy_out(const struct record *record, const void *page, uint32_t *check)
{
	struct zram_area *area = record->area;
	struct zram_cache *cache = area->cache;
	int err = 0;

	if (!page) {
		err = zram_read_page(area->store, record_index(record), cache->buffer);
		page = cache->buffer;
	}
	if (!err)
		err = slower_error(
			area->slower.write(area->slower.arg, record_index(record), page));
	*check = entry_checksum(page, cache->page_size);
	return err;
}

/*
 * Moves the page of a locked record to the slower store. It is @page, or what is in memory, if
 * @page is NULL, and then the caller holds cache.shrinking. The lock is not held during the write.
 *
 * Returns 0 if the page is there now, or a negative errno. Returns 1 if another thread wrote or
 * freed the page meanwhile, or it was not in memory.
 */
int record_write_out(struct record *record, const void *page)
{
	struct zram_cache *cache = record->area->cache;
	uint32_t version, check;
	struct busy busy;
	int err = 1;

	busy_begin(record, &busy);
	if (!page && record_where(record) != RECORD_MEMORY)
		goto end;
	version = state_version(record_state(record));
	record_unlock(record);
	err = copy_out(record, page, &check);
	record_lock(record);
	if (err) {
		cache_count(cache, CACHE_FAILED_WRITES, 1);
		goto end;
	}
	atomic_fetch_or(&record->state, RECORD_COPY);
	if (version != state_version(record_state(record))) {
		err = 1;
		goto end;
	}
	if (!page)
		cache_count(cache, CACHE_WRITTEN_BACK, 1);
	record->check = check;
	record_move(record, RECORD_SLOWER);
	lru_remove(record);
	zram_discard(record->area->store, record_index(record), 1);
end:
	busy_end(record, &busy);
	return err;
}

/* Reads a page from the slower store. Returns 0, a negative errno, or 1 if it is not there. */
static int read_slower(struct record *record, void *page)
{
	const struct zram_area *area = record->area;
	struct zram_cache *cache = area->cache;
	struct busy busy;
	uint32_t check;
	int err = 1;

	record_lock(record);
	busy_begin(record, &busy);
	if (record_where(record) != RECORD_SLOWER)
		goto end;
	check = record->check;
	record_unlock(record);
	err = slower_error(area->slower.read(area->slower.arg, record_index(record), page));
	if (!err && entry_checksum(page, cache->page_size) != check)
		err = -EIO;
	cache_count(cache, err ? CACHE_FAILED_READS : CACHE_MISSES, 1);
	record_lock(record);
end:
	busy_end(record, &busy);
	record_unlock(record);
	return err;
}

/*
 * Writing, reading, freeing.
 */

static void note_full(struct zram_cache *cache)
{
	if (!atomic_exchange(&cache->full, true))
		cache_count(cache, CACHE_LIMIT_HITS, 1);
}

/* Whether a page that takes memory may come in. */
static bool accepts(struct zram_cache *cache)
{
	uint64_t used = zs_get_total_pages(cache->owner->pool);

	if (used >= cache->limit_pages)
		note_full(cache);
	else if (used <= cache->accept_pages && atomic_load(&cache->full))
		atomic_store(&cache->full, false);
	return !atomic_load(&cache->full);
}

/* Whether the page of a locked record, which is in memory, takes none. */
static bool is_same_filled(const struct record *record)
{
	const struct entry entry = slot_get(&record->area->store->slots[record_index(record)]);

	return entry_size(&entry) == 0;
}

/* Keeps a page in memory. Returns 0; -E2BIG or -ENOMEM if it must go on; another errno. */
static int keep(struct record *record, const void *page)
{
	struct zram_area *area = record->area;
	struct zram_cache *cache = area->cache;
	unsigned long word;
	int err;

	if (!accepts(cache) && !page_is_same_filled(page, cache->page_size, &word))
		return -ENOMEM;
	err = zram_write_page(area->store, record_index(record), page);
	if (err == -ENOMEM)
		note_full(cache);
	if (err)
		return err;
	if (is_same_filled(record)) {
		record_move(record, RECORD_MEMORY | RECORD_SAME);
		lru_remove(record);
	} else {
		record_move(record, RECORD_MEMORY);
		lru_heat(record);
	}
	return 0;
}

/**
 * zram_cache_write() - write a page.
 * @area: the area
 * @index: the page's index, from 0
 * @page: its bytes, a whole page of them; of any alignment
 *
 * The page stays in memory if it compresses and the limit allows it. Else it goes straight to the
 * slower store. A call that fails leaves a page that was in memory as it was. What was in the
 * slower store reads as it was, or as -EIO if the failed write damaged it.
 *
 * Context: Any thread, but no function of a slower store. May sleep.
 * Return: 0. -EINVAL: @area or @page is NULL, or @index is out of range. Else what the slower store
 * said.
 */
int zram_cache_write(struct zram_area *area, uint64_t index, const void *page)
{
	struct record *record;
	int err;

	if (!area || !page || index >= area->store->nr_slots)
		return -EINVAL;
	record = &area->records[index];
	record_lock(record);
	if (!record->area)
		record->area = area;
	err = keep(record, page);
	if (err == -E2BIG || err == -ENOMEM) {
		cache_count(area->cache, err == -E2BIG ? CACHE_REJECTED_HUGE : CACHE_REJECTED_LIMIT,
			    1);
		err = record_write_out(record, page);
	}
	record_unlock(record);
	if (atomic_load(&area->cache->full))
		shrinker_limit(area->cache);
	/* 1 says that another thread wrote the page after this one. */
	return err > 0 ? 0 : err;
}

/* Reads a page from memory. Returns 0, a negative errno, or 1 if it has changed meanwhile. */
static int read_memory(struct record *record, uint32_t state, void *page)
{
	struct zram_area *area = record->area;
	int err = zram_read_page(area->store, record_index(record), page);

	if (state_version(record_state(record)) != state_version(state))
		return 1;
	if (!(state & RECORD_USED))
		atomic_fetch_or_explicit(&record->state, RECORD_USED, memory_order_relaxed);
	if (!err)
		cache_count(area->cache, CACHE_HITS, 1);
	return err;
}

/**
 * zram_cache_read() - read a page.
 * @area: the area
 * @index: the page's index, from 0
 * @page: where it goes, a whole page; of any alignment
 *
 * A page that was never written, or was freed, reads as zeros. A page of the slower store stays
 * there. If the call fails, @page holds anything.
 *
 * Context: Any thread, but no function of a slower store. May sleep.
 * Return: 0. -EINVAL: @area or @page is NULL, or @index is out of range. -EIO: what is stored was
 * damaged, in memory or in the slower store. Else what the slower store said.
 */
int zram_cache_read(struct zram_area *area, uint64_t index, void *page)
{
	struct record *record;
	int err;

	if (!area || !page || index >= area->store->nr_slots)
		return -EINVAL;
	record = &area->records[index];
	do {
		uint32_t state = record_state(record);

		switch (state & RECORD_WHERE) {
		case RECORD_MEMORY:
			err = read_memory(record, state, page);
			break;
		case RECORD_SLOWER:
			err = read_slower(record, page);
			break;
		default:
			memset(page, 0, area->cache->page_size);
			err = 0;
		}
	} while (err > 0);
	return err;
}

/* Returns 0 or what the slower store said. */
static int free_page(struct record *record)
{
	struct busy busy;
	int err = 0;

	record_lock(record);
	if (record_where(record) != RECORD_EMPTY) {
		record_move(record, RECORD_EMPTY);
		lru_remove(record);
		zram_slot_free_notify(record->area->store, record_index(record));
	}
	/* If another thread is busy with it, that one does this. */
	if (has_left_over(record) && !(record_state(record) & RECORD_BUSY)) {
		busy_begin(record, &busy);
		err = busy_end(record, &busy);
	}
	record_unlock(record);
	return err;
}

/**
 * zram_cache_free() - forget pages.
 * @area: the area
 * @index: the first page's index, from 0
 * @count: how many pages; 0 does nothing
 *
 * The pages read as zeros from now on, whatever the slower store says. A later call for a page that
 * it failed to free tries again. Memory goes back by zs_free_deferred().
 *
 * Context: Any thread, but no function of a slower store. May sleep. It does not wait for a page
 * that is just being written back.
 * Return: 0. -EINVAL: @area is NULL or a part of the range does not exist, and nothing is forgotten
 * then. Else the first error of the slower store's.
 */
int zram_cache_free(struct zram_area *area, uint64_t index, uint64_t count)
{
	int first = 0;

	if (!area || index > area->store->nr_slots || count > area->store->nr_slots - index)
		return -EINVAL;
	for (uint64_t i = index; i < index + count; i++) {
		int err = 0;

		if (record_state(&area->records[i]) & (RECORD_WHERE | RECORD_COPY))
			err = free_page(&area->records[i]);
		if (!first)
			first = err;
	}
	return first;
}

/*
 * Areas.
 */

static void free_area(struct zram_area *area)
{
	if (area->store)
		store_destroy_on(area->store);
	free(area);
}

/*
 * Makes an area of @pages empty pages before a slower store; before @file, which is the area's
 * then, if that is not NULL. Returns NULL without memory.
 */
struct zram_area *area_create(struct zram_cache *cache, uint64_t pages,
			      const struct zram_slower *slower, const struct backing *file)
{
	struct zram_area *area = calloc(1, sizeof(*area));

	if (!area)
		return NULL;
	area->cache = cache;
	area->slower = *slower;
	area->store = store_create_on(cache->owner, pages);
	area->records = area->store ? slots_create(pages, sizeof(struct record)) : NULL;
	if (!area->records) {
		free_area(area);
		return NULL;
	}
	if (file) {
		area->file = *file;
		area->slower.arg = &area->file;
	}
	pthread_mutex_lock(&cache->lru_lock);
	area->next = cache->areas;
	cache->areas = area;
	pthread_mutex_unlock(&cache->lru_lock);
	return area;
}

/**
 * zram_cache_attach() - have a cache keep pages before a slower store.
 * @cache: the cache
 * @pages: how many pages there are
 * @slower: the slower store; see struct zram_slower
 *
 * An area costs 48 bytes of memory for a page, from when the page, or one of its neighbours, is
 * first written.
 *
 * Context: Any thread. May sleep.
 * Return: the area, all of its pages empty; or NULL and errno. EINVAL: a pointer is NULL, @pages is
 * 0, or @slower lacks a function that must be given. ENOMEM: there is no memory.
 */
struct zram_area *zram_cache_attach(struct zram_cache *cache, uint64_t pages,
				    const struct zram_slower *slower)
{
	struct zram_area *area;
	struct zram_slower own;

	if (!cache || pages == 0 || !slower ||
	    !read_sized(&own, sizeof(own), slower, slower->size) || !own.write || !own.read) {
		errno = EINVAL;
		return NULL;
	}
	area = area_create(cache, pages, &own, NULL);
	if (!area)
		errno = ENOMEM;
	return area;
}

/* Takes the records of an area out of the cache. */
static void forget_records(struct zram_cache *cache, struct zram_area *area)
{
	pthread_mutex_lock(&cache->shrinking);
	for (uint64_t i = 0; i < area->store->nr_slots; i++) {
		struct record *record = &area->records[i];

		if (!record_state(record))
			continue;
		record_lock(record);
		record_move(record, RECORD_EMPTY);
		lru_remove(record);
		record_unlock(record);
	}
	pthread_mutex_unlock(&cache->shrinking);
}

/* Ends an area that has no records in the cache. */
static void end_area(struct zram_area *area)
{
	slots_destroy(area->records, area->store->nr_slots, sizeof(struct record));
	backing_close(&area->file);
	free_area(area);
}

/**
 * zram_cache_detach() - end an area.
 * @area: the area; NULL is ignored
 *
 * Pages that are in memory are gone: zram_cache_flush() comes first if they are needed. Pages of
 * the slower store stay there.
 *
 * Context: May sleep. No thread uses the area any more. The call waits for a page that the cache is
 * just writing back.
 */
void zram_cache_detach(struct zram_area *area)
{
	struct zram_cache *cache;
	struct zram_area **link;

	if (!area)
		return;
	cache = area->cache;
	/* First: a child of fork() leaves the files of listed areas alone. */
	forget_records(cache, area);
	pthread_mutex_lock(&cache->lru_lock);
	for (link = &cache->areas; *link != area; link = &(*link)->next)
		;
	*link = area->next;
	pthread_mutex_unlock(&cache->lru_lock);
	end_area(area);
}

/*
 * Caches.
 */

/* Options of the size that the caller knows, with their defaults. */
static bool read_options(const struct zram_cache_options *options, struct zram_cache_options *own)
{
	if (!options || !read_sized(own, sizeof(*own), options, options->size) ||
	    own->limit_percent > 100 || own->accept_percent > 100 || own->pressure > 1)
		return false;
	if (!own->limit && !own->limit_percent)
		own->limit_percent = LIMIT_PERCENT;
	if (!own->accept_percent)
		own->accept_percent = ACCEPT_PERCENT;
	return true;
}

/* Returns the pages of the limit. */
static uint64_t limit_of(const struct zram_cache_options *options, size_t page_size)
{
	uint64_t bytes = options->limit ? options->limit : UINT64_MAX;

	if (options->limit_percent) {
		uint64_t part = container_memory("") / 100 * options->limit_percent;

		if (part < bytes)
			bytes = part;
	}
	return bytes / page_size + (bytes % page_size != 0);
}

/* Fills in a zeroed cache. Returns 0 or a negative errno, with nothing left behind. */
static int init_cache(struct zram_cache *cache, const struct zram_cache_options *options)
{
	const struct pressure_call pressure = { .call = shrinker_pressure, .arg = cache };
	struct zram_options store = {
		.size = sizeof(store),
		.algorithm = options->algorithm,
		.level = options->level,
	};
	int err = -ENOMEM;

	cache->page_size = (size_t)sysconf(_SC_PAGESIZE);
	cache->limit_pages = limit_of(options, cache->page_size);
	cache->accept_pages = cache->limit_pages * options->accept_percent / 100;
	cache->lru.prev = cache->lru.next = &cache->lru;
	cache->shrinking = cache->lru_lock = cache->shrinker.lock =
		(pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	cache->shrinker.asked = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	store.disksize = cache->page_size;
	store.mem_limit = cache->limit_pages * cache->page_size;
	cache->buffer = aligned_alloc(cache->page_size, cache->page_size);
	if (!cache->buffer)
		return -ENOMEM;
	cache->owner = store_create(&store, options->pressure ? &pressure : NULL);
	if (!cache->owner) {
		err = -errno;
		goto free_buffer;
	}
	if (shrinker_start(cache))
		goto stop_shrinker;
	if (caches_add(cache) == 0)
		return 0;
stop_shrinker:
	shrinker_stop(cache);
	zram_destroy(cache->owner);
free_buffer:
	free(cache->buffer);
	return err;
}

/**
 * zram_cache_create() - make a cache, without areas.
 * @options: how; see struct zram_cache_options
 *
 * The cache has a thread of its own, the shrinker. The limit in per cent is reckoned now.
 *
 * Context: Any thread. May sleep.
 * Return: the cache, or NULL and errno. EINVAL: @options is NULL or holds a value that is not
 * possible. ENOTSUP: @pressure with a libzsmalloc that was built without the watcher. ENOMEM: there
 * is no memory, or no thread.
 */
struct zram_cache *zram_cache_create(const struct zram_cache_options *options)
{
	struct zram_cache_options own;
	struct zram_cache *cache;
	int err;

	if (!read_options(options, &own)) {
		errno = EINVAL;
		return NULL;
	}
	cache = aligned_alloc(_Alignof(struct zram_cache), sizeof(*cache));
	if (!cache) {
		errno = ENOMEM;
		return NULL;
	}
	memset(cache, 0, sizeof(*cache));
	err = init_cache(cache, &own);
	if (err) {
		free(cache);
		errno = -err;
		return NULL;
	}
	return cache;
}

/**
 * zram_cache_destroy() - end a cache and its areas, as zram_cache_detach() does.
 * @cache: the cache; NULL is ignored
 *
 * Context: May sleep. No thread uses the cache any more.
 */
void zram_cache_destroy(struct zram_cache *cache)
{
	if (!cache)
		return;
	shrinker_stop(cache);
	caches_remove(cache);
	for (struct zram_area *area = cache->areas, *next; area; area = next) {
		next = area->next;
		forget_records(cache, area);
		end_area(area);
	}
	zram_destroy(cache->owner); /* which waits for the watcher of pressure */
	free(cache->buffer);
	free(cache);
}

/**
 * zram_cache_get_stat() - tell what a cache holds and what happened to it.
 * @cache: the cache; NULL gives zeros
 * @stat: filled in; NULL is ignored
 *
 * Context: Any thread. Counts may lag behind threads that are at work.
 */
void zram_cache_get_stat(struct zram_cache *cache, struct zram_cache_stat *stat)
{
	uint64_t count[CACHE_COUNTERS];

	if (!stat)
		return;
	memset(stat, 0, sizeof(*stat));
	if (!cache)
		return;
	for (unsigned int i = 0; i < CACHE_COUNTERS; i++)
		count[i] = atomic_load_explicit(&cache->count[i], memory_order_relaxed);
	*stat = (struct zram_cache_stat){
		.limit = cache->limit_pages * cache->page_size,
		.accept = cache->accept_pages * cache->page_size,
		.mem_used = zs_get_total_pages(cache->owner->pool) * cache->page_size,
		.pages = count[CACHE_PAGES],
		.same_pages = count[CACHE_SAME],
		.slower_pages = count[CACHE_SLOWER],
		.hits = count[CACHE_HITS],
		.misses = count[CACHE_MISSES],
		.written_back = count[CACHE_WRITTEN_BACK],
		.rejected_huge = count[CACHE_REJECTED_HUGE],
		.rejected_limit = count[CACHE_REJECTED_LIMIT],
		.limit_hits = count[CACHE_LIMIT_HITS],
		.failed_reads = count[CACHE_FAILED_READS],
		.failed_writes = count[CACHE_FAILED_WRITES],
		.failed_frees = count[CACHE_FAILED_FREES],
	};
}
