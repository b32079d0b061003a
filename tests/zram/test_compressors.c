/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A store with several compressors: which options it takes, its dictionaries, and what it counts
 * for each compressor and each call.
 */
#include "zram_pages.h"

#include <errno.h>

#define DICTIONARY_SIZE 16384
#define NR_PAGES 256

static void assert_refused(struct zram_options options)
{
	options.size = sizeof(options);
	options.disksize = 1;
	errno = 0;
	assert_null(zram_create(&options));
	assert_int_equal(errno, EINVAL);
}

static void test_options(void **state)
{
	(void)state;
	assert_refused((struct zram_options){ .secondary = { { .algorithm = "rot13" } } });
	assert_refused(
		(struct zram_options){ .secondary = { { .algorithm = "zstd", .level = 23 } } });
	/* The first without an algorithm ends them: what stands behind it is a mistake. */
	assert_refused((struct zram_options){ .secondary = { { 0 }, { .algorithm = "zstd" } } });
	assert_refused((struct zram_options){ .secondary = { { .level = 1 } } });
	/* Only zstd takes dictionaries; and either half of one is a mistake. */
	assert_refused((struct zram_options){ .dictionary = "a", .dictionary_size = 1 });
	assert_refused((struct zram_options){ .algorithm = "zstd", .dictionary = "a" });
	assert_refused((struct zram_options){ .algorithm = "zstd", .dictionary_size = 1 });
	assert_refused((struct zram_options){
		.secondary = {
			{ .algorithm = "deflate", .dictionary = "a", .dictionary_size = 1 } } });
}

/* Pages that have much in common, and little in themselves. */
static void make_record_page(char *page, uint64_t seed)
{
	static const char *const words[] = { "{\"identifier\": ",  "\"temperature\": ",
					     "\"humidity\": ",	   "\"observed_at\": ",
					     "\"station_name\": ", "\"remarks\": null}, " };
	uint64_t random = seed + 1;
	size_t at = 0;

	while (at < page_size()) {
		const char *word = words[next_random(&random) % 6];
		int len = snprintf(page + at, page_size() - at, "%s%llu, ", word,
				   (unsigned long long)next_random(&random));

		at += (size_t)len;
	}
}

static char *dictionary;

static int64_t train(void)
{
	char *samples = malloc(NR_PAGES * page_size());
	int64_t size;

	assert_non_null(samples);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		make_record_page(samples + i * page_size(), 1000 + i);
	dictionary = malloc(DICTIONARY_SIZE);
	assert_non_null(dictionary);
	size = zram_train_dictionary(samples, NR_PAGES, dictionary, DICTIONARY_SIZE);
	free(samples);
	return size;
}

static uint64_t kept_bytes(struct zram_options options)
{
	struct zram *zram;
	char *page = malloc(page_size());
	uint64_t bytes;

	assert_non_null(page);
	zram = create_store(NR_PAGES, options);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_record_page(page, i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_record_page(page, i);
		assert_page_is(zram, i, page);
	}
	bytes = stat_of(zram).compr_data_size;
	free(page);
	zram_destroy(zram);
	return bytes;
}

static void test_dictionary(void **state)
{
	int64_t size = train();
	uint64_t with, without;

	(void)state;
	assert_in_range(size, 256, DICTIONARY_SIZE);
	without = kept_bytes((struct zram_options){ .algorithm = "zstd" });
	with = kept_bytes((struct zram_options){
		.algorithm = "zstd", .dictionary = dictionary, .dictionary_size = (size_t)size });
	assert_true(with < without);
	free(dictionary);
}

