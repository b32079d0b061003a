/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zram_recompress(): which pages it takes, and that they read the same and take less memory. A page
 * that is used meanwhile, or for which there is no memory, stays as it is.
 *
 * The linker wraps zstd's compressor, so that the test can use a page meanwhile, and zs_malloc().
 */
#include "zram_pages.h"

#include <errno.h>
#include <zstd.h>

#include "walk.h"

#define NR_PAGES 64

static struct zram *store;
static void (*meanwhile)(void); /* what happens while a page is recompressed */
static bool no_memory;

size_t __real_ZSTD_compressCCtx(ZSTD_CCtx *context, void *dst, size_t capacity, const void *src,
				size_t size, int level);
size_t __wrap_ZSTD_compressCCtx(ZSTD_CCtx *context, void *dst, size_t capacity, const void *src,
				size_t size, int level);

size_t __wrap_ZSTD_compressCCtx(ZSTD_CCtx *context, void *dst, size_t capacity, const void *src,
				size_t size, int level)
{
	if (meanwhile)
		meanwhile();
	return __real_ZSTD_compressCCtx(context, dst, capacity, src, size, level);
}

unsigned long __real_zs_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid);
unsigned long __wrap_zs_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid);

unsigned long __wrap_zs_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid)
{
	return no_memory ? (unsigned long)-ENOMEM : __real_zs_malloc(pool, size, flags, nid);
}

/* A page that lz4 makes little of, and zstd much: letters at random. */
static void make_letters_page(void *page, uint64_t seed)
{
	make_random_page(page, seed);
	for (size_t i = 0; i < page_size(); i++)
		((unsigned char *)page)[i] = "abcdefgh"[((unsigned char *)page)[i] % 8];
}

/* One in four pages is random, the others of letters. */
static void make_page(void *page, uint64_t seed)
{
	if (seed % 4 == 0)
		make_random_page(page, seed);
	else
		make_letters_page(page, seed);
}

static void create_full(struct zram_options options)
{
	char *page = malloc(page_size());

	assert_non_null(page);
	store = create_store(NR_PAGES, options);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_page(page, i);
		assert_int_equal(zram_write_page(store, i, page), 0);
	}
	free(page);
}

static void check_pages_and_destroy(void)
{
	char *page = malloc(page_size());

	assert_non_null(page);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_page(page, i);
		assert_page_is(store, i, page);
	}
	free(page);
	zram_destroy(store);
}

static uint64_t pages_by(unsigned int number)
{
	struct zram_compressor_stat stat;

	assert_int_equal(zram_get_compressor_stat(store, number, &stat), 0);
	return stat.pages;
}

static int64_t recompress(struct zram_select select, unsigned int number)
{
	select.size = sizeof(select);
	return zram_recompress(store, &select, number);
}

static const struct zram_options with_zstd = { .secondary = { { .algorithm = "zstd" } } };

static void test_all(void **state)
{
	struct zram_mm_stat before, after;

	(void)state;
	create_full(with_zstd);
	before = stat_of(store);
	assert_int_equal(zram_recompress(store, NULL, 0), NR_PAGES * 3 / 4);
	after = stat_of(store);
	assert_int_equal(pages_by(1), NR_PAGES * 3 / 4);
	assert_int_equal(pages_by(0), 0);
	assert_int_equal(after.orig_data_size, before.orig_data_size);
	assert_true(after.compr_data_size < before.compr_data_size * 3 / 4);
	assert_true(after.mem_used_total < before.mem_used_total);
	/* There is nothing left to gain, and nothing is tried again. */
	assert_int_equal(zram_recompress(store, NULL, 0), 0);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		assert_int_equal(!(store->slots[i].state & SLOT_FUTILE), i % 4 != 0);
	check_pages_and_destroy();
}

static void test_idle(void **state)
{
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	create_full(with_zstd);
	assert_int_equal(recompress((struct zram_select){ .marks = ZRAM_IDLE }, 0), 0);
	assert_int_equal(zram_mark_idle(store, 0), 0);
	assert_int_equal(zram_read_page(store, 1, page), 0);
	assert_int_equal(recompress((struct zram_select){ .marks = ZRAM_IDLE }, 0),
			 NR_PAGES * 3 / 4 - 1);
	/* The mark stays, for a write-back that may follow. */
	assert_true(store->slots[2].state & SLOT_IDLE);
	assert_false(store->slots[1].state & SLOT_IDLE);
	free(page);
	check_pages_and_destroy();
}

