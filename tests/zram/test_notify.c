/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The exit path: zram_slot_free_notify() empties the slot at once and frees by the store's policy;
 * zram_discard() frees before it returns, whatever the policy.
 *
 * The linker wraps zs_free() and zs_free_deferred(), so that the store's calls can be counted.
 */
#include "zram_pages.h"

#define NR_PAGES 400

static unsigned int freed_now;
static unsigned int freed_deferred;

void __real_zs_free(struct zs_pool *pool, unsigned long handle);
void __wrap_zs_free(struct zs_pool *pool, unsigned long handle);
void __real_zs_free_deferred(struct zs_pool *pool, unsigned long handle);
void __wrap_zs_free_deferred(struct zs_pool *pool, unsigned long handle);

void __wrap_zs_free(struct zs_pool *pool, unsigned long handle)
{
	freed_now++;
	__real_zs_free(pool, handle);
}

void __wrap_zs_free_deferred(struct zs_pool *pool, unsigned long handle)
{
	freed_deferred++;
	__real_zs_free_deferred(pool, handle);
}

/* A full store of pages of every kind; one in four, of one word, has no object. */
static struct zram *create_full(unsigned int policy)
{
	struct zram *zram = create_store(NR_PAGES, (struct zram_options){
							   .free_policy = policy,
							   .deferred_delay_ms = 3600 * 1000,
						   });
	char *page = malloc(page_size());

	assert_non_null(page);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_any_page(page, i + 4);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	free(page);
	freed_now = 0;
	freed_deferred = 0;
	return zram;
}

static void assert_all_empty(struct zram *zram)
{
	struct zram_mm_stat stat = stat_of(zram);

	for (uint64_t i = 0; i < NR_PAGES; i++)
		assert_page_is_empty(zram, i);
	assert_int_equal(stat.orig_data_size, 0);
	assert_int_equal(stat.compr_data_size, 0);
	assert_int_equal(stat.same_pages, 0);
	assert_int_equal(stat.huge_pages, 0);
}

static void notify_all(struct zram *zram)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		assert_int_equal(zram_slot_free_notify(zram, i), 0);
}

static void test_deferred(void **state)
{
	struct zram *zram = create_full(ZRAM_FREE_DEFERRED);

	(void)state;
	notify_all(zram);
	assert_int_equal(freed_deferred, NR_PAGES * 3 / 4);
	assert_int_equal(freed_now, 0);
	assert_all_empty(zram);
	zs_free_deferred_flush(zram_get_pool(zram));
	assert_int_equal(stat_of(zram).mem_used_total, 0);
	zram_destroy(zram);
}

static void test_now(void **state)
{
	struct zram *zram = create_full(ZRAM_FREE_NOW);

	(void)state;
	notify_all(zram);
	assert_int_equal(freed_now, NR_PAGES * 3 / 4);
	assert_int_equal(freed_deferred, 0);
	assert_all_empty(zram);
	assert_int_equal(stat_of(zram).mem_used_total, 0);
	zram_destroy(zram);
}

/* What is already empty is freed no second time, and can be written again. */
static void test_again(void **state)
{
	struct zram *zram = create_full(ZRAM_FREE_DEFERRED);
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	notify_all(zram);
	notify_all(zram);
	assert_int_equal(freed_deferred, NR_PAGES * 3 / 4);
	assert_all_empty(zram);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_any_page(page, i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
		assert_page_is(zram, i, page);
	}
	free(page);
	zram_destroy(zram);
}

/* Only the page that is named goes. */
static void test_one_page(void **state)
{
	struct zram *zram = create_full(ZRAM_FREE_DEFERRED);
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	for (uint64_t i = 0; i < NR_PAGES; i += 3)
		assert_int_equal(zram_slot_free_notify(zram, i), 0);
	zs_free_deferred_flush(zram_get_pool(zram));
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_any_page(page, i + 4);
		if (i % 3 == 0)
			assert_page_is_empty(zram, i);
		else
			assert_page_is(zram, i, page);
	}
	free(page);
	zram_destroy(zram);
}

static void test_discard(void **state)
{
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	for (unsigned int policy = ZRAM_FREE_DEFERRED; policy <= ZRAM_FREE_NOW; policy++) {
		struct zram *zram = create_full(policy);

		/* More than a batch, and neither end at one's border. */
		assert_int_equal(zram_discard(zram, 1, NR_PAGES - 2), 0);
		make_any_page(page, 4);
		assert_page_is(zram, 0, page);
		make_any_page(page, NR_PAGES - 1 + 4);
		assert_page_is(zram, NR_PAGES - 1, page);
		assert_int_equal(stat_of(zram).orig_data_size, 2 * page_size());

		assert_int_equal(zram_discard(zram, 0, NR_PAGES), 0);
		assert_all_empty(zram);
		assert_int_equal(stat_of(zram).mem_used_total, 0);
		assert_int_equal(freed_deferred, 0);
		zram_destroy(zram);
	}
	free(page);
}

/* An overwritten object is freed at once under either policy. */
static void test_overwrite(void **state)
{
	(void)state;
	for (unsigned int policy = ZRAM_FREE_DEFERRED; policy <= ZRAM_FREE_NOW; policy++) {
		struct zram *zram = create_full(policy);
		char *page = malloc(page_size());

		assert_non_null(page);
		make_same_page(page, 7);
		for (uint64_t i = 0; i < NR_PAGES; i++)
			assert_int_equal(zram_write_page(zram, i, page), 0);
		assert_int_equal(freed_now, NR_PAGES * 3 / 4);
		assert_int_equal(freed_deferred, 0);
		assert_int_equal(stat_of(zram).mem_used_total, 0);
		free(page);
		zram_destroy(zram);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deferred), cmocka_unit_test(test_now),
		cmocka_unit_test(test_again),	 cmocka_unit_test(test_one_page),
		cmocka_unit_test(test_discard),	 cmocka_unit_test(test_overwrite),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
