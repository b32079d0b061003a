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
#include <unistd.h>

#include "stores.h"
#include "zsmalloc.h"

/* Handles that zram_discard() takes out of slots before it frees them together. */
#define DISCARD_BATCH 128

static bool index_is_valid(struct zram *zram, uint64_t index)
{
	if (zram && index < zram->nr_slots)
		return true;
	if (zram)
		atomic_fetch_add_explicit(&zram->invalid_io, 1, memory_order_relaxed);
	return false;
}

/*
 * Creation.
 */

#define SIZE_MOST 4096 /* bytes; more is a size that was never set */

/*
 * Copies a caller's struct, which begins with its size, as this library knows it. Returns false if
 * the size was never set, or a field is set that this version does not know.
 */
bool read_sized(void *own, size_t own_size, const void *given, size_t size)
{
	const unsigned char *bytes = given;

	memset(own, 0, own_size);
	if (size < sizeof(size) || size > SIZE_MOST)
		return false;
	for (size_t i = own_size; i < size; i++) {
		if (bytes[i] != 0)
			return false;
	}
	memcpy(own, given, size < own_size ? size : own_size);
	return true;
}

/* Options of the size that the caller knows, as this library knows them. */
static bool read_options(const struct zram_options *options, struct zram_options *own)
{
	return options && read_sized(own, sizeof(*own), options, options->size) &&
	       own->disksize != 0 && own->free_policy <= ZRAM_FREE_NOW;
}

/* Reads which compressors the options name; the secondary ones up to the first without a name. */
static int read_compressors(struct streams *streams, const struct zram_options *options)
{
	const struct zram_compressor primary = {
		.algorithm = options->algorithm,
		.level = options->level,
		.dictionary = options->dictionary,
		.dictionary_size = options->dictionary_size,
	};
	int err = compressor_init(&streams->compressor[0], &primary);

	streams->nr_compressors = 1;
	for (unsigned int i = 0; !err && i < ZRAM_SECONDARY_MAX; i++) {
		const struct zram_compressor *secondary = &options->secondary[i];

		if (secondary->algorithm && streams->nr_compressors == i + 1)
			err = compressor_init(&streams->compressor[streams->nr_compressors++],
					      secondary);
		else if (secondary->algorithm || secondary->level || secondary->dictionary ||
			 secondary->dictionary_size)
			err = -EINVAL;
	}
	return err;
}

/* Returns the whole pages that @bytes bytes take. */
static uint64_t pages_for(const struct zram *zram, uint64_t bytes)
{
	return bytes / zram->page_size + (bytes % zram->page_size != 0);
}

static struct zs_pool *create_pool(const struct zram *zram, const struct zram_options *options,
				   const struct pressure_call *pressure)
{
	static _Atomic unsigned int stores;
	const struct zs_pool_options pool_options = {
		.size = sizeof(pool_options),
		.deferred_budget = options->deferred_budget,
		.deferred_delay_ms = options->deferred_delay_ms,
		.pressure = pressure != NULL,
		.on_pressure = pressure ? pressure->call : NULL,
		.on_pressure_arg = pressure ? pressure->arg : NULL,
		.count_store = count_store,
		.store = zram,
	};
	char name[16];

	snprintf(name, sizeof(name), "zram%u", atomic_fetch_add(&stores, 1));
	return zs_create_pool_with(name, &pool_options);
}

/* Fill in a zeroed store. Returns 0 or a negative errno, with nothing left behind. */
static int init_store(struct zram *zram, const struct zram_options *options,
		      const struct pressure_call *pressure)
{
	int err;

	zram->page_size = (size_t)sysconf(_SC_PAGESIZE);
	zram->nr_slots = pages_for(zram, options->disksize);
	zram->limit_pages = pages_for(zram, options->mem_limit);
	zram->free_policy = options->free_policy;

	err = read_compressors(&zram->streams, options);
	if (!err)
		err = streams_create(&zram->streams, zram->page_size);
	if (err)
		return err;
	zram->slots = slots_create(zram->nr_slots, sizeof(struct slot));
	if (!zram->slots) {
		err = -ENOMEM;
		goto destroy_streams;
	}
	zram->pool = create_pool(zram, options, pressure);
	if (!zram->pool) {
		err = -errno;
		goto destroy_slots;
	}
	zram->backing.limit = ZRAM_NO_LIMIT;
	zram->max_compressed = zs_huge_class_size(zram->pool) - 1;
	err = stores_add(zram);
	if (!err)
		return 0;
	zs_destroy_pool(zram->pool);
destroy_slots:
	slots_destroy(zram->slots, zram->nr_slots, sizeof(struct slot));
destroy_streams:
	streams_destroy(&zram->streams);
	return err;
}