static void test_no_mark_is_left(void **state)
{
	(void)state;
	create_full(with_zstd);
	assert_int_equal(zram_recompress(store, NULL, 0), NR_PAGES * 3 / 4);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		assert_false(store->slots[i].state & SLOT_IDLE);
	check_pages_and_destroy();
}

static void test_huge(void **state)
{
	char *page = malloc(page_size());
	uint64_t huge;

	(void)state;
	assert_non_null(page);
	/* Acceleration this high has lz4 find nothing: all pages are huge. */
	create_full(
		(struct zram_options){ .level = 65537, .secondary = { { .algorithm = "zstd" } } });
	huge = stat_of(store).huge_pages;
	assert_true(huge > NR_PAGES / 4);
	/* Huge and idle: both must hold. */
	assert_int_equal(recompress((struct zram_select){ .marks = ZRAM_HUGE | ZRAM_IDLE }, 0), 0);
	assert_int_equal(recompress((struct zram_select){ .marks = ZRAM_HUGE }, 0),
			 huge - NR_PAGES / 4);
	assert_int_equal(stat_of(store).huge_pages, NR_PAGES / 4);
	free(page);
	check_pages_and_destroy();
}

static void test_threshold_range_and_most(void **state)
{
	(void)state;
	create_full(with_zstd);
	assert_int_equal(recompress((struct zram_select){ .min_size = page_size() }, 0), 0);
	assert_int_equal(recompress((struct zram_select){ .first = 1, .count = 2 }, 0), 2);
	assert_int_equal(store->slots[3].state & SLOT_HOW, 0);
	assert_int_equal(recompress((struct zram_select){ .first = 5, .max_pages = 3 }, 0), 3);
	assert_int_equal(pages_by(1), 5);
	assert_int_equal(recompress((struct zram_select){ .min_size = 1 }, 0),
			 NR_PAGES * 3 / 4 - 5);
	check_pages_and_destroy();
}

/* An object of the same size class saves no memory: the old one stays, and is not tried again. */
static void test_no_gain(void **state)
{
	(void)state;
	create_full((struct zram_options){ .secondary = { { .algorithm = "lz4" } } });
	assert_int_equal(zram_recompress(store, NULL, 0), 0);
	assert_int_equal(pages_by(1), 0);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		assert_true(store->slots[i].state & SLOT_FUTILE);
	check_pages_and_destroy();
}

/* Each in turn, or one by its number; a page that one has made smaller goes on to a later one. */
static void test_several(void **state)
{
	const struct zram_options options = {
		.secondary = { { .algorithm = "lz4", .level = 100 },
			       { .algorithm = "zstd" },
			       { .algorithm = "deflate", .level = 12 } },
	};

	(void)state;
	create_full(options);
	assert_int_equal(zram_recompress(store, NULL, 1), 0);
	assert_int_equal(zram_recompress(store, NULL, 2), NR_PAGES * 3 / 4);
	assert_int_equal(pages_by(2), NR_PAGES * 3 / 4);
	assert_true(zram_recompress(store, NULL, 3) >= 0);
	assert_int_equal(zram_recompress(store, NULL, 4), -EINVAL);
	check_pages_and_destroy();

	create_full(options);
	assert_int_equal(zram_recompress(store, NULL, 0), NR_PAGES * 3 / 4);
	assert_int_equal(pages_by(1), 0);
	assert_int_equal(pages_by(2), NR_PAGES * 3 / 4);
	check_pages_and_destroy();
}

#define USED 1

static void read_page(void)
{
	char *page = malloc(page_size());

	meanwhile = NULL;
	assert_non_null(page);
	assert_int_equal(zram_read_page(store, USED, page), 0);
	free(page);
}

static void write_page(void)
{
	char *page = malloc(page_size());

	meanwhile = NULL;
	assert_non_null(page);
	make_text_page(page, 1000);
	assert_int_equal(zram_write_page(store, USED, page), 0);
	free(page);
}

