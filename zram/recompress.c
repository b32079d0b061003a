/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Recompression: a slower compressor makes pages smaller that are worth it.
 *
 *   object of compressor 0 ── 1 ── smaller by a size class? ── it takes the object's place
 *                             2 ── ...
 *                             3 ── no, and it was the last: the page is futile, and left alone
 *
 * An object within its size class saves no memory, so it stays. The new object exists before the
 * old one goes: a recompression that fails costs nothing. It may exceed the limit by the zspage
 * that the new object begins, as a store at its limit is what recompression shall help.
 */
#include <stdlib.h>

#include "walk.h"
#include "zsmalloc.h"

/* A recompression under way. */
struct recompression {
	struct zram *zram;
	unsigned int from; /* the compressors that it tries */
	unsigned int to;
	void *page; /* where one is decompressed */
	int64_t done;
};

/*
 * Compresses the page until the object is of a lower size class. Returns the number of the
 * compressor, with the object in the stream, and @entry but for the handle; 0 if none does.
 */
static unsigned int make_smaller(const struct recompression *work, struct stream *stream,
				 const struct entry *old, struct entry *entry)
{
	struct zram *zram = work->zram;
	unsigned int class = entry_class(zram, old);
	unsigned int number = entry_compressor(old) + 1;

	for (number = number > work->from ? number : work->from; number <= work->to; number++) {
		ssize_t size = zram->streams.compressor[number].codec->compress(
			stream->context[number], work->page, zram->page_size, stream->buffer,
			zram->max_compressed);

		if (size <= 0)
			continue;
		*entry = (struct entry){
			.check = entry_checksum(stream->buffer, (size_t)size),
			.state = (uint32_t)size << SLOT_SIZE_SHIFT | number << SLOT_HOW_SHIFT |
				 (old->state & (SLOT_IDLE | SLOT_STAMP)),
		};
		if (entry_class(zram, entry) < class)
			return number;
	}
	return 0;
}

/* Recompresses a page that is copied and watched. Returns 0 or -ENOMEM. */
static int recompress_copy(struct recompression *work, uint64_t index, struct stream *stream,
			   struct entry *old)
{
	struct zram *zram = work->zram;
	struct entry entry;

	/* A damaged page stays: the call that reads it tells. */
	if (load_page(zram, stream, old, work->page) != 0) {
		walk_leave(zram, index, old);
		return 0;
	}
	if (!make_smaller(work, stream, old, &entry)) {
		if (work->to == zram->streams.nr_compressors - 1)
			old->state |= SLOT_FUTILE;
		walk_leave(zram, index, old);
		return 0;
	}
	entry.word = zs_malloc(zram->pool, entry_size(&entry), GFP_KERNEL, NUMA_NO_NODE);
	if (zs_is_err(entry.word)) {
		walk_leave(zram, index, old);
		return zs_err(entry.word);
	}
	zs_obj_write(zram->pool, entry.word, stream->buffer, entry_size(&entry));
	if (walk_replace(zram, index, old, &entry))
		work->done++;
	else
		zs_free(zram->pool, entry.word);
	return 0;
}

static int recompress_range(struct recompression *work, const struct zram_select *select)
{
	uint64_t left = select->max_pages;
	int err = 0;

	for (uint64_t i = select->first; i < select->first + select->count && left && !err; i++) {
		struct stream *stream;
		struct entry entry;

		if (slot_is_empty(&work->zram->slots[i]))
			continue;
		stream = stream_get(&work->zram->streams);
		if (walk_copy(work->zram, i, select, stream, &entry) == 1) {
			if (entry.state & SLOT_FUTILE || entry_compressor(&entry) >= work->to) {
				walk_leave(work->zram, i, &entry);
			} else {
				err = recompress_copy(work, i, stream, &entry);
				left--;
			}
		}
		stream_put(stream);
	}
	return err;
}

/**
 * zram_recompress() - have a secondary compressor make pages smaller.
 * @zram: the store
 * @select: which pages; NULL for all
 * @number: the secondary compressor, from 1; 0 tries each in turn until one helps
 *
 * A page that the last secondary compressor makes no smaller is marked incompressible. It is not
 * tried again until it is written. A page that is used meanwhile stays as it is.
 *
 * The pool may exceed the store's limit meanwhile by a zspage a size class.
 *
 * Context: Any thread. May sleep. Reads and writes go on meanwhile.
 * Return: how many pages are smaller now. -EINVAL: @zram is NULL, the store has no compressor
 * @number, or @select holds a value that is not possible. -EBUSY: another call goes over the
 * store's pages at this moment. -ENOMEM: there is no memory; pages done before stay smaller.
 */
int64_t zram_recompress(struct zram *zram, const struct zram_select *select, unsigned int number)
{
	struct recompression work = { .zram = zram };
	struct zram_select own;
	int err;

	if (!zram || number >= zram->streams.nr_compressors || zram->streams.nr_compressors == 1 ||
	    walk_select(zram, select, &own) != 0 || own.marks & ZRAM_INCOMPRESSIBLE)
		return -EINVAL;
	work.from = number ? number : 1;
	work.to = number ? number : zram->streams.nr_compressors - 1;
	work.page = malloc(zram->page_size);
	if (!work.page)
		return -ENOMEM;
	err = walk_begin(zram);
	if (!err) {
		err = recompress_range(&work, &own);
		walk_end(zram);
	}
	free(work.page);
	return err ? err : work.done;
}
