/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * nbdkit-zsmalloc-plugin - a compressed RAM disk for nbdkit(1).
 *
 * The disk is one store of libzram's, which all connections share. A request is cut into pieces of
 * one page each. The store reads and writes whole pages, so a piece of a page is read, changed and
 * written.
 *
 * Each change of a page holds a lock of the page. Two clients may write the two halves of one
 * page. Without the lock, both read the old page, and the second writes the old first half back. A
 * read needs no lock: the store hands out a page as it was before a change or after it.
 *
 * A write is in the store when it is answered, and all connections see it. There is no cache, so a
 * flush has nothing to do. Nothing outlives the server.
 *
 * With a file for write-back, a write that meets the limit moves some pages there, and goes on.
 * Pages that were used since the last round stay, unless there are no others.
 */
#define NBDKIT_API_VERSION 2
#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#include <nbdkit-plugin.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zram.h"

#define LOCKS 1024U
#define ROUND_PAGES 4096 /* that leave memory at once */
#define MOST_PAGE_SIZE 65536

struct page_lock {
	_Alignas(64) pthread_mutex_t mutex;
};

/* The part of a request that is in one page. */
struct piece {
	uint64_t page;
	size_t at; /* where in the page it begins */
	size_t length;
};

static struct zram_options options = { .size = sizeof(options) };
static struct zram *store;
static size_t page_size;
static struct page_lock locks[LOCKS];
static atomic_bool full; /* a write has failed since pages were last freed */
static char *backing; /* the file for write-back; NULL: none */
static pthread_mutex_t round_mutex = PTHREAD_MUTEX_INITIALIZER; /* held by a round of write-back */
static atomic_uint rounds; /* that made room; written under the mutex */

/*
 * Pages. These functions return 0 or a negative errno.
 */

static pthread_mutex_t *page_mutex(uint64_t page)
{
	return &locks[page % LOCKS].mutex;
}

/* Writes a piece; without @bytes, zeros. */
static int write_piece(const struct piece *piece, char *bytes)
{
	char whole[MOST_PAGE_SIZE];
	int err = 0;

	pthread_mutex_lock(page_mutex(piece->page));
	if (piece->length < page_size) {
		err = zram_read_page(store, piece->page, whole);
		if (bytes)
			memcpy(whole + piece->at, bytes, piece->length);
		else
			memset(whole + piece->at, 0, piece->length);
		bytes = whole;
	}
	if (!err)
		err = zram_write_page(store, piece->page, bytes);
	pthread_mutex_unlock(page_mutex(piece->page));
	return err;
}

static int read_piece(const struct piece *piece, char *bytes)
{
	char whole[MOST_PAGE_SIZE];
	int err;

	if (piece->length == page_size)
		return zram_read_page(store, piece->page, bytes);
	err = zram_read_page(store, piece->page, whole);
	memcpy(bytes, whole + piece->at, piece->length);
	return err;
}

/* Frees a page the deferred way, which is the store's default. */
static int free_page(uint64_t page)
{
	int err;

	pthread_mutex_lock(page_mutex(page));
	err = zram_slot_free_notify(store, page);
	pthread_mutex_unlock(page_mutex(page));
	atomic_store_explicit(&full, false, memory_order_relaxed);
	return err;
}

static int zero_piece(const struct piece *piece, char *bytes)
{
	return piece->length == page_size ? free_page(piece->page) : write_piece(piece, bytes);
}

/* Frees whole pages only. A trim is a hint, and one that writes could fail for want of memory. */
static int trim_piece(const struct piece *piece, char *bytes)
{
	(void)bytes;
	return piece->length == page_size ? free_page(piece->page) : 0;
}

/* Moves pages to the file. Returns how many, or a negative errno. */
static int64_t round_run(void)
{
	const struct zram_select idle = {
		.size = sizeof(idle),
		.marks = ZRAM_IDLE,
		.max_pages = ROUND_PAGES,
	};
	int64_t pages = zram_writeback(store, &idle);

	/* Each page was used since all were marked: all are marked again. */
	if (pages == 0) {
		zram_mark_idle(store, 0);
		pages = zram_writeback(store, &idle);
	}
	zram_compact(store);
	return pages;
}