static void free_page(void)
{
	meanwhile = NULL;
	assert_int_equal(zram_slot_free_notify(store, USED), 0);
}

static void test_used_meanwhile(void **state)
{
	static void (*const uses[])(void) = { read_page, write_page, free_page };
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	for (unsigned int i = 0; i < 3; i++) {
		create_full(with_zstd);
		meanwhile = uses[i];
		assert_int_equal(recompress((struct zram_select){ .first = USED, .count = 1 }, 0),
				 0);
		assert_null(meanwhile);
		assert_int_equal(pages_by(1), 0);
		if (i == 0)
			make_page(page, USED);
		else if (i == 1)
			make_text_page(page, 1000);
		else
			memset(page, 0, page_size());
		assert_page_is(store, USED, page);
		make_page(page, USED);
		assert_int_equal(zram_write_page(store, USED, page), 0);
		check_pages_and_destroy();
	}
	free(page);
}

/* Another call may not go over the pages meanwhile. */
static void walk_too(void)
{
	meanwhile = NULL;
	assert_int_equal(zram_mark_idle(store, 0), -EBUSY);
	assert_int_equal(zram_recompress(store, NULL, 0), -EBUSY);
	meanwhile = walk_too;
}

static void test_busy(void **state)
{
	(void)state;
	create_full(with_zstd);
	meanwhile = walk_too;
	assert_int_equal(zram_recompress(store, NULL, 0), NR_PAGES * 3 / 4);
	meanwhile = NULL;
	check_pages_and_destroy();
}

static void test_no_memory(void **state)
{
	struct zram_mm_stat before, after;

	(void)state;
	create_full(with_zstd);
	before = stat_of(store);
	no_memory = true;
	assert_int_equal(zram_recompress(store, NULL, 0), -ENOMEM);
	no_memory = false;
	after = stat_of(store);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_false(store->slots[1].state & SLOT_IDLE);
	assert_int_equal(zram_recompress(store, NULL, 0), NR_PAGES * 3 / 4);
	check_pages_and_destroy();
}

/* A damaged page stays as it is, and keeps no other from being recompressed. */
static void test_damaged(void **state)
{
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	create_full(with_zstd);
	store->slots[USED].check++;
	assert_int_equal(zram_recompress(store, NULL, 0), NR_PAGES * 3 / 4 - 1);
	assert_int_equal(zram_read_page(store, USED, page), -EIO);
	store->slots[USED].check--;
	free(page);
	check_pages_and_destroy();
}

static void test_errors(void **state)
{
	struct {
		struct zram_select select;
		uint64_t later;
	} select = { .select = { .size = sizeof(select) }, .later = 1 };

	(void)state;
	create_full((struct zram_options){ 0 });
	/* It has no other compressor. */
	assert_int_equal(zram_recompress(store, NULL, 0), -EINVAL);
	zram_destroy(store);

	create_full(with_zstd);
	assert_int_equal(zram_recompress(NULL, NULL, 0), -EINVAL);
	assert_int_equal(zram_recompress(store, NULL, 2), -EINVAL);
	assert_int_equal(recompress((struct zram_select){ .marks = 8 }, 0), -EINVAL);
	assert_int_equal(recompress((struct zram_select){ .marks = ZRAM_INCOMPRESSIBLE }, 0),
			 -EINVAL);
	assert_int_equal(recompress((struct zram_select){ .first = NR_PAGES }, 0), -EINVAL);
	assert_int_equal(recompress((struct zram_select){ .first = 1, .count = NR_PAGES }, 0),
			 -EINVAL);
	assert_int_equal(recompress((struct zram_select){ .count = UINT64_MAX }, 0), -EINVAL);
	assert_int_equal(recompress((struct zram_select){ .min_size = page_size() + 1 }, 0),
			 -EINVAL);
	assert_int_equal(zram_recompress(store, &select.select, 0), -EINVAL);
	select.select.size = 0;
	assert_int_equal(zram_recompress(store, &select.select, 0), -EINVAL);
	assert_int_equal(pages_by(1), 0);
	check_pages_and_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_no_mark_is_left),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_threshold_range_and_most),
		cmocka_unit_test(test_no_gain),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_used_meanwhile),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
