/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What a caller does wrong gives an error, and changes nothing.
 */
#include "levels.h"

#include <errno.h>

static void assert_create_fails(const struct zram_options *options, int err)
{
	errno = 0;
	assert_null(zram_create(options));
	assert_int_equal(errno, err);
}

static void test_options(void **state)
{
	const struct zram_options good = { .size = sizeof(good), .disksize = 1 };
	struct zram_options bad;

	(void)state;
	assert_create_fails(NULL, EINVAL);

	bad = good;
	bad.size = 0;
	assert_create_fails(&bad, EINVAL);

	bad = good;
	bad.disksize = 0;
	assert_create_fails(&bad, EINVAL);

	bad = good;
	bad.algorithm = "rot13";
	assert_create_fails(&bad, EINVAL);

	bad = good;
	bad.algorithm = "";
	assert_create_fails(&bad, EINVAL);

	bad = good;
	bad.free_policy = ZRAM_FREE_NOW + 1;
	assert_create_fails(&bad, EINVAL);

	bad = good;
	bad.disksize = UINT64_MAX;
	assert_create_fails(&bad, ENOMEM);
}

static void check_bad_levels(const struct levels *levels)
{
	const int bad[] = { levels->least > 0 ? -1 : levels->least - 1, levels->most + 1 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct zram_options options = {
			.size = sizeof(options),
			.disksize = 1,
			.algorithm = levels->algorithm,
			.level = bad[i],
		};

		assert_create_fails(&options, EINVAL);
	}
}

static void test_levels(void **state)
{
	(void)state;
	for_each_levels(check_bad_levels);
}

/* A program built for an earlier version gives fewer options, one for a later version more. */
static void test_options_of_other_versions(void **state)
{
	struct {
		struct zram_options options;
		uint64_t later;
	} options = { .options = { .disksize = 1, .algorithm = "rot13" } };
	struct zram *zram;

	(void)state;
	options.options.size = offsetof(struct zram_options, algorithm);
	zram = zram_create(&options.options);
	assert_non_null(zram);
	zram_destroy(zram);

	options.options.algorithm = "zstd";
	options.options.size = sizeof(options);
	zram = zram_create(&options.options);
	assert_non_null(zram);
	zram_destroy(zram);

	options.later = 1;
	assert_create_fails(&options.options, EINVAL);
}

static void test_bad_index(void **state)
{
	/* Five and a half pages are six. */
	struct zram_options options = {
		.size = sizeof(options),
		.disksize = page_size() * 11 / 2,
	};
	struct zram *zram = zram_create(&options);
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(zram);
	assert_non_null(page);
	make_text_page(page, 1);
	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(zram_write_page(zram, i, page), 0);

	assert_int_equal(zram_write_page(zram, 6, page), -EINVAL);
	assert_int_equal(zram_write_page(zram, UINT64_MAX, page), -EINVAL);
	assert_int_equal(zram_read_page(zram, 6, page), -EINVAL);
	assert_int_equal(zram_read_page(zram, UINT64_MAX, page), -EINVAL);
	assert_int_equal(zram_slot_free_notify(zram, 6), -EINVAL);
	assert_int_equal(zram_slot_free_notify(zram, UINT64_MAX), -EINVAL);
	assert_int_equal(zram_discard(zram, 6, 1), -EINVAL);
	assert_int_equal(zram_discard(zram, 7, 0), -EINVAL);
	assert_int_equal(zram_discard(zram, 0, 7), -EINVAL);
	assert_int_equal(zram_discard(zram, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(zram_discard(zram, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(zram_discard(zram, 2, UINT64_MAX - 1), -EINVAL);
	assert_int_equal(zram_discard(zram, 6, 0), 0);
	assert_int_equal(zram_discard(zram, 0, 0), 0);

	for (uint64_t i = 0; i < 6; i++)
		assert_page_is(zram, i, page);
	assert_int_equal(stat_of(zram).orig_data_size, 6 * page_size());
	assert_int_equal(zram_discard(zram, 0, 6), 0);
	free(page);
	zram_destroy(zram);
}

static void test_null(void **state)
{
	struct zram *zram = create_store(1, (struct zram_options){ 0 });
	struct zram_mm_stat stat = { .orig_data_size = 1 };
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	make_text_page(page, 1);
	assert_int_equal(zram_write_page(zram, 0, page), 0);

	assert_int_equal(zram_write_page(zram, 0, NULL), -EINVAL);
	assert_int_equal(zram_read_page(zram, 0, NULL), -EINVAL);
	assert_page_is(zram, 0, page);

	assert_int_equal(zram_write_page(NULL, 0, page), -EINVAL);
	assert_int_equal(zram_read_page(NULL, 0, page), -EINVAL);
	assert_int_equal(zram_slot_free_notify(NULL, 0), -EINVAL);
	assert_int_equal(zram_discard(NULL, 0, 0), -EINVAL);
	assert_null(zram_get_pool(NULL));
	zram_get_mm_stat(zram, NULL);
	zram_get_mm_stat(NULL, &stat);
	assert_int_equal(stat.orig_data_size, 0);
	zram_destroy(NULL);

	free(page);
	zram_destroy(zram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_options_of_other_versions),
		cmocka_unit_test(test_bad_index),
		cmocka_unit_test(test_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