static void test_bad_training(void **state)
{
	char *page = malloc(page_size());
	char room[1024];

	(void)state;
	assert_non_null(page);
	make_random_page(page, 1);
	assert_int_equal(zram_train_dictionary(NULL, 1, room, sizeof(room)), -EINVAL);
	assert_int_equal(zram_train_dictionary(page, 1, NULL, sizeof(room)), -EINVAL);
	assert_int_equal(zram_train_dictionary(page, 0, room, sizeof(room)), -EINVAL);
	assert_int_equal(zram_train_dictionary(page, SIZE_MAX, room, sizeof(room)), -EINVAL);
	/* Of one page there is nothing to learn. */
	assert_int_equal(zram_train_dictionary(page, 1, room, sizeof(room)), -EINVAL);
	assert_int_equal(zram_train_dictionary(page, 1, room, 1), -EINVAL);
	free(page);
}

static void test_compressor_stat(void **state)
{
	struct zram *zram = create_store(4, (struct zram_options){
						    .level = 2,
						    .secondary = { { .algorithm = "deflate" } },
					    });
	struct zram_compressor_stat stat;
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	for (uint64_t i = 0; i < 4; i++) {
		make_any_page(page, i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	assert_int_equal(zram_get_compressor_stat(zram, 0, &stat), 0);
	assert_string_equal(stat.algorithm, "lz4");
	assert_int_equal(stat.level, 2);
	assert_int_equal(stat.pages, 2);
	assert_int_equal(stat.compr_data_size, stat_of(zram).compr_data_size - page_size());
	assert_int_equal(zram_get_compressor_stat(zram, 1, &stat), 0);
	assert_string_equal(stat.algorithm, "deflate");
	assert_int_equal(stat.level, 6);
	assert_int_equal(stat.dictionary_size, 0);
	assert_int_equal(stat.pages, 0);
	assert_int_equal(stat.compr_data_size, 0);

	assert_int_equal(zram_get_compressor_stat(zram, 2, &stat), -EINVAL);
	assert_int_equal(zram_get_compressor_stat(zram, 0, NULL), -EINVAL);
	assert_int_equal(zram_get_compressor_stat(NULL, 0, &stat), -EINVAL);
	free(page);
	zram_destroy(zram);
}

static void test_io_stat(void **state)
{
	struct zram *zram = create_store(4, (struct zram_options){ .mem_limit = 1 });
	struct zram_io_stat stat = { .invalid_io = 1 };
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	zram_get_io_stat(NULL, &stat);
	assert_int_equal(stat.invalid_io, 0);
	zram_get_io_stat(zram, NULL);

	make_random_page(page, 1);
	assert_int_equal(zram_write_page(zram, 0, page), 0);
	assert_int_equal(zram_write_page(zram, 1, page), -ENOMEM);
	assert_int_equal(zram_write_page(zram, 4, page), -EINVAL);
	assert_int_equal(zram_read_page(zram, 4, page), -EINVAL);
	assert_int_equal(zram_discard(zram, 4, 1), -EINVAL);
	assert_int_equal(zram_slot_free_notify(zram, 0), 0);
	assert_int_equal(zram_slot_free_notify(zram, 0), 0);
	zram_get_io_stat(zram, &stat);
	assert_int_equal(stat.failed_reads, 0);
	assert_int_equal(stat.failed_writes, 1);
	assert_int_equal(stat.invalid_io, 3);
	assert_int_equal(stat.notify_free, 2);
	free(page);
	zram_destroy(zram);
}

static void test_compact(void **state)
{
	struct zram *zram = create_store(NR_PAGES, (struct zram_options){ 0 });
	char *page = malloc(page_size());
	unsigned long pages;

	(void)state;
	assert_non_null(page);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_text_page(page, i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		if (i % 8)
			assert_int_equal(zram_discard(zram, i, 1), 0);
	}
	pages = zram_compact(zram);
	assert_true(pages > 0);
	assert_int_equal(stat_of(zram).pages_compacted, pages);
	assert_int_equal(zram_compact(NULL), 0);
	free(page);
	zram_destroy(zram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),	     cmocka_unit_test(test_dictionary),
		cmocka_unit_test(test_bad_training), cmocka_unit_test(test_compressor_stat),
		cmocka_unit_test(test_io_stat),	     cmocka_unit_test(test_compact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
