/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The compressed page store: what zram does with zsmalloc.
 *
 * A store is a table of slots, one for each page, and a zsmalloc pool with the objects that the
 * slots name. A writer compresses a page into an object of its own, and swaps that into the slot.
 * All that can fail comes before the swap.
 *
 * Concurrency
 *
 * - The slot's lock (slot.h) guards what a slot says, and keeps the slot's object alive. A reader
 *   copies the object, and decompresses it after unlocking. The thread that took an object out of
 *   the slot frees it, after unlocking.
 * - A stream's mutex (stream.h) comes before a slot's lock: a reader or writer takes its stream
 *   first. Under a slot's lock it calls only reads and writes of the pool, which take a lock for a
 *   moment at most. No two streams and no two slots are ever held at once.
 * - The counts are per thread (counters.h); max_used_pages, which only writers touch, is an atomic
 *   in a cache line of its own. An exit calls zram_slot_free_notify() for each of its pages. That
 *   writes nothing that another thread writes, except in the pool.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stores.h"
#include "zsmalloc.h"

/* Handles that zram_discard() takes out of slots before it frees them together. */
#define DISCARD_BATCH 128

static bool index_is_valid(const struct zram *zram, uint64_t index)
{
	return zram && index < zram->nr_slots;
}

/*
 * Creation.
 */

#define OPTIONS_MOST 4096 /* bytes; more is a size that was never set */

/* Options of the size that the caller knows, as this library knows them. */
static bool read_options(const struct zram_options *options, struct zram_options *own)
{
	const unsigned char *bytes = (const unsigned char *)options;

	memset(own, 0, sizeof(*own));
	if (!options || options->size < sizeof(options->size) || options->size > OPTIONS_MOST)
		return false;
	/* Set by a program of a later version, for something that this one cannot do. */
	for (size_t i = sizeof(*own); i < options->size; i++) {
		if (bytes[i] != 0)
			return false;
	}
	memcpy(own, options, options->size < sizeof(*own) ? options->size : sizeof(*own));
	return own->disksize != 0 && own->free_policy <= ZRAM_FREE_NOW;
}

/* Returns the whole pages that @bytes bytes take. */
static uint64_t pages_for(const struct zram *zram, uint64_t bytes)
{
	return bytes / zram->page_size + (bytes % zram->page_size != 0);
}

/* Empty slots; memory comes as they are written. */
static struct slot *create_slots(uint64_t count)
{
	void *slots;

	if (count > SIZE_MAX / sizeof(struct slot))
		return NULL;
	slots = mmap(NULL, count * sizeof(struct slot), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return slots == MAP_FAILED ? NULL : slots;
}

static struct zs_pool *create_pool(const struct zram_options *options)
{
	static _Atomic unsigned int stores;
	const struct zs_pool_options pool_options = {
		.size = sizeof(pool_options),
		.deferred_budget = options->deferred_budget,
		.deferred_delay_ms = options->deferred_delay_ms,
	};
	char name[16];

	snprintf(name, sizeof(name), "zram%u", atomic_fetch_add(&stores, 1));
	return zs_create_pool_with(name, &pool_options);
}

/* Fill in a zeroed store. Returns 0 or a negative errno, with nothing left behind. */
static int init_store(struct zram *zram, const struct zram_options *options,
		      const struct codec *codec, int level)
{
	int err;

	zram->page_size = (size_t)sysconf(_SC_PAGESIZE);
	zram->nr_slots = pages_for(zram, options->disksize);
	zram->limit_pages = pages_for(zram, options->mem_limit);
	zram->free_policy = options->free_policy;

	err = streams_create(&zram->streams, codec, level, zram->page_size);
	if (err)
		return err;
	zram->slots = create_slots(zram->nr_slots);
	if (!zram->slots) {
		err = -ENOMEM;
		goto destroy_streams;
	}
	zram->pool = create_pool(options);
	if (!zram->pool) {
		err = -errno;
		goto unmap_slots;
	}
	zram->max_compressed = zs_huge_class_size(zram->pool) - 1;
	err = stores_add(zram);
	if (!err)
		return 0;
	zs_destroy_pool(zram->pool);
unmap_slots:
	munmap(zram->slots, zram->nr_slots * sizeof(struct slot));
destroy_streams:
	streams_destroy(&zram->streams);
	return err;
}

/**
 * zram_create() - make a store, all of its pages empty.
 * @options: how; see struct zram_options
 *
 * The store's table takes 16 bytes of memory for a page, from when the page, or one of its 255
 * neighbours, is first written. The contexts that the algorithm works in are allocated now, one for
 * each CPU.
 *
 * Context: Any thread. May sleep.
 * Return: the store, or NULL and errno. EINVAL: @options is NULL or holds a value that is not
 * possible. That is no disksize, an algorithm that this library was not built with, a level that
 * the algorithm does not have. It is also an unknown free policy, and a field that this version
 * does not know. ENOMEM: there is no memory.
 */
struct zram *zram_create(const struct zram_options *options)
{
	struct zram_options own;
	const struct codec *codec;
	struct zram *zram;
	int level;
	int err;