static struct zram *alloc_store(void)
{
	struct zram *zram = aligned_alloc(_Alignof(struct zram), sizeof(*zram));

	if (zram)
		memset(zram, 0, sizeof(*zram));
	return zram;
}

/* As zram_create(), and calls @pressure, if not NULL, under memory pressure. */
struct zram *store_create(const struct zram_options *options, const struct pressure_call *pressure)
{
	struct zram_options own;
	struct zram *zram;
	int err;

	if (!read_options(options, &own)) {
		errno = EINVAL;
		return NULL;
	}

	zram = alloc_store();
	if (!zram) {
		errno = ENOMEM;
		return NULL;
	}
	err = init_store(zram, &own, pressure);
	if (err) {
		free(zram);
		errno = -err;
		return NULL;
	}
	return zram;
}

/**
 * zram_create() - make a store, all of its pages empty.
 * @options: how; see struct zram_options
 *
 * The store's table takes 16 bytes of memory for a page, from when the page, or one of its 255
 * neighbours, is first written. The contexts that the algorithms work in are allocated now, one of
 * each for each CPU. A dictionary may go when the call returns.
 *
 * Context: Any thread. May sleep.
 * Return: the store, or NULL and errno. EINVAL: @options is NULL or holds a value that is not
 * possible. That is no disksize, an algorithm that this library was not built with, or a level that
 * the algorithm does not have. It is also a dictionary for one that takes none, an unknown free
 * policy, and a field that this version does not know. ENOMEM: there is no memory.
 */
struct zram *zram_create(const struct zram_options *options)
{
	return store_create(options, NULL);
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
	slots_destroy(zram->slots, zram->nr_slots, sizeof(struct slot));
	streams_destroy(&zram->streams);
	backing_close(&zram->backing);
	free(zram);
}

/*
 * Makes a store of @pages empty pages on the pool and the streams of another one, which outlives
 * it. Both share the limit. A write of a page that does not compress returns -E2BIG. Returns NULL
 * without memory.
 */
struct zram *store_create_on(const struct zram *owner, uint64_t pages)
{
	struct zram *zram = alloc_store();

	if (!zram)
		return NULL;
	zram->slots = slots_create(pages, sizeof(struct slot));
	if (!zram->slots) {
		free(zram);
		return NULL;
	}
	zram->nr_slots = pages;
	zram->pool = owner->pool;
	zram->page_size = owner->page_size;
	zram->max_compressed = owner->max_compressed;
	zram->limit_pages = owner->limit_pages;
	zram->streams = owner->streams;
	zram->refuses_huge = true;
	return zram;
}

/* Ends such a store, and frees its pages. */
void store_destroy_on(struct zram *zram)
{
	zram_discard(zram, 0, zram->nr_slots);
	slots_destroy(zram->slots, zram->nr_slots, sizeof(struct slot));
	free(zram);
}

/*
 * Counting.
 */

/* Notes that the pool holds @used pages. */
void update_used_max(struct zram *zram, uint64_t used)
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
bool page_is_same_filled(const void *page, size_t page_size, unsigned long *word)
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
	else if (entry_is_backed(&old))
		backing_free(&zram->backing, old.word);
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

/* Returns the size class of the entry's object. */
unsigned int entry_class(const struct zram *zram, const struct entry *entry)
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
		slot_set(slot, entry);
	}
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
	const struct codec *codec = zram->streams.compressor[0].codec;
	struct entry entry;
	ssize_t size;
	int err;

	size = codec->compress(stream->context[0], page, zram->page_size, stream->buffer,
			       zram->max_compressed);
	if (size < 0) {
		err = (int)size;
		goto put_stream;
	}
	if (size == 0 && zram->refuses_huge) {
		err = -E2BIG;
		goto put_stream;
	}
	if (size == 0) {
		/* Copied, so that what is checked is what is stored, even if the page changes. */
		size = (ssize_t)zram->page_size;
		memcpy(stream->buffer, page, zram->page_size);
	}

	entry = (struct entry){
		.check = entry_checksum(stream->buffer, (size_t)size),
		.state = (uint32_t)size << SLOT_SIZE_SHIFT | slot_stamp(),
	};
	err = replace_object(zram, slot, stream->buffer, &entry);
	if (!err && (size_t)size == zram->page_size)
		counters_add(&zram->counters, HUGE_PAGES_SINCE, 1);

