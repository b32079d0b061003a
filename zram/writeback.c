/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Write-back: pages leave memory for a file or block device, and are read from there.
 *
 *   slots    ── walk_copy(), decompress ──> batch of up to 64 pages
 *   batch    ── one write a run of free blocks ──> device
 *   written  ── walk_replace() ──> the slot names the block, and the object goes
 *
 * The object goes only when the device has the page. So a write that fails, a device that is full,
 * and a process that ends in the middle lose no page that is in memory. A page that is used
 * meanwhile stays, and its block is free again.
 */
#include <stdlib.h>
#include <string.h>

#include "walk.h"
#include "zsmalloc.h"

#define BATCH_PAGES 64

struct batch {
	struct zram *zram;
	char *pages; /* aligned, as direct I/O wants them */
	unsigned int count;
	uint64_t index[BATCH_PAGES];
	struct entry entry[BATCH_PAGES]; /* what the slots said */
	int64_t done; /* pages that are on the device now */
};

static char *batch_page(const struct batch *batch, uint64_t i)
{
	return batch->pages + i * batch->zram->page_size;
}

/* Has the slot name the block that its page was written to. */
static void settle(struct batch *batch, uint64_t i, uint64_t block)
{
	struct zram *zram = batch->zram;
	struct entry entry = {
		.word = block,
		.check = entry_checksum(batch_page(batch, i), zram->page_size),
		.state = SLOT_BACKED,
	};

	if (walk_replace(zram, batch->index[i], &batch->entry[i], &entry))
		batch->done++;
	else
		backing_free(&zram->backing, block);
}