/* Makes room for a write that failed when @seen rounds were over. Returns whether there is some. */
static bool make_room(unsigned int seen)
{
	struct zram_bd_stat before, after;
	int64_t pages = 1;

	if (!backing)
		return false;
	pthread_mutex_lock(&round_mutex);
	if (atomic_load(&rounds) == seen) {
		zram_get_bd_stat(store, &before);
		pages = round_run();
		zram_get_bd_stat(store, &after);
		if (after.bd_writes != before.bd_writes) /* some, even if it failed then */
			pages = 1;
		if (pages > 0)
			atomic_fetch_add(&rounds, 1);
		else if (pages == -ENOSPC && !atomic_load(&full))
			nbdkit_error("writeback=%s: it is full, too: start with a larger one",
				     backing);
		else if (pages < 0 && !atomic_load(&full))
			nbdkit_error("writeback=%s: %s", backing, strerror((int)-pages));
	}
	pthread_mutex_unlock(&round_mutex);
	return pages > 0;
}

/*
 * Requests. These functions return 0, or -1 with the error set, as nbdkit wants it.
 */

/* Tells nbdkit of a page that failed. A full disk fails many writes and is told once. */
static int failed(uint64_t page, int err)
{
	if (err == -EIO && backing)
		nbdkit_error("page %" PRIu64
			     ": it can't be read, maybe from writeback=%s: write it "
			     "anew, and look at the device",
			     page, backing);
	else if (err != -ENOMEM)
		nbdkit_error("page %" PRIu64 " is damaged (%s): write it anew, and have this "
			     "machine's memory tested",
			     page, strerror(-err));
	else if (atomic_exchange(&full, true))
		nbdkit_debug("page %" PRIu64 ": still full", page);
	else if (options.mem_limit)
		nbdkit_error("page %" PRIu64 ": limit=%" PRIu64 " is reached: trim what is not "
			     "needed, or start with a higher limit",
			     page, options.mem_limit);
	else
		nbdkit_error("page %" PRIu64 ": this machine has no memory: trim what is not "
			     "needed, or start with a limit",
			     page);
	nbdkit_set_error(err == -ENOMEM ? ENOSPC : -err);
	return -1;
}

/* Visits the pieces of a request in turn, up to the first that fails. */
static int each_piece(int (*visit)(const struct piece *piece, char *bytes), char *bytes,
		      uint32_t count, uint64_t offset)
{
	while (count > 0) {
		size_t at = offset % page_size;
		size_t room = page_size - at;
		struct piece piece = { offset / page_size, at, count < room ? count : room };
		unsigned int seen;
		int err;

		do {
			seen = atomic_load(&rounds);
			err = visit(&piece, bytes);
		} while (err == -ENOMEM && make_room(seen));
		if (err)
			return failed(piece.page, err);
		if (bytes)
			bytes += piece.length;
		offset += piece.length;
		count -= (uint32_t)piece.length;
	}
	return 0;
}

static int disk_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return each_piece(read_piece, buffer, count, offset);
}

static int disk_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset,
		       uint32_t flags)
{
	(void)handle;
	(void)flags;
	return each_piece(write_piece, (char *)buffer, count, offset);
}

static int disk_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return each_piece(zero_piece, NULL, count, offset);
}

static int disk_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return each_piece(trim_piece, NULL, count, offset);
}

/* Tells which pages read as zeros, and which have data: at least the first such range. */
static int disk_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			struct nbdkit_extents *extents)
{
	uint64_t at = offset, end = offset + count;
	uint64_t pages = (end + page_size - 1) / page_size;

	(void)handle;
	while (at < end) {
		uint64_t page = at / page_size, next = zram_next_data(store, page, pages);
		bool data = next == page;

		while (data && next < pages && zram_next_data(store, next, next + 1) == next)
			next++;
		next = next * page_size < end ? next * page_size : end;
		if (nbdkit_add_extent(extents, at, next - at,
				      data ? 0 : NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO) != 0)
			return -1;
		if (flags & NBDKIT_FLAG_REQ_ONE)
			break;
		at = next;
	}
	return 0;
}

static int disk_flush(void *handle, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return 0;
}

/*
 * What the disk is.
 */

static int64_t disk_get_size(void *handle)
{
	(void)handle;
	return (int64_t)options.disksize;
}

static int disk_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	(void)handle;
	*minimum = 1;
	*preferred = (uint32_t)page_size;
	*maximum = UINT32_MAX;
	return 0;
}

/* A flush on one connection covers the writes of all. */
static int disk_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static int disk_can_fast_zero(void *handle)
{
	(void)handle;
	return 1;
}

/* A write with FUA is as durable as any: it asks for nothing besides. */
static int disk_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

/* Without a function for it, nbdkit answers a request to cache at once. */
static int disk_can_cache(void *handle)
{
	(void)handle;
	return NBDKIT_CACHE_NATIVE;
}

static void *disk_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

