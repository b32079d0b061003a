/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The backing: a file or block device, cut into blocks of a page, that holds pages uncompressed.
 *
 *   device  [ page | page |      | page | ... ]
 *   used    [  1   |  1   |  0   |  1   | ... ]      a bit a block
 *             ^ cursor: the next search begins here
 *
 * One thread at a time takes blocks: the one that walks (walk.h). Any thread gives one back, with
 * an atomic of its own, as a process's exit does. The search goes round, so a block that fails is
 * not the next one again, and a run of free blocks is one write.
 *
 * A child of fork() has the bitmap of its own and the device in common with its parent, which goes
 * on with it. So the child never writes there. It reads what its parent has not replaced since; the
 * check in the slot tells.
 */
#ifndef ZRAM_BACKING_H
#define ZRAM_BACKING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backing {
	int fd;
	bool is_parents; /* in a child of fork() */
	_Atomic uint64_t nr_blocks; /* 0 as long as there is no backing */
	_Atomic uint64_t *used;
	uint64_t cursor;
	size_t block_size;
	_Atomic uint64_t limit; /* bytes that may yet be written */
	_Atomic uint64_t reads; /* pages */
	_Atomic uint64_t writes;
};

int backing_open(struct backing *backing, const char *path, size_t page_size);
void backing_close(struct backing *backing);

uint64_t backing_take(struct backing *backing, uint64_t most, uint64_t *first);
void backing_free(struct backing *backing, uint64_t block);

int backing_read(struct backing *backing, uint64_t block, void *page);
int backing_read_any(struct backing *backing, uint64_t block, void *page);
uint64_t backing_write(struct backing *backing, uint64_t first, const void *pages, uint64_t count,
		       int *err);
int backing_write_any(struct backing *backing, uint64_t block, const void *page);

#endif /* ZRAM_BACKING_H */
