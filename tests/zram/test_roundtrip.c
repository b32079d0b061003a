/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What is written to a store is what is read, with every algorithm, for pages of every kind.
 */
#include "levels.h"

#include <errno.h>

/* A store of that algorithm and level. */
static struct zram *create_with(const char *algorithm, int level, uint64_t pages)
{
	struct zram_options options = {
		.size = sizeof(options),
		.disksize = pages * page_size(),
		.algorithm = algorithm,
		.level = level,
	};
	struct zram *zram = zram_create(&options);

	assert_non_null(zram);
	return zram;
}

static void roundtrip_file(struct zram *zram, const struct file_pages *file)
{
	for (size_t i = 0; i < file->count; i++)
		assert_int_equal(zram_write_page(zram, i, file->bytes + i * page_size()), 0);
	for (size_t i = 0; i < file->count; i++)
		assert_page_is(zram, i, file->bytes + i * page_size());
}

static void test_real_pages(void **state)
{
	struct file_pages files[] = { load_file("/bin/bash"), load_libc() };

	(void)state;
	for (unsigned int a = 0; zram_algorithm(a); a++) {
		for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
			struct zram *zram = create_with(zram_algorithm(a), 0, files[f].count);
			struct zram_mm_stat stat;

			roundtrip_file(zram, &files[f]);
			stat = stat_of(zram);
			assert_int_equal(stat.orig_data_size, files[f].count * page_size());
			/* Programs compress, by any algorithm; a libc made for size by a fifth. */
			assert_true(stat.compr_data_size < stat.orig_data_size / 8 * 7);
			zram_destroy(zram);
		}
	}
	free(files[0].bytes);
	free(files[1].bytes);
}

/* Each kind of page replaced by each kind, an empty one included. */
static void test_every_kind_replaces_every_kind(void **state)
{
	enum {
		KINDS = 5
	};
	char *page[KINDS];

	(void)state;
	for (int i = 0; i < KINDS; i++) {
		page[i] = malloc(page_size());
		assert_non_null(page[i]);
	}
	make_same_page(page[0], 0);
	make_same_page(page[1], 0x0123456789abcdefUL);
	make_text_page(page[2], 2);
	make_random_page(page[3], 3);
	/* Of one word but for its last byte. */
	make_same_page(page[4], ~0UL);
	page[4][page_size() - 1] = 0;

	for (unsigned int a = 0; zram_algorithm(a); a++) {
		struct zram *zram = create_with(zram_algorithm(a), 0, 1);

		assert_page_is_empty(zram, 0);
		for (int from = 0; from < KINDS; from++) {
			for (int to = 0; to < KINDS; to++) {
				assert_int_equal(zram_write_page(zram, 0, page[from]), 0);
				assert_page_is(zram, 0, page[from]);
				assert_int_equal(zram_write_page(zram, 0, page[to]), 0);
				assert_page_is(zram, 0, page[to]);
			}
		}
		assert_int_equal(zram_slot_free_notify(zram, 0), 0);
		assert_page_is_empty(zram, 0);
		zram_destroy(zram);
	}
	for (int i = 0; i < KINDS; i++)
		free(page[i]);
}

static void check_levels(const struct levels *levels)
{
	const int each[] = { levels->least, 1, levels->most };
	char *page = malloc(page_size());

	assert_non_null(page);
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		struct zram *zram = create_with(levels->algorithm, each[i], 1);

		make_text_page(page, i);
		assert_int_equal(zram_write_page(zram, 0, page), 0);
		assert_page_is(zram, 0, page);
		zram_destroy(zram);
	}
	free(page);
}

static void test_levels(void **state)
{
	(void)state;
	for_each_levels(check_levels);
}

/* Pages need not be aligned in the caller's memory, and nothing beside them is touched. */
static void test_unaligned_pages(void **state)
{
	struct zram *zram = create_store(3, (struct zram_options){ 0 });
	char *memory = malloc(page_size() + 64);
	char *expected = malloc(page_size());

	(void)state;
	assert_non_null(memory);
	assert_non_null(expected);
	for (unsigned int kind = 0; kind < 3; kind++) {
		for (unsigned int offset = 1; offset < 16; offset++) {
			make_any_page(expected, kind + 40);
			memcpy(memory + offset, expected, page_size());
			assert_int_equal(zram_write_page(zram, kind, memory + offset), 0);
			memset(memory, 0x5a, page_size() + 64);
			assert_int_equal(zram_read_page(zram, kind, memory + offset), 0);
			assert_memory_equal(memory + offset, expected, page_size());
			assert_int_equal(memory[offset - 1], 0x5a);
			assert_int_equal(memory[offset + page_size()], 0x5a);
		}
	}
	free(expected);
	free(memory);
	zram_destroy(zram);
}

/* Stores have nothing to do with each other. */
static void test_stores_are_independent(void **state)
{
	struct zram *one = create_store(1, (struct zram_options){ 0 });
	struct zram *other = create_store(1, (struct zram_options){ .algorithm = "zstd" });
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	make_text_page(page, 1);
	assert_int_equal(zram_write_page(one, 0, page), 0);
	assert_page_is_empty(other, 0);
	zram_destroy(other);
	assert_page_is(one, 0, page);
	zram_destroy(one);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_pages),
		cmocka_unit_test(test_every_kind_replaces_every_kind),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_unaligned_pages),
		cmocka_unit_test(test_stores_are_independent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
