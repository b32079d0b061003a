/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A slower store for the tests of the cache, in memory. It checks what it was promised, notes what
 * was written, and fails, fills up or blocks as the test says.
 */
#ifndef TEST_SLOW_STORE_H
#define TEST_SLOW_STORE_H

#include "zram_pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define SLOW_PAGES 1024
#define NO_PAGE UINT64_MAX

struct slow_store {
	char *pages;
	bool has[SLOW_PAGES];
	atomic_bool inside[SLOW_PAGES]; /* a call for the page is under way */
	atomic_uint overlaps; /* calls that came meanwhile */
	atomic_uint astray; /* reads and frees of what is not there */
	atomic_int nr_pages;
	_Atomic uint64_t log[SLOW_PAGES]; /* indexes in the order in which they were written */
	atomic_uint writes, reads, frees;
	/* What the store does; 0 in each: its best. */
	atomic_int fail_writes; /* errno */
	atomic_int fail_reads;
	atomic_int fail_frees;
	atomic_int room; /* pages; 0 is no limit */
	_Atomic uint64_t bad_page; /* plus 1; that one alone fails */
	/* Blocks the next write of this page, plus 1, until it is let go. */
	_Atomic uint64_t blocks_page;
	atomic_bool blocked, let_go;
};

static inline char *slow_page(struct slow_store *slow, uint64_t index)
{
	return slow->pages + index * page_size();
}

static inline void slow_enter(struct slow_store *slow, uint64_t index)
{
	if (atomic_exchange(&slow->inside[index], true))
		atomic_fetch_add(&slow->overlaps, 1);
}

static inline void slow_leave(struct slow_store *slow, uint64_t index)
{
	atomic_store(&slow->inside[index], false);
}

static inline void slow_block(struct slow_store *slow, uint64_t index)
{
	if (atomic_load(&slow->blocks_page) != index + 1)
		return;
	atomic_store(&slow->blocks_page, 0);
	atomic_store(&slow->blocked, true);
	while (!atomic_load(&slow->let_go))
		sched_yield();
	atomic_store(&slow->blocked, false);
	atomic_store(&slow->let_go, false);
}

static inline int slow_try_write(struct slow_store *slow, uint64_t index, const void *page)
{
	if (atomic_load(&slow->fail_writes))
		return -atomic_load(&slow->fail_writes);
	if (atomic_load(&slow->bad_page) == index + 1)
		return -EIO;
	if (!slow->has[index]) {
		if (atomic_fetch_add(&slow->nr_pages, 1) >= atomic_load(&slow->room) &&
		    atomic_load(&slow->room)) {
			atomic_fetch_sub(&slow->nr_pages, 1);
			return -ENOSPC;
		}
		slow->has[index] = true;
	}
	memcpy(slow_page(slow, index), page, page_size());
	atomic_store(&slow->log[atomic_fetch_add(&slow->writes, 1) % SLOW_PAGES], index);
	return 0;
}

static inline int slow_write(void *arg, uint64_t index, const void *page)
{
	struct slow_store *slow = arg;
	int err;

	slow_enter(slow, index);
	slow_block(slow, index);
	err = slow_try_write(slow, index, page);
	slow_leave(slow, index);
	return err;
}

static inline int slow_read(void *arg, uint64_t index, void *page)
{
	struct slow_store *slow = arg;
	int err = -atomic_load(&slow->fail_reads);

	slow_enter(slow, index);
	if (!slow->has[index])
		atomic_fetch_add(&slow->astray, 1);
	if (atomic_load(&slow->bad_page) == index + 1)
		err = -EIO;
	if (!err)
		memcpy(page, slow_page(slow, index), page_size());
	atomic_fetch_add(&slow->reads, 1);
	slow_leave(slow, index);
	return err;
}

static inline int slow_free(void *arg, uint64_t index)
{
	struct slow_store *slow = arg;
	int err = -atomic_load(&slow->fail_frees);

	slow_enter(slow, index);
	if (!slow->has[index])
		atomic_fetch_add(&slow->astray, 1);
	if (!err) {
		slow->has[index] = false;
		atomic_fetch_sub(&slow->nr_pages, 1);
		atomic_fetch_add(&slow->frees, 1);
	}
	slow_leave(slow, index);
	return err;
}

static inline struct slow_store *slow_create(void)
{
	struct slow_store *slow = calloc(1, sizeof(*slow));

	assert_non_null(slow);
	slow->pages = malloc(SLOW_PAGES * page_size());
	assert_non_null(slow->pages);
	return slow;
}

/* Ends it, and tells whether the cache kept what it promised to slower stores. */
static inline void slow_destroy(struct slow_store *slow)
{
	assert_int_equal(atomic_load(&slow->overlaps), 0);
	assert_int_equal(atomic_load(&slow->astray), 0);
	free(slow->pages);
	free(slow);
}

static inline struct zram_area *attach(struct zram_cache *cache, struct slow_store *slow)
{
	const struct zram_slower slower = {
		.size = sizeof(slower),
		.write = slow_write,
		.read = slow_read,
		.free = slow_free,
		.arg = slow,
	};
	struct zram_area *area = zram_cache_attach(cache, SLOW_PAGES, &slower);

	assert_non_null(area);
	return area;
}

static inline struct zram_cache *make_cache(struct zram_cache_options options)
{
	struct zram_cache *cache;

	options.size = sizeof(options);
	cache = zram_cache_create(&options);
	assert_non_null(cache);
	return cache;
}

static inline struct zram_cache_stat cache_stat(struct zram_cache *cache)
{
	struct zram_cache_stat stat;

	zram_cache_get_stat(cache, &stat);
	return stat;
}

/*
 * The two below allocate nothing: ASan's allocator, unlike that of malloc(), stays locked in the
 * child of a fork() if another thread is inside.
 */
static _Thread_local char slow_buffer[2][65536];

/* Writes a page that make_any_page() makes of the seed. Returns what the cache says. */
static inline int cache_write(struct zram_area *area, uint64_t index, uint64_t seed)
{
	make_any_page(slow_buffer[0], seed);
	return zram_cache_write(area, index, slow_buffer[0]);
}

/* Whether a page reads as make_any_page() makes it of the seed; 0 makes zeros. */
static inline bool cache_reads(struct zram_area *area, uint64_t index, uint64_t seed)
{
	char *page = slow_buffer[0], *got = slow_buffer[1];

	make_any_page(page, seed);
	memset(got, 0xa5, page_size());
	return zram_cache_read(area, index, got) == 0 && memcmp(page, got, page_size()) == 0;
}

/* Seeds of pages that compress, that do not, and of one repeated word. */
#define TEXT(n) (4 * (uint64_t)(n) + 2)
#define HUGE_SEED(n) (4 * (uint64_t)(n) + 1)
#define SAME(n) (4 * (uint64_t)(n))

#endif /* TEST_SLOW_STORE_H */
