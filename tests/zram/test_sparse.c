/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A store costs nothing for pages that were never written. A terabyte can be had on any machine. To
 * read, discard or free what is empty uses no memory.
 *
 * The test reaches inside, to find the table of slots.
 */
#include "zram_pages.h"

#include "zram_store.h"

#define TERABYTE (1ULL << 40)

/* Bytes of the table of slots that are in memory of its own; read, but never written, is not. */
static long table_memory(const struct zram *zram)
{
	const uintptr_t table = (uintptr_t)zram->slots;
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long from = 0, to = 0;
	long kilobytes = -1;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			continue;
		if (table >= from && table < to && sscanf(line, "Anonymous: %ld kB", &kilobytes))
			break;
	}
	fclose(file);
	assert_true(kilobytes >= 0);
	return kilobytes * 1024;
}

static void test_terabyte(void **state)
{
	const uint64_t pages = TERABYTE / page_size();
	struct zram *zram = create_store(pages, (struct zram_options){ 0 });
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	make_text_page(page, 1);
	assert_int_equal(zram_write_page(zram, pages - 1, page), 0);
	assert_int_equal(zram_write_page(zram, 0, page), 0);
	assert_page_is_empty(zram, pages / 2);

	/* The slots of 16 GiB fill 64 MiB at 4 KiB a page. */
	for (uint64_t i = 1; i < pages / 64; i++) {
		assert_int_equal(zram_slot_free_notify(zram, i), 0);
		if (i % 256 == 0)
			assert_int_equal(zram_read_page(zram, i, page), 0);
	}
	assert_int_equal(zram_discard(zram, 1, pages / 64), 0);
	assert_int_equal(zram_next_data(zram, 0, pages / 64), 0);
	assert_int_equal(zram_next_data(zram, 1, pages / 64), pages / 64);
	assert_int_equal(zram_next_data(zram, pages - 9, pages + 9), pages - 1);
	assert_int_equal(zram_next_data(zram, pages, pages + 9), pages + 9);
	assert_int_equal(zram_next_data(NULL, 0, 9), 9);
	assert_true(table_memory(zram) < 8 << 20);

	make_text_page(page, 1);
	assert_page_is(zram, 0, page);
	assert_page_is(zram, pages - 1, page);
	free(page);
	zram_destroy(zram);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_terabyte) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