put_stream:
	stream_put(stream);
	return err;
}

/* Copies the object of a locked slot to the stream. Returns 0 or -EIO. */
int copy_object(struct zram *zram, struct stream *stream, const struct entry *entry)
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
int load_page(struct zram *zram, struct stream *stream, const struct entry *entry, void *page)
{
	unsigned int number = entry_compressor(entry);
	size_t size = entry_size(entry);

	if (entry_checksum(stream->buffer, size) != entry->check ||
	    number >= zram->streams.nr_compressors)
		return -EIO;
	if (size < zram->page_size)
		return zram->streams.compressor[number].codec->decompress(
			stream->context[number], stream->buffer, size, page, zram->page_size);
	memcpy(page, stream->buffer, size);
	return 0;
}

/* Reads a slot's page. Returns 0, a negative errno, or 1 if the slot has changed meanwhile. */
static int read_slot(struct zram *zram, struct slot *slot, void *page)
{
	struct stream *stream;
	struct entry entry;
	int err = 0;

	if (slot_is_empty(slot)) {
		memset(page, 0, zram->page_size);
		return 0;
	}
	stream = stream_get(&zram->streams);
	slot_lock(slot);
	entry = slot_get(slot);
	if (entry_size(&entry)) {
		err = copy_object(zram, stream, &entry);
		slot_touch(slot, &entry);
	}
	slot_unlock(slot);
	if (entry_size(&entry) && !err)
		err = load_page(zram, stream, &entry, page);
	stream_put(stream);
	/* A device may take its time: no thread waits for the stream meanwhile. */
	if (entry_is_backed(&entry))
		return read_backed(zram, slot, &entry, page);
	if (!entry_size(&entry)) /* an empty slot is one of zeros */
		fill_page(page, zram->page_size, entry.word);
	return err;
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
	int err;

	if (!index_is_valid(zram, index) || !page)
		return -EINVAL;

	if (page_is_same_filled(page, zram->page_size, &entry.word)) {
		replace_entry(zram, &zram->slots[index], &entry);
		return 0;
	}
	err = store_object(zram, &zram->slots[index], page);
	if (err)
		atomic_fetch_add_explicit(&zram->failed_writes, 1, memory_order_relaxed);
	return err;
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
 * damaged. A page that was written back may give what the device said. If @page is not aligned to
 * a page, it may give -ENOMEM.
 */
int zram_read_page(struct zram *zram, uint64_t index, void *page)
{
	int err;

	if (!index_is_valid(zram, index) || !page)
		return -EINVAL;

	do {
		err = read_slot(zram, &zram->slots[index], page);
	} while (err == 1);
	if (err)
		atomic_fetch_add_explicit(&zram->failed_reads, 1, memory_order_relaxed);
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

	counters_add(&zram->counters, NOTIFY_FREES, 1);
	old = take_entry(zram, index);
	if (!entry_size(&old)) {
		if (entry_is_backed(&old))
			backing_free(&zram->backing, old.word);
		return 0;
	}
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

	if (!zram || index > zram->nr_slots || count > zram->nr_slots - index) {
		if (zram)
			atomic_fetch_add_explicit(&zram->invalid_io, 1, memory_order_relaxed);
		return -EINVAL;
	}

	for (uint64_t i = index; i < index + count; i++) {
		struct entry old = take_entry(zram, i);

		if (entry_is_backed(&old))
			backing_free(&zram->backing, old.word);
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
 * zram_next_data() - find a page that may have something in it.
 * @zram: the store
 * @index: the index to begin with
 * @end: the index to end before, at most the number of pages
 *
 * Pages between @index and the result read as zeros: they are empty, or were written as such. What
 * other threads do meanwhile may be in the answer or not.
 *
 * Context: Any thread. Waits for nothing but another thread that uses the page at this moment.
 * Return: the least such index; @end if there is none before it.
 */
uint64_t zram_next_data(struct zram *zram, uint64_t index, uint64_t end)
{
	if (!zram)
		return end;
	for (uint64_t i = index; i < end && i < zram->nr_slots; i++) {
		struct slot *slot = &zram->slots[i];
		struct entry entry;

		if (slot_is_empty(slot))
			continue;
		slot_lock(slot);
		entry = slot_get(slot);
		slot_unlock(slot);
		if (entry_size(&entry) || entry_is_backed(&entry) || entry.word)
			return i;
	}
	return end;
}
