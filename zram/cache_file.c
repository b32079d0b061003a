/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The slower store that is ready made: a file or block device. Page i of the area is its block i.
 */
#include "cache.h"

static int file_write(void *arg, uint64_t index, const void *page)
{
	struct backing *file = arg;

	return file->is_parents ? -EROFS : backing_write_any(file, index, page);
}

static int file_read(void *arg, uint64_t index, void *page)
{
	return backing_read_any(arg, index, page);
}

/**
 * zram_cache_attach_file() - have a cache keep pages before a file or block device.
 * @cache: the cache
 * @path: an existing file, whose size says how many pages there are, or a block device
 *
 * What is there is overwritten as pages leave memory: page i goes to its i-th page. The area keeps
 * it for itself until its end. Writes bypass the page cache where that is possible.
 *
 * In a child of fork() nothing is written there, and a write to it fails with -EROFS. What the
 * parent has replaced since reads as -EIO.
 *
 * Context: Any thread. May sleep.
 * Return: the area, all of its pages empty; or NULL and errno. EINVAL: @cache or @path is NULL.
 * ENOTBLK: @path is neither a file nor a block device. EBUSY: another store or area has it, or it
 * is mounted. ENOSPC: it has no room for a page. ENOMEM: there is no memory. Else what open() says.
 */
struct zram_area *zram_cache_attach_file(struct zram_cache *cache, const char *path)
{
	const struct zram_slower slower = { .write = file_write, .read = file_read };
	struct backing file = { 0 };
	struct zram_area *area;
	int err;

	if (!cache || !path) {
		errno = EINVAL;
		return NULL;
	}
	err = backing_open(&file, path, cache->page_size);
	if (err) {
		errno = -err;
		return NULL;
	}
	area = area_create(cache, file.nr_blocks, &slower, &file);
	if (!area) {
		backing_close(&file);
		errno = ENOMEM;
	}
	return area;
}
