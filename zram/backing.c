/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Blocks of the backing, and moving pages there and back: see backing.h.
 *
 * Writes bypass the page cache (O_DIRECT), which would keep in memory what shall leave it. Where
 * that is not to be had, they are synchronous: an error must come before the memory's copy goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backing.h"

#define WORD_BITS 64

/* Opens a file or block device that no other store has. Returns its descriptor or an errno. */
static int open_alone(const char *path)
{
	/* O_EXCL refuses a block device that is mounted, and means nothing for a file. */
	const int flags = O_RDWR | O_CLOEXEC | O_EXCL;
	struct stat status;
	int fd = open(path, flags | O_DIRECT);
	int err = 0;

	if (fd < 0 && errno == EINVAL)
		fd = open(path, flags | O_DSYNC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) != 0)
		err = -errno;
	else if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		err = -ENOTBLK;
	else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (err)
		close(fd);
	return err ? err : fd;
}

/* Returns 0 or a negative errno, with nothing left behind. */
int backing_open(struct backing *backing, const char *path, size_t page_size)
{
	uint64_t blocks, words;
	off_t size;
	int fd = open_alone(path);

	if (fd < 0)
		return fd;
	size = lseek(fd, 0, SEEK_END);
	blocks = size > 0 ? (uint64_t)size / page_size : 0;
	if (blocks == 0) {
		close(fd);
		return -ENOSPC;
	}
	words = (blocks + WORD_BITS - 1) / WORD_BITS;
	backing->used = calloc(words, sizeof(*backing->used));
	if (!backing->used) {
		close(fd);
		return -ENOMEM;
	}
	if (blocks % WORD_BITS)
		backing->used[words - 1] = ~0ULL << blocks % WORD_BITS; /* beyond the end */
	backing->fd = fd;
	backing->block_size = page_size;
	atomic_store_explicit(&backing->nr_blocks, blocks, memory_order_release);
	return 0;
}

void backing_close(struct backing *backing)
{
	if (backing->nr_blocks == 0)
		return;
	close(backing->fd);
	free(backing->used);
}

static bool block_is_used(struct backing *backing, uint64_t block)
{
	/* The acquire pairs with backing_free(): no read of the block comes after the write. */
	return atomic_load_explicit(&backing->used[block / WORD_BITS], memory_order_acquire) >>
		       block % WORD_BITS &
	       1;
}

/* Returns the first free block from the cursor on, going round; nr_blocks if there is none. */
static uint64_t find_free(struct backing *backing)
{
	uint64_t block = backing->cursor;

	for (uint64_t seen = 0; seen < backing->nr_blocks;) {
		uint64_t step = 1;

		if (block >= backing->nr_blocks)
			block = 0;
		if (!block_is_used(backing, block))
			return block;
		if (block % WORD_BITS == 0 && backing->used[block / WORD_BITS] == ~0ULL)
			step = backing->nr_blocks - block;
		if (step > WORD_BITS)
			step = WORD_BITS;
		block += step;
		seen += step;
	}
	return backing->nr_blocks;
}

/* Takes a run of up to @most free blocks. Returns how many, from *@first; 0 if all are used. */
uint64_t backing_take(struct backing *backing, uint64_t most, uint64_t *first)
{
	uint64_t block = find_free(backing);
	uint64_t count = 0;

	*first = block;
	while (count < most && block < backing->nr_blocks && !block_is_used(backing, block)) {
		atomic_fetch_or_explicit(&backing->used[block / WORD_BITS],
					 1ULL << block % WORD_BITS, memory_order_relaxed);
		block++;
		count++;
	}
	backing->cursor = block;
	return count;
}

void backing_free(struct backing *backing, uint64_t block)
{
	atomic_fetch_and_explicit(&backing->used[block / WORD_BITS], ~(1ULL << block % WORD_BITS),
				  memory_order_release);
}

/* Reads a block to an aligned page. Returns 0 or a negative errno: -EIO if it is not there. */
int backing_read(struct backing *backing, uint64_t block, void *page)
{
	const off_t offset = (off_t)(block * backing->block_size);
	ssize_t got;

	do {
		got = pread(backing->fd, page, backing->block_size, offset);
	} while (got < 0 && errno == EINTR);
	atomic_fetch_add_explicit(&backing->reads, 1, memory_order_relaxed);
	if (got < 0)
		return -errno;
	return (size_t)got == backing->block_size ? 0 : -EIO;
}

/* Reads a block to a page of any alignment. Returns 0 or a negative errno. */
int backing_read_any(struct backing *backing, uint64_t block, void *page)
{
	void *aligned;
	int err;

	if ((uintptr_t)page % backing->block_size == 0)
		return backing_read(backing, block, page);
	aligned = aligned_alloc(backing->block_size, backing->block_size);
	if (!aligned)
		return -ENOMEM;
	err = backing_read(backing, block, aligned);
	memcpy(page, aligned, backing->block_size);
	free(aligned);
	return err;
}

/*
 * Writes @count aligned pages to blocks side by side. Returns how many were written; if not all,
 * *@err says what the next one hit.
 */
uint64_t backing_write(struct backing *backing, uint64_t first, const void *pages, uint64_t count,
		       int *err)
{
	const size_t size = count * backing->block_size;
	size_t done = 0;

	*err = 0;
	while (done < size) {
		ssize_t written = pwrite(backing->fd, (const char *)pages + done, size - done,
					 (off_t)(first * backing->block_size + done));

		if (written < 0 && errno == EINTR)
			continue;
		if (written < (ssize_t)backing->block_size) {
			*err = written < 0 ? -errno : -EIO;
			break;
		}
		done += (size_t)written / backing->block_size * backing->block_size;
	}
	atomic_fetch_add_explicit(&backing->writes, done / backing->block_size,
				  memory_order_relaxed);
	return done / backing->block_size;
}

/* Writes a page of any alignment to a block. Returns 0 or a negative errno. */
int backing_write_any(struct backing *backing, uint64_t block, const void *page)
{
	void *aligned;
	int err;

	if ((uintptr_t)page % backing->block_size == 0) {
		backing_write(backing, block, page, 1, &err);
		return err;
	}
	aligned = aligned_alloc(backing->block_size, backing->block_size);
	if (!aligned)
		return -ENOMEM;
	memcpy(aligned, page, backing->block_size);
	backing_write(backing, block, aligned, 1, &err);
	free(aligned);
	return err;
}
