/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Every allocation that a cache makes fails in turn, once alone and once with all that follow. What
 * was written stays readable, for the slower store takes what memory does not. Nothing leaks.
 */
#include "backing_file.h"
#include "slow_store.h"

#include "nomem.h"

#define NR_PAGES 24
#define FAR (1ULL << 30)

static char *old_pages[NR_PAGES], *new_pages[NR_PAGES];
static char *scratch;
static struct slow_store *slow;
static struct backing_file file;

static void write_and_read(struct zram_area *area, char *const *pages)
{
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		assert_int_equal(zram_cache_write(area, i, pages[i]), 0);
		assert_int_equal(zram_cache_read(area, i, scratch), 0);
		assert_memory_equal(scratch, pages[i], page_size());
	}
}

static void use_area(struct zram_cache *cache, struct zram_area *area)
{
	write_and_read(area, old_pages);
	assert_true(zram_cache_shrink(cache, NR_PAGES / 2) >= 0);
	write_and_read(area, new_pages);
	assert_int_equal(zram_cache_free(area, 0, NR_PAGES / 2), 0);
	assert_int_equal(zram_cache_flush(area), 0);
	for (uint64_t i = NR_PAGES / 2; i < NR_PAGES; i++) {
		assert_int_equal(zram_cache_read(area, i, scratch), 0);
		assert_memory_equal(scratch, new_pages[i], page_size());
	}
}

static void use_cache(void *arg)
{
	const struct zram_cache_options options = { .size = sizeof(options), .limit = FAR };
	const struct zram_slower slower = {
		.size = sizeof(slower),
		.write = slow_write,
		.read = slow_read,
		.free = slow_free,
		.arg = slow,
	};
	struct zram_cache *cache;
	struct zram_area *area;

	(void)arg;
	errno = 0;
	cache = zram_cache_create(&options);
	if (!cache) {
		assert_int_equal(errno, ENOMEM);
		return;
	}
	area = zram_cache_attach(cache, NR_PAGES, &slower);
	if (area)
		use_area(cache, area);
	else
		assert_int_equal(errno, ENOMEM);
	area = zram_cache_attach_file(cache, file.path);
	if (area)
		use_area(cache, area);
	else
		assert_int_equal(errno, ENOMEM);
	zram_cache_destroy(cache);
	memset(slow->has, 0, sizeof(slow->has));
}

static void test_each_once(void **state)
{
	(void)state;
	assert_true(fail_each(use_cache, NULL, false) > 10);
}

static void test_each_and_all_that_follow(void **state)
{
	(void)state;
	assert_true(fail_each(use_cache, NULL, true) > 10);
}

static int setup(void **state)
{
	(void)state;
	fail_no_more();
	/* Aligned, as the file needs no memory then. */
	scratch = aligned_alloc(page_size(), page_size());
	slow = slow_create();
	file = create_file(NR_PAGES);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		old_pages[i] = aligned_alloc(page_size(), page_size());
		new_pages[i] = aligned_alloc(page_size(), page_size());
		make_any_page(old_pages[i], i + 4);
		make_any_page(new_pages[i], i + 101);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(scratch);
	slow_destroy(slow);
	remove_file(&file);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		free(old_pages[i]);
		free(new_pages[i]);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once),
		cmocka_unit_test(test_each_and_all_that_follow),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