	if (!read_options(options, &own) || !(codec = codec_find(own.algorithm))) {
		errno = EINVAL;
		return NULL;
	}
	level = own.level ? own.level : codec->default_level;
	if (level < codec->min_level || level > codec->max_level) {
		errno = EINVAL;
		return NULL;
	}

	zram = aligned_alloc(_Alignof(struct zram), sizeof(*zram));
	if (!zram) {
		errno = ENOMEM;
		return NULL;
	}
	memset(zram, 0, sizeof(*zram));
	err = init_store(zram, &own, codec, level);
	if (err) {
		free(zram);
		errno = -err;
		return NULL;
	}
	return zram;
}

/**
 * zram_destroy() - end a store, its pages and its pool.
 * @zram: the store; NULL is ignored
 *
 * Context: May sleep. No thread uses the store any more, nor its pool.
 */
void zram_destroy(struct zram *zram)
{
	if (!zram)
		return;
	stores_remove(zram);
	zs_destroy_pool(zram->pool);
	munmap(zram->slots, zram->nr_slots * sizeof(struct slot));
	streams_destroy(&zram->streams);
	free(zram);
}

/*
 * Counting.
 */

/*
 * Count a page in (@sign 1) or out (@sign -1). Inlined, as is take_entry(): they are the exit path,
 * and an entry handed over in memory would take a quarter of its time.
 */
static inline __attribute__((always_inline)) void count_entry(struct zram *zram,
							      const struct entry *entry, int sign)
{
	size_t size = entry_size(entry);

	counters_add(&zram->counters, PAGES_STORED, (uint64_t)sign);
	if (entry->state & SLOT_SAME) {
		counters_add(&zram->counters, SAME_PAGES, (uint64_t)sign);
		return;
	}
	counters_add(&zram->counters, COMPR_DATA_SIZE, (uint64_t)sign * size);
	if (size == zram->page_size)
		counters_add(&zram->counters, HUGE_PAGES, (uint64_t)sign);
}

static void update_used_max(struct zram *zram, uint64_t used)
{
	uint64_t max = atomic_load_explicit(&zram->max_used_pages, memory_order_relaxed);

	while (used > max &&
	       !atomic_compare_exchange_weak_explicit(&zram->max_used_pages, &max, used,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/*
 * Pages and what is kept of them.
 */

/* Whether the page repeats one word, which goes to @word. */
static bool page_is_same_filled(const void *page, size_t page_size, unsigned long *word)
{
	memcpy(word, page, sizeof(*word));
	/* Each word equals the next one. */
	return memcmp(page, (const char *)page + sizeof(*word), page_size - sizeof(*word)) == 0;
}

static void fill_page(char *page, size_t page_size, unsigned long word)
{
	for (size_t i = 0; i < page_size; i += sizeof(word))
		memcpy(page + i, &word, sizeof(word));
}

/* Put @entry into a slot; what was there goes. */
static void replace_entry(struct zram *zram, struct slot *slot, const struct entry *entry)
{
	struct entry old;

	count_entry(zram, entry, 1);
	old = slot_replace(slot, entry);
	if (old.state)
		count_entry(zram, &old, -1);
	if (entry_size(&old))
		zs_free(zram->pool, old.word);
}

static bool over_limit(struct zram *zram)
{
	uint64_t used = zs_get_total_pages(zram->pool);

	update_used_max(zram, used);
	return zram->limit_pages && used > zram->limit_pages;
}

/*
 * Memory for an object, within the limit. The limit is checked with the new object in place, so
 * that writers that allocate at the same time cannot exceed it together. Objects that wait in the
 * deferred queue are no reason to fail a write.
 */
static unsigned long allocate(struct zram *zram, size_t size)
{
	unsigned long handle = zs_malloc(zram->pool, size, GFP_KERNEL, NUMA_NO_NODE);

	if (zs_is_err(handle) || !over_limit(zram))
		return handle;
	zs_free_deferred_flush(zram->pool);
	if (!over_limit(zram))
		return handle;
	zs_free(zram->pool, handle);
	return (unsigned long)-ENOMEM;
}

static unsigned int entry_class(const struct zram *zram, const struct entry *entry)
{
	return zs_lookup_class_index(zram->pool, (unsigned int)entry_size(entry));
}

/*
 * Write over the object that is in a slot, if it is of the same size class and still there. @entry
 * says what becomes of it, all but the handle; it is in the slot when this returns true, and *@old
 * is what was there.
 */
static bool rewrite_object(struct zram *zram, struct slot *slot, void *object, struct entry *entry,
			   struct entry *old)
{
	size_t size = entry_size(entry);
	void *there = NULL;

	if (slot_is_empty(slot))
		return false;
	slot_lock(slot);
	*old = slot_get(slot);
	entry->word = old->word;
	if (entry_size(old) && entry_class(zram, old) == entry_class(zram, entry))
		there = zs_obj_read_begin(zram->pool, entry->word, size, NULL);
	if (there) {
		zs_obj_write(zram->pool, entry->word, object, size);
		zs_obj_read_end(zram->pool, entry->word, size, there);
	}
	if (there)
		slot_set(slot, entry);
	slot_unlock(slot);
	return there != NULL;
}

/* Put an object into a slot, in place of what is there. Returns 0 or a negative errno. */
static int replace_object(struct zram *zram, struct slot *slot, void *object, struct entry *entry)
{
	struct entry old;

	if (rewrite_object(zram, slot, object, entry, &old)) {
		count_entry(zram, entry, 1);
		count_entry(zram, &old, -1);
		return 0;
	}
	entry->word = allocate(zram, entry_size(entry));
	if (zs_is_err(entry->word))
		return zs_err(entry->word);
	zs_obj_write(zram->pool, entry->word, object, entry_size(entry));
	replace_entry(zram, slot, entry);
	return 0;
}

/* Make an object of the page, in its slot. Returns 0 or a negative errno. */
static int store_object(struct zram *zram, struct slot *slot, const void *page)
{
	struct stream *stream = stream_get(&zram->streams);
	struct entry entry;
	ssize_t size;
	int err;

	size = zram->streams.codec->compress(stream->context, page, zram->page_size, stream->buffer,
					     zram->max_compressed);
	if (size < 0) {
		err = (int)size;
		goto put_stream;
	}
	if (size == 0) {
		/* Copied, so that what is checked is what is stored, even if the page changes. */
		size = (ssize_t)zram->page_size;
		memcpy(stream->buffer, page, zram->page_size);
	}

	entry = (struct entry){
		.check = entry_checksum(stream->buffer, (size_t)size),
		.state = (uint32_t)size << SLOT_SIZE_SHIFT,
	};
	err = replace_object(zram, slot, stream->buffer, &entry);
	if (!err && (size_t)size == zram->page_size)
		counters_add(&zram->counters, HUGE_PAGES_SINCE, 1);

put_stream:
	stream_put(stream);
	return err;
}

/* Copies the object of a locked slot to the stream. Returns 0 or -EIO. */
static int copy_object(struct zram *zram, struct stream *stream, const struct entry *entry)
{
	size_t size = entry_size(entry);
	void *object;

	if (size > zram->page_size)
		return -EIO;
	object = zs_obj_read_begin(zram->pool, entry->word, size, stream->buffer);
	if (!object)
		return -EIO;
	memcpy(stream->buffer, object, size);
	zs_obj_read_end(zram->pool, entry->word, size, object);
	return 0;
}

/* Makes a page of the object in the stream. Returns 0 or -EIO. */
static int load_page(struct zram *zram, struct stream *stream, const struct entry *entry,
		     void *page)
{
	size_t size = entry_size(entry);

	if (entry_checksum(stream->buffer, size) != entry->check)
		return -EIO;
	if (size < zram->page_size)
		return zram->streams.codec->decompress(stream->context, stream->buffer, size, page,
						       zram->page_size);
	memcpy(page, stream->buffer, size);
	return 0;
}

/*
 * The calls.
 */

/**
 * zram_write_page() - store a page.
 * @zram: the store
 * @index: the page's index, from 0
 * @page: its bytes, a whole page of them; of any alignment
 *
 * All or nothing: a call that fails leaves the old page as it was, and what was counted.
 *
 * An object of the same size class is written over. Else the call frees the one that it replaces,
 * whatever the free policy: the next write may need the memory.
 *
 * Context: Any thread. May sleep.
 * Return: 0. -EINVAL: @zram or @page is NULL, or @index is out of range. -ENOMEM: there is no
 * memory, or none within the store's limit.
 */
int zram_write_page(struct zram *zram, uint64_t index, const void *page)
{
	struct entry entry = { .state = SLOT_SAME };

	if (!index_is_valid(zram, index) || !page)
		return -EINVAL;

	if (!page_is_same_filled(page, zram->page_size, &entry.word))
		return store_object(zram, &zram->slots[index], page);
	replace_entry(zram, &zram->slots[index], &entry);
	return 0;
}

/**
 * zram_read_page() - read a page.
 * @zram: the store
 * @index: the page's index, from 0
 * @page: where it goes, a whole page; of any alignment
 *
 * An empty page reads as zeros. If the call fails with -EIO, @page holds anything.
 *
 * Context: Any thread. May sleep.
 * Return: 0; -EINVAL if @zram or @page is NULL or @index out of range; -EIO if what is stored was
 * damaged.
 */
int zram_read_page(struct zram *zram, uint64_t index, void *page)
{
	struct stream *stream;
	struct entry entry;
	struct slot *slot;
	int err = 0;

	if (!index_is_valid(zram, index) || !page)
		return -EINVAL;

	slot = &zram->slots[index];
	if (slot_is_empty(slot)) {
		memset(page, 0, zram->page_size);
		return 0;
	}
	stream = stream_get(&zram->streams);
	slot_lock(slot);
	entry = slot_get(slot);
	if (entry_size(&entry))
		err = copy_object(zram, stream, &entry);
	slot_unlock(slot);
	if (!entry_size(&entry)) /* an empty slot is one of zeros */
		fill_page(page, zram->page_size, entry.word);
	else if (!err)
		err = load_page(zram, stream, &entry, page);
	stream_put(stream);
	return err;
}

/* Empty a slot. Returns what was there, counted out. */
static inline __attribute__((always_inline)) struct entry take_entry(struct zram *zram,
								     uint64_t index)
{
	const struct entry empty = { 0 };
	struct entry old = empty;

	if (!slot_is_empty(&zram->slots[index]))
		old = slot_replace(&zram->slots[index], &empty);
	if (old.state)
		count_entry(zram, &old, -1);
	return old;
}

/**
 * zram_slot_free_notify() - forget a page, as a process's exit does.
 * @zram: the store
 * @index: the page's index, from 0
 *
 * The page reads as zeros from now on. Its object is freed by the store's free policy. By default
 * that is zs_free_deferred(): the memory is back at the latest when zs_free_deferred_flush() of the
 * store's pool returns.
 *
 * Context: Any thread. Under %ZRAM_FREE_DEFERRED it neither allocates nor waits, except for another
 * thread that reads or writes the same page at this moment.
 * Return: 0, also for a page that was empty; -EINVAL if @zram is NULL or @index out of range.
 */
int zram_slot_free_notify(struct zram *zram, uint64_t index)
{
	struct entry old;

	if (!index_is_valid(zram, index))
		return -EINVAL;

	old = take_entry(zram, index);
	if (!entry_size(&old))
		return 0;
	if (zram->free_policy == ZRAM_FREE_NOW)
		zs_free(zram->pool, old.word);
	else
		zs_free_deferred(zram->pool, old.word);
	return 0;
}

/**
 * zram_discard() - forget a range of pages.
 * @zram: the store
 * @index: the first page's index, from 0
 * @count: how many pages; 0 does nothing
 *
 * The pages read as zeros from now on. As in the kernel's zram, a discard frees before it returns,
 * whatever the free policy: its caller asks for the memory back. The range is not emptied at one
 * instant: another thread may see some of its pages gone and others not.
 *
 * Context: Any thread. May sleep.
 * Return: 0; -EINVAL if @zram is NULL or a part of the range does not exist, and nothing is
 * forgotten then.
 */
int zram_discard(struct zram *zram, uint64_t index, uint64_t count)
{
	unsigned long handles[DISCARD_BATCH];
	size_t nr_handles = 0;

	if (!zram || index > zram->nr_slots || count > zram->nr_slots - index)
		return -EINVAL;

	for (uint64_t i = index; i < index + count; i++) {
		struct entry old = take_entry(zram, i);

		if (!entry_size(&old))
			continue;
		handles[nr_handles++] = old.word;
		if (nr_handles == DISCARD_BATCH) {
			zs_free_bulk(zram->pool, handles, nr_handles);
			nr_handles = 0;
		}
	}
	zs_free_bulk(zram->pool, handles, nr_handles);
	return 0;
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

	stat->orig_data_size = counters_sum(&zram->counters, PAGES_STORED) * zram->page_size;
	stat->compr_data_size = counters_sum(&zram->counters, COMPR_DATA_SIZE);
	stat->mem_used_total = used * zram->page_size;
	stat->mem_limit = zram->limit_pages * zram->page_size;
	stat->mem_used_max = atomic_load(&zram->max_used_pages) * zram->page_size;
	stat->same_pages = counters_sum(&zram->counters, SAME_PAGES);
	stat->pages_compacted = pool_stats.pages_compacted;
	stat->huge_pages = counters_sum(&zram->counters, HUGE_PAGES);
	stat->huge_pages_since = counters_sum(&zram->counters, HUGE_PAGES_SINCE);
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