/* Takes what was written off the limit, which another thread may set meanwhile. */
static void use_limit(struct backing *backing, uint64_t bytes)
{
	uint64_t limit = atomic_load_explicit(&backing->limit, memory_order_relaxed);

	while (limit != ZRAM_NO_LIMIT &&
	       !atomic_compare_exchange_weak_explicit(&backing->limit, &limit,
						      limit > bytes ? limit - bytes : 0,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/* Writes the pages that are in the batch, which is empty then. Returns 0 or a negative errno. */
static int batch_write(struct batch *batch)
{
	struct backing *backing = &batch->zram->backing;
	uint64_t next = 0;
	int err = 0;

	while (next < batch->count && !err) {
		uint64_t first;
		uint64_t taken = backing_take(backing, batch->count - next, &first);
		uint64_t written = 0;

		if (taken)
			written =
				backing_write(backing, first, batch_page(batch, next), taken, &err);
		else
			err = -ENOSPC;
		use_limit(backing, written * backing->block_size);
		for (uint64_t i = 0; i < written; i++)
			settle(batch, next + i, first + i);
		for (uint64_t i = written; i < taken; i++)
			backing_free(backing, first + i);
		next += written;
	}
	for (; next < batch->count; next++)
		walk_leave(batch->zram, batch->index[next], &batch->entry[next]);
	batch->count = 0;
	return err;
}

/* Puts a page into the batch, if it is selected. Returns 1 if it is there, else 0 or -EDQUOT. */
static int batch_add(struct batch *batch, uint64_t index, const struct zram_select *select)
{
	struct zram *zram = batch->zram;
	struct entry *entry = &batch->entry[batch->count];
	struct stream *stream = stream_get(&zram->streams);
	int result = walk_copy(zram, index, select, stream, entry);

	if (result == 1) {
		uint64_t bytes = (batch->count + 1) * zram->page_size;

		/* A damaged page stays: the call that reads it tells. */
		if (load_page(zram, stream, entry, batch_page(batch, batch->count)) != 0)
			result = 0;
		else if (bytes > atomic_load_explicit(&zram->backing.limit, memory_order_relaxed))
			result = -EDQUOT;
		if (result == 1)
			batch->index[batch->count++] = index;
		else
			walk_leave(zram, index, entry);
	} else {
		result = 0;
	}
	stream_put(stream);
	return result;
}

static int write_range(struct batch *batch, const struct zram_select *select)
{
	uint64_t left = select->max_pages;
	int added = 0, err = 0, last;

	for (uint64_t i = select->first; i < select->first + select->count && left; i++) {
		if (slot_is_empty(&batch->zram->slots[i]))
			continue;
		added = batch_add(batch, i, select);
		if (added < 0)
			break;
		left -= (uint64_t)added;
		if (batch->count == BATCH_PAGES)
			err = batch_write(batch);
		if (err)
			return err;
	}
	last = batch_write(batch);
	if (last)
		return last;
	return added < 0 ? added : 0;
}

/**
 * zram_writeback() - move pages to the file or device that zram_set_backing() named.
 * @zram: the store
 * @select: which pages; NULL for all that take memory
 *
 * The pages leave memory, and zram_read_page() reads them from the device. They stay there until
 * they are written, freed or discarded; then their space is used again.
 *
 * The call ends at the first error. What was written before is on the device; all else is in memory
 * as before, so that the caller can try again. Another try begins with other blocks.
 *
 * Context: Any thread. May sleep. Reads and writes go on meanwhile.
 * Return: how many pages left memory. -EINVAL: @zram is NULL, or @select holds a value that is not
 * possible. -ENODEV: the store has no backing. -EROFS: it is its parent's, before a fork(). -EBUSY:
 * another call goes over the store's pages at this moment. -EDQUOT: the limit is reached. -ENOSPC:
 * the device is full. -ENOMEM: there is no memory. Else what the device said, such as -EIO.
 */
int64_t zram_writeback(struct zram *zram, const struct zram_select *select)
{
	struct batch batch = { .zram = zram };
	struct zram_select own;
	int err;

	if (!zram || walk_select(zram, select, &own) != 0)
		return -EINVAL;
	if (atomic_load_explicit(&zram->backing.nr_blocks, memory_order_acquire) == 0)
		return -ENODEV;
	if (zram->backing.is_parents)
		return -EROFS;
	batch.pages = aligned_alloc(zram->page_size, BATCH_PAGES * zram->page_size);
	if (!batch.pages)
		return -ENOMEM;
	err = walk_begin(zram);
	if (!err) {
		err = write_range(&batch, &own);
		walk_end(zram);
	}
	free(batch.pages);
	return err ? err : batch.done;
}

/**
 * zram_set_backing() - give the store a file or block device for zram_writeback().
 * @zram: the store
 * @path: an existing file, whose size says how much goes there, or a block device
 *
 * What is there is overwritten, and means nothing when the store is gone. The store keeps it for
 * itself until its end. No other store can have it meanwhile.
 *
 * Context: Any thread. May sleep.
 * Return: 0. -EINVAL: @zram or @path is NULL. -EEXIST: the store has a backing. -ENOTBLK: @path is
 * neither a file nor a block device. -EBUSY: another store has it, or it is mounted; or another
 * call goes over the store's pages at this moment. -ENOSPC: it has no room for a page. -ENOMEM:
 * there is no memory. Else what open() says.
 */
int zram_set_backing(struct zram *zram, const char *path)
{
	int err;

	if (!zram || !path)
		return -EINVAL;
	err = walk_begin(zram);
	if (err)
		return err;
	err = zram->backing.nr_blocks ? -EEXIST :
					backing_open(&zram->backing, path, zram->page_size);
	walk_end(zram);
	return err;
}

/**
 * zram_set_writeback_limit() - limit what zram_writeback() writes from now on.
 * @zram: the store; NULL is ignored
 * @bytes: the limit; %ZRAM_NO_LIMIT for none, as at first
 *
 * Each page that is written takes its size off the limit, for flash memory wears by it.
 *
 * Context: Any thread.
 */
void zram_set_writeback_limit(struct zram *zram, uint64_t bytes)
{
	if (zram)
		atomic_store_explicit(&zram->backing.limit, bytes, memory_order_relaxed);
}

/*
 * Reads the page of a slot that said @entry from the device. Returns 0 or a negative errno; 1 if
 * the slot says something else by now, as the block may have been another page's meanwhile.
 */
int read_backed(struct zram *zram, struct slot *slot, const struct entry *entry, void *page)
{
	int err = backing_read_any(&zram->backing, entry->word, page);
	struct entry now;

	slot_lock(slot);
	now = slot_get(slot);
	slot_unlock(slot);
	if (now.word != entry->word || now.check != entry->check || now.state != entry->state)
		return 1;
	if (!err && entry_checksum(page, zram->page_size) != entry->check)
		return -EIO;
	return err;
}
