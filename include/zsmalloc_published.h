/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What a program that publishes its pools shows to others: the layout of the memory they share, as
 * `zsmalloc top` reads it. A program that only uses pools needs nothing of this.
 *
 * The memory is a memfd(2) named ZS_PUBLISHED_NAME, open in the program that publishes. Others find
 * it in /proc/PID/fd, and may open it if they may look into that program. It goes with the program,
 * however that ends. It is sealed against shrinking, so a reader can map it without fear. @pid is
 * the program's own: a child of fork() has the descriptor too.
 *
 * The program counts only when a reader asks. A reader
 * - adds 1 to @asked, and wakes one waiter on it (futex(2), not private);
 * - waits on @answered until that has come to what @asked was after the addition, or beyond;
 * - looks at @sequence, with acquire order;
 * - reads @present and @pool[], by words of 8 bytes and with acquire order;
 * - looks at @sequence again. If it is not even, or not the same both times, the program was
 *   writing, and the reading is void.
 */
#ifndef ZSMALLOC_PUBLISHED_H
#define ZSMALLOC_PUBLISHED_H

#include <stdint.h>

#define ZS_PUBLISHED_NAME "zsmalloc-published"
#define ZS_PUBLISHED_VERSION 3
#define ZS_PUBLISHED_POOLS 64 /* more than these are not shown: bits of a word */
#define ZS_PUBLISHED_CLASSES 512
#define ZS_PUBLISHED_TENTHS 11

/**
 * struct zs_published_class - a size class.
 * @size: of its slots, bytes
 * @pages: in one of its zspages
 * @slots: in one of its zspages
 * @zspages: how many there are that are at most 10, 20, ... 90, 99 and exactly 100 % full
 * @objects: how many there are
 * @held: pages that the zspages hold, up to the last object of each
 */
struct zs_published_class {
	uint32_t size;
	uint32_t pages;
	uint32_t slots;
	uint32_t zspages[ZS_PUBLISHED_TENTHS];
	uint64_t objects;
	uint64_t held;
};

/**
 * struct zs_published_store - what the owner of a pool keeps in it, in pages.
 * @pages: that are stored, those below included; 0 if the pool is no store's
 * @same: of one repeated word, which take no memory
 * @huge: that are kept as they are, since they do not compress
 * @written_back: that are on a file or device
 * @compressed: bytes of all pages as they are kept in memory
 * @written: pages that were ever written to the file or device
 */
struct zs_published_store {
	uint64_t pages;
	uint64_t same;
	uint64_t huge;
	uint64_t written_back;
	uint64_t compressed;
	uint64_t written;
};

/**
 * struct zs_published_pool - a pool.
 * @id: no other pool of this program had it
 * @name: ended by a zero byte
 * @objects: how many there are
 * @stored: bytes of the slots that hold objects
 * @pages: that the zspages hold
 * @resident: bytes of the pages that the zspages hold; free pages and tables are all pools'
 * @pending: handles in the deferred queue
 * @capacity: handles that it takes
 * @queued: handles that it ever took
 * @drained: handles of these that are free
 * @drains: how often it was drained
 * @fallbacks: deferred frees that it could not take, and that were done at once
 * @longest_drain_ns: nanoseconds that the longest drain took
 * @pages_compacted: pages that compaction gave back
 * @misuses: wrong calls that were caught and survived
 * @store: what its owner keeps in it
 * @page_size: bytes
 * @classes: how many of @class there are
 * @class: from the smallest
 */
struct zs_published_pool {
	uint64_t id;
	char name[64];
	uint64_t objects;
	uint64_t stored;
	uint64_t pages;
	uint64_t resident;
	uint64_t pending;
	uint64_t capacity;
	uint64_t queued;
	uint64_t drained;
	uint64_t drains;
	uint64_t fallbacks;
	uint64_t longest_drain_ns;
	uint64_t pages_compacted;
	uint64_t misuses;
	struct zs_published_store store;
	uint32_t page_size;
	uint32_t classes;
	struct zs_published_class class[ZS_PUBLISHED_CLASSES];
};

/**
 * struct zs_published - all that is shared.
 * @version: ZS_PUBLISHED_VERSION; what has another is laid out in another way
 * @pid: of the program that publishes, as it knows itself
 * @asked: see above; the only field that others write
 * @answered: see above
 * @sequence: odd while what follows is written
 * @reserved: 0
 * @present: bit i is set if there is a pool in @pool[i]; where it is not, don't look
 * @pool: the pools
 */
struct zs_published {
	uint32_t version;
	uint32_t pid;
	uint32_t asked;
	uint32_t answered;
	uint32_t sequence;
	uint32_t reserved;
	uint64_t present;
	struct zs_published_pool pool[ZS_PUBLISHED_POOLS];
};

#endif /* ZSMALLOC_PUBLISHED_H */
