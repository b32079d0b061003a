/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A page that one of the same size class overwrites keeps its object: nothing is allocated, nothing
 * freed, nothing copied but the new bytes. Wraps zs_malloc() and zs_free(), to count.
 */
#include "zram_pages.h"

#include "zram_store.h"
#include "zsmalloc.h"

#define PAGES 64
#define ROUNDS UINT64_C(100) /* until pages meet whose sizes differ, but not their classes */

static unsigned int mallocs, frees;

unsigned long __real_zs_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid);
unsigned long __wrap_zs_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid);
void __real_zs_free(struct zs_pool *pool, unsigned long handle);
void __wrap_zs_free(struct zs_pool *pool, unsigned long handle);

unsigned long __wrap_zs_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid)
{
	mallocs++;
	return __real_zs_malloc(pool, size, flags, nid);
}

void __wrap_zs_free(struct zs_pool *pool, unsigned long handle)
{
	frees++;
	__real_zs_free(pool, handle);
}

static void write_all(struct zram *zram, void (*make)(void *page, uint64_t seed), uint64_t seed)
{
	char *page = malloc(page_size());

	assert_non_null(page);
	mallocs = 0;
	frees = 0;
	for (uint64_t i = 0; i < PAGES; i++) {
		make(page, seed + i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	for (uint64_t i = 0; i < PAGES; i++) {
		make(page, seed + i);
		assert_page_is(zram, i, page);
	}
	free(page);
}

static void test_same_class(void **state)
{
	struct zram *zram = create_store(PAGES, (struct zram_options){ 0 });
	struct zram_mm_stat before;
	unsigned long handle;

	(void)state;
	write_all(zram, make_random_page, 0);
	assert_int_equal(mallocs, PAGES);
	before = stat_of(zram);
	handle = zram->slots[0].word;
	write_all(zram, make_random_page, PAGES);
	assert_int_equal(mallocs, 0);
	assert_int_equal(frees, 0);
	assert_int_equal(zram->slots[0].word, handle);
	assert_int_equal(stat_of(zram).compr_data_size, before.compr_data_size);
	assert_int_equal(stat_of(zram).huge_pages, before.huge_pages);
	assert_int_equal(stat_of(zram).huge_pages_since, 2 * PAGES);
	zram_destroy(zram);
}

static void test_other_class(void **state)
{
	struct zram *zram = create_store(PAGES, (struct zram_options){ 0 });

	(void)state;
	write_all(zram, make_random_page, 0);
	write_all(zram, make_text_page, 0);
	assert_int_equal(mallocs, PAGES);
	assert_int_equal(frees, PAGES);
	assert_int_equal(stat_of(zram).huge_pages, 0);
	zram_destroy(zram);
}

/* Sizes that differ, within a class and between them, are counted as they are. */
static void test_counts(void **state)
{
	struct zram *zram = create_store(PAGES, (struct zram_options){ 0 });
	struct zram *fresh = create_store(PAGES, (struct zram_options){ 0 });

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++)
		write_all(zram, make_text_page, seed * PAGES);
	write_all(fresh, make_text_page, (ROUNDS - 1) * PAGES);
	assert_int_equal(stat_of(zram).compr_data_size, stat_of(fresh).compr_data_size);
	assert_int_equal(stat_of(zram).orig_data_size, stat_of(fresh).orig_data_size);
	zram_destroy(fresh);
	zram_destroy(zram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_class),
		cmocka_unit_test(test_other_class),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
