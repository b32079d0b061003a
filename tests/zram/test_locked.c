/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A program that has locked its memory, and all that will come. A store is resident by what it
 * stores, not by its capacity. Beyond the limit there is no memory.
 */
#include "locked.h"
#include "zram_pages.h"

#define CAPACITY (1UL << 24) /* pages; their slots take 256 MiB */
#define PAGES 4000
#define APART (CAPACITY / PAGES) /* each page's slot is in a page of its own */
#define OWN_KIB 8192 /* what libraries and streams may have for themselves */
#define LIMIT (48UL << 20)

static void lives_locked(const void *arg)
{
	char *page = malloc(page_size());
	unsigned long before;
	struct zram *store;

	(void)arg;
	CHILD_CHECK(page && mlockall(MCL_FUTURE) == 0);
	before = resident_kib();
	store = create_store(CAPACITY, (struct zram_options){ .algorithm = "lz4" });
	CHILD_CHECK(resident_kib() < before + OWN_KIB);
	for (uint64_t i = 0; i < PAGES; i++) {
		make_text_page(page, i);
		CHILD_CHECK(zram_write_page(store, i * APART, page) == 0);
	}
	/* A page takes half of it, and its slot a whole one. */
	CHILD_CHECK(resident_kib() < before + OWN_KIB + PAGES * page_size() / 1024 * 7 / 4);
	for (uint64_t i = 0; i < PAGES; i++) {
		make_text_page(page, i);
		CHILD_CHECK(page_reads_as(store, i * APART, page));
	}
	zram_destroy(store);
	CHILD_CHECK(resident_kib() < before + OWN_KIB);
}

static void test_locked_memory(void **state)
{
	(void)state;
	run_locked(lives_locked);
}

/* Writes until the limit of locked memory, and goes on when there is room again. */
static void meets_the_limit(const void *arg)
{
	struct zram_options options = {
		.size = sizeof(options),
		.disksize = CAPACITY * page_size(),
		.algorithm = "lz4",
	};
	char *page = malloc(page_size());
	struct zram *store;
	uint64_t got = 0;
	int err = 0;

	(void)arg;
	CHILD_CHECK(page);
	lock_up_to(LIMIT);
	/* The table alone is beyond it. */
	CHILD_CHECK(!zram_create(&options) && errno == ENOMEM);
	store = create_store(LIMIT / page_size(), (struct zram_options){ .algorithm = "lz4" });
	for (; !err && got < LIMIT / page_size(); got += !err) {
		make_random_page(page, got);
		err = zram_write_page(store, got, page);
	}
	CHILD_CHECK(err == -ENOMEM && got > 0);
	for (uint64_t i = 0; i < got; i++) {
		make_random_page(page, i);
		CHILD_CHECK(page_reads_as(store, i, page));
	}
	for (uint64_t i = 0; i < got / 2; i++)
		CHILD_CHECK(zram_slot_free_notify(store, i) == 0);
	for (uint64_t i = 0; i < got / 2; i++) {
		make_random_page(page, i + got);
		CHILD_CHECK(zram_write_page(store, i, page) == 0);
		CHILD_CHECK(page_reads_as(store, i, page));
	}
	zram_destroy(store);
}

static void test_limit_of_locked_memory(void **state)
{
	(void)state;
	run_limited(meets_the_limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_locked_memory),
		cmocka_unit_test(test_limit_of_locked_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
