/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A program that filters system calls once it has a store with a file behind it, and a cache. Each
 * call that the library may make from then on is refused in turn. No page is lost. A write works,
 * or is ENOMEM. What needs the file says the error. The same holds in a child of fork(), where the
 * cache may get no thread.
 */
#include "backing_file.h"
#include "refusals.h"
#include "slow_store.h"

#define PAGES 192
#define LIMIT_PAGES 64

/* What zram(3) lists. */
static const struct call calls[] = {
	ZSMALLOC_CALLS, CALL(pread64), CALL(pwrite64), CALL(brk), CALL(sched_getaffinity),
};
static const size_t calls_count = sizeof(calls) / sizeof(calls[0]);

/* What the parent makes. */
static struct zram *store;
static struct zram_cache *cache;
static struct zram_area *area;
static struct slow_store *slow;
static struct backing_file file;

/* Memory that is there before a filter is. */
static char *page, *got;

/* Writes a page. Returns whether the store took it. */
static bool try_write(struct zram *zram, uint64_t index, uint64_t seed)
{
	int err;

	make_any_page(page, seed);
	err = zram_write_page(zram, index, page);
	CHILD_CHECK(err == 0 || err == -ENOMEM);
	return err == 0;
}

/* Checks that a page reads as it was written, or that what it needs is refused. */
static void check_page(const struct refusal *refusal, uint64_t index, uint64_t seed)
{
	int err = zram_read_page(store, index, got);

	make_any_page(page, seed);
	if (err)
		CHILD_CHECK(refusal->call.number == SYS_pread64 && err == -refusal->error);
	else
		CHILD_CHECK(memcmp(page, got, page_size()) == 0);
}

static void use_store(const struct refusal *refusal, bool is_parents)
{
	const struct zram_select rest = { .size = sizeof(rest), .first = PAGES / 2 };
	int64_t moved = zram_writeback(store, &rest);

	if (is_parents)
		CHILD_CHECK(moved == -EROFS);
	else if (refusal->call.number == SYS_pwrite64)
		CHILD_CHECK(moved == -refusal->error);
	else
		CHILD_CHECK(moved == PAGES / 2 || moved == -ENOMEM);
	for (uint64_t i = 0; i < PAGES; i++)
		check_page(refusal, i, TEXT(i));
	for (uint64_t i = 0; i < PAGES; i++) {
		bool is_new = try_write(store, i, TEXT(i + 1));

		check_page(refusal, i, TEXT(is_new ? i + 1 : i));
	}
	CHILD_CHECK(zram_discard(store, 0, PAGES / 2) == 0);
	CHILD_CHECK(zram_slot_free_notify(store, PAGES / 2) == 0);
	zram_compact(store);
	zram_destroy(store);
}

/* A write needs no memory: what does not fit goes to the slower store. */
static void use_cache(void)
{
	for (uint64_t i = 0; i < PAGES; i++) {
		make_any_page(page, TEXT(i));
		CHILD_CHECK(zram_cache_write(area, i, page) == 0);
	}
	CHILD_CHECK(cache_stat(cache).limit_hits > 0);
	CHILD_CHECK(zram_cache_shrink(cache, 1) >= 0);
	for (uint64_t i = 0; i < PAGES; i++) {
		make_any_page(page, TEXT(i));
		CHILD_CHECK(zram_cache_read(area, i, got) == 0);
		CHILD_CHECK(memcmp(page, got, page_size()) == 0);
	}
	CHILD_CHECK(zram_cache_free(area, 0, PAGES) == 0);
	zram_cache_destroy(cache);
}

/* A store and a cache that come when the filter is there. */
static void make_more(void)
{
	const struct zram_options options = {
		.size = sizeof(options),
		.disksize = PAGES * page_size(),
	};
	const struct zram_cache_options cache_options = { .size = sizeof(cache_options) };
	struct zram *more = zram_create(&options);
	struct zram_cache *more_cache = zram_cache_create(&cache_options);

	CHILD_CHECK(more || errno == ENOMEM);
	CHILD_CHECK(more_cache || !more || errno == ENOMEM);
	if (more) {
		try_write(more, 0, TEXT(0));
		zram_destroy(more);
	}
	zram_cache_destroy(more_cache);
}

static void make_store(void)
{
	const struct zram_select first = { .size = sizeof(first), .count = PAGES / 2 };

	/* It keeps the worker alive, whose end without futex() takes seconds: posix/filters. */
	assert_non_null(zs_create_pool("stays"));
	page = malloc(page_size());
	got = aligned_alloc(page_size(), page_size());
	assert_true(page && got);
	store = create_store(PAGES, (struct zram_options){ .algorithm = "lz4" });
	file = create_file(2 * PAGES);
	assert_int_equal(zram_set_backing(store, file.path), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_true(try_write(store, i, TEXT(i)));
	assert_int_equal(zram_writeback(store, &first), PAGES / 2);
}

static void make_cache_and_area(void)
{
	slow = slow_create();
	cache = make_cache((struct zram_cache_options){ .limit = LIMIT_PAGES * page_size() });
	area = attach(cache, slow);
}

/* The cache's thread waits for a condition of the libc's, which only futex() can wake. */
static bool cache_may_live(const struct refusal *refusal)
{
	return refusal->call.number != SYS_futex;
}

static void goes_on(const void *arg)
{
	const struct refusal *refusal = arg;

	make_store();
	if (cache_may_live(refusal))
		make_cache_and_area();
	refuse(refusal);
	if (cache_may_live(refusal)) {
		use_cache();
		make_more();
	}
	use_store(refusal, false);
}

static void test_each_call_refused(void **state)
{
	(void)state;
	refuse_each(calls, calls_count, goes_on);
}

static void child_goes_on(const void *arg)
{
	const struct refusal *refusal = arg;

	refuse(refusal);
	if (cache_may_live(refusal))
		use_cache();
	use_store(refusal, true);
}

static void test_each_call_refused_in_a_child(void **state)
{
	(void)state;
	make_store();
	make_cache_and_area();
	refuse_each(calls, calls_count, child_goes_on);
	zram_cache_destroy(cache);
	zram_destroy(store);
	slow_destroy(slow);
	remove_file(&file);
	free(page);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_call_refused),
		cmocka_unit_test(test_each_call_refused_in_a_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
