/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zram_mark_idle(): pages are marked by age, never too early and at most 64 seconds late. An access
 * takes the mark away. The linker wraps the clock, which the test sets.
 *
 * The test reaches inside, to see the marks.
 */
#include "zram_pages.h"

#include <errno.h>
#include <time.h>

#include "walk.h"

#define NR_PAGES 8
#define HOUR 3600

static int64_t store_clock = 1000000; /* what the store sees, in seconds */

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
	int err = __real_clock_gettime(id, now);

	if (id == CLOCK_MONOTONIC_COARSE)
		now->tv_sec = store_clock;
	return err;
}

static bool is_idle(struct zram *zram, uint64_t index)
{
	return zram->slots[index].state & SLOT_IDLE;
}

static struct zram *create_full(void)
{
	struct zram *zram = create_store(NR_PAGES + 2, (struct zram_options){ 0 });
	char *page = malloc(page_size());

	assert_non_null(page);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		make_text_page(page, i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	make_same_page(page, 1);
	assert_int_equal(zram_write_page(zram, NR_PAGES, page), 0);
	free(page);
	return zram;
}

static void test_all(void **state)
{
	struct zram *zram = create_full();

	(void)state;
	assert_false(is_idle(zram, 0));
	assert_int_equal(zram_mark_idle(zram, 0), 0);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		assert_true(is_idle(zram, i));
	/* Nothing can be gained from a page of one word, nor from an empty one. */
	assert_false(is_idle(zram, NR_PAGES));
	assert_int_equal(zram->slots[NR_PAGES + 1].state, 0);
	zram_destroy(zram);
}

static void test_access_takes_the_mark_away(void **state)
{
	struct zram *zram = create_full();
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	assert_int_equal(zram_mark_idle(zram, 0), 0);
	assert_int_equal(zram_read_page(zram, 0, page), 0);
	/* Over an object of the same class, and in place of one of another class. */
	assert_int_equal(zram_write_page(zram, 1, page), 0);
	make_random_page(page, 2);
	assert_int_equal(zram_write_page(zram, 2, page), 0);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		assert_int_equal(is_idle(zram, i), i > 2);
	free(page);
	zram_destroy(zram);
}

static void test_by_age(void **state)
{
	static const int64_t ages[] = { 1, 64, 1000, HOUR, ZRAM_AGE_MAX };
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	for (size_t a = 0; a < sizeof(ages) / sizeof(ages[0]); a++) {
		for (int64_t start = 1000000; start < 1000000 + SLOT_STAMP_SECONDS; start++) {
			struct zram *zram;

			store_clock = start;
			zram = create_full();
			store_clock = start + ages[a] - 1;
			assert_int_equal(zram_mark_idle(zram, (uint64_t)ages[a]), 0);
			assert_false(is_idle(zram, 0));
			assert_int_equal(zram_read_page(zram, 1, page), 0);
			store_clock = start + ages[a] + SLOT_STAMP_SECONDS;
			assert_int_equal(zram_mark_idle(zram, (uint64_t)ages[a]), 0);
			assert_true(is_idle(zram, 0));
			/* That page was read 65 seconds ago. */
			assert_false(ages[a] > 65 && is_idle(zram, 1));
			zram_destroy(zram);
		}
	}
	free(page);
}

static void test_errors(void **state)
{
	struct zram *zram = create_full();

	(void)state;
	assert_int_equal(zram_mark_idle(NULL, 0), -EINVAL);
	assert_int_equal(zram_mark_idle(zram, ZRAM_AGE_MAX + 1), -EINVAL);
	assert_int_equal(zram_mark_idle(zram, UINT64_MAX), -EINVAL);
	assert_int_equal(walk_begin(zram), 0);
	assert_int_equal(zram_mark_idle(zram, 0), -EBUSY);
	assert_false(is_idle(zram, 0));
	walk_end(zram);
	assert_int_equal(zram_mark_idle(zram, 0), 0);
	assert_true(is_idle(zram, 0));
	zram_destroy(zram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_access_takes_the_mark_away),
		cmocka_unit_test(test_by_age),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