/*
 * Parameters and life.
 */

static int parse_bytes(const char *key, const char *value, uint64_t *bytes)
{
	int64_t parsed = nbdkit_parse_size(value);

	if (parsed == 0)
		nbdkit_error("%s=%s: must be more than 0 bytes, like %s=1G", key, value, key);
	if (parsed <= 0)
		return -1;
	*bytes = (uint64_t)parsed;
	return 0;
}

static int disk_config(const char *key, const char *value)
{
	if (strcmp(key, "size") == 0)
		return parse_bytes(key, value, &options.disksize);
	if (strcmp(key, "limit") == 0)
		return parse_bytes(key, value, &options.mem_limit);
	if (strcmp(key, "level") == 0)
		return nbdkit_parse_int(key, value, &options.level);
	if (strcmp(key, "algorithm") == 0) {
		options.algorithm = value;
		return 0;
	}
	if (strcmp(key, "writeback") == 0) {
		backing = nbdkit_absolute_path(value);
		return backing ? 0 : -1;
	}
	nbdkit_error("%s=%s: no such parameter: size, algorithm, level, limit or writeback", key,
		     value);
	return -1;
}

static int disk_config_complete(void)
{
	if (!options.disksize)
		nbdkit_error("size= is missing: say how large the disk is, like size=1G");
	else if (backing && !options.mem_limit)
		nbdkit_error("writeback=%s: limit= is missing: say how much stays in memory",
			     backing);
	else
		return 0;
	return -1;
}

static int set_backing(void)
{
	int err = zram_set_backing(store, backing);

	if (!err)
		return 0;
	if (err == -ENOENT)
		nbdkit_error("writeback=%s: there is no such file: make it, like truncate -s 4G %s",
			     backing, backing);
	else if (err == -ENOSPC)
		nbdkit_error("writeback=%s: it has no room for a page: its size says how much goes "
			     "there",
			     backing);
	else
		nbdkit_error("writeback=%s: %s", backing, strerror(-err));
	return -1;
}

static int make_store(void)
{
	store = zram_create(&options);
	if (store)
		return backing ? set_backing() : 0;
	if (errno == EINVAL)
		nbdkit_error("algorithm=%s level=%d: libzram has none such: "
			     "see nbdkit-zsmalloc-plugin(1) for both",
			     options.algorithm ? options.algorithm : "lz4", options.level);
	else
		nbdkit_error("size=%" PRIu64 ": no disk of that size: %s", options.disksize,
			     strerror(errno));
	return -1;
}

/* Tries it before nbdkit goes into the background, so that its user sees what is wrong. */
static int disk_get_ready(void)
{
	int err;

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	if (page_size > MOST_PAGE_SIZE) {
		nbdkit_error("pages of %zu bytes: the most are %d", page_size, MOST_PAGE_SIZE);
		return -1;
	}
	for (unsigned int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&locks[i].mutex, NULL);
	err = make_store();
	zram_destroy(store);
	store = NULL;
	return err;
}

/* The server has a store of its own: a child may not write to its parent's file. */
static int disk_after_fork(void)
{
	return make_store();
}

static void disk_unload(void)
{
	zram_destroy(store);
	free(backing);
}

static struct nbdkit_plugin plugin = {
	.name = "zsmalloc",
	.longname = "nbdkit compressed RAM disk",
	.version = PLUGIN_VERSION,
	.description = "A RAM disk that keeps its pages compressed, and frees them at once",
	.magic_config_key = "size",
	.config_help = "size=<SIZE>      (required) Size of the disk\n"
		       "algorithm=<NAME> One that zram_create(3) names (default: lz4)\n"
		       "level=<N>        Level of the algorithm (default: its own)\n"
		       "limit=<SIZE>     Memory that the pages may take (default: no limit)\n"
		       "writeback=<FILE> Where pages go at the limit, in place of an error",
	.config = disk_config,
	.config_complete = disk_config_complete,
	.get_ready = disk_get_ready,
	.after_fork = disk_after_fork,
	.unload = disk_unload,
	.open = disk_open,
	.get_size = disk_get_size,
	.block_size = disk_block_size,
	.can_multi_conn = disk_can_multi_conn,
	.can_fast_zero = disk_can_fast_zero,
	.can_fua = disk_can_fua,
	.can_cache = disk_can_cache,
	.pread = disk_pread,
	.pwrite = disk_pwrite,
	.zero = disk_zero,
	.trim = disk_trim,
	.flush = disk_flush,
	.extents = disk_extents,
};

/* What nbdkit looks for; its header defines the function and declares none. */
struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
