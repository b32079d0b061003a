/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The memory limit: writes are all or nothing. The limit holds however many threads write at once,
 * and what waits to be freed is no reason to fail.
 */
#include "zram_pages.h"

#include <errno.h>
#include <pthread.h>

#define LIMIT_PAGES 256
#define NR_PAGES 2048
/* The longest zspage: what a pool may lack to come up to its limit. */
#define SLACK_PAGES 32

static struct zram *create_limited(uint64_t pages)
{
	return create_store(NR_PAGES, (struct zram_options){
					      .mem_limit = pages * page_size(),
					      .deferred_delay_ms = 3600 * 1000,
				      });
}

/* Write pages of that kind from @first on until one fails. Returns the index that failed. */
static uint64_t fill(struct zram *zram, void (*make)(void *page, uint64_t seed), uint64_t first)
{
	char *page = malloc(page_size());
	uint64_t index;
	int err = 0;

	assert_non_null(page);
	for (index = first; index < NR_PAGES; index++) {
		make(page, index);
		err = zram_write_page(zram, index, page);
		if (err)
			break;
	}
	assert_int_equal(err, -ENOMEM);
	free(page);
	return index;
}

static void assert_filled(struct zram *zram, void (*make)(void *page, uint64_t seed), uint64_t end)
{
	char *page = malloc(page_size());

	assert_non_null(page);
	for (uint64_t i = 0; i < end; i++) {
		make(page, i);
		assert_page_is(zram, i, page);
	}
	free(page);
}

static void assert_stats_equal(struct zram_mm_stat a, struct zram_mm_stat b)
{
	assert_int_equal(a.orig_data_size, b.orig_data_size);
	assert_int_equal(a.compr_data_size, b.compr_data_size);
	assert_int_equal(a.mem_used_total, b.mem_used_total);
	assert_int_equal(a.same_pages, b.same_pages);
	assert_int_equal(a.huge_pages, b.huge_pages);
	assert_int_equal(a.huge_pages_since, b.huge_pages_since);
}

static void test_limit_is_reached_and_kept(void **state)
{
	struct zram *zram = create_limited(LIMIT_PAGES);
	uint64_t end = fill(zram, make_random_page, 0);
	struct zram_mm_stat stat = stat_of(zram);

	(void)state;
	assert_in_range(end, LIMIT_PAGES - SLACK_PAGES, LIMIT_PAGES);
	assert_int_equal(stat.mem_limit, LIMIT_PAGES * page_size());
	assert_true(stat.mem_used_total <= stat.mem_limit);
	assert_int_equal(stat.orig_data_size, end * page_size());
	assert_page_is_empty(zram, end);
	assert_filled(zram, make_random_page, end);
	zram_destroy(zram);

	/* Pages that compress to half: about twice as many, if there is room for a few zspages. */
	zram = create_limited(NR_PAGES / 4);
	end = fill(zram, make_text_page, 0);
	assert_in_range(end, NR_PAGES / 4 * 3 / 2, NR_PAGES / 4 * 2);
	assert_true(stat_of(zram).mem_used_total <= NR_PAGES / 4 * page_size());
	assert_filled(zram, make_text_page, end);
	zram_destroy(zram);
}

/* An overwrite that does not fit leaves the old page readable, and nothing else changed. */
static void test_failed_overwrite_changes_nothing(void **state)
{
	struct zram *zram = create_limited(LIMIT_PAGES);
	const uint64_t end_of_text = LIMIT_PAGES / 2;
	char *page = malloc(page_size());
	struct zram_mm_stat before;
	uint64_t end;

	(void)state;
	assert_non_null(page);
	for (uint64_t i = 0; i < end_of_text; i++) {
		make_text_page(page, i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	end = fill(zram, make_random_page, end_of_text); /* not a page of room is left */
	before = stat_of(zram);
	for (uint64_t i = 0; i < end_of_text; i++) {
		make_random_page(page, NR_PAGES + i);
		assert_int_equal(zram_write_page(zram, i, page), -ENOMEM);
	}
	assert_filled(zram, make_text_page, end_of_text);
	assert_stats_equal(stat_of(zram), before);

	/* An object of the same size needs no memory. */
	assert_true(end > end_of_text);
	assert_int_equal(zram_write_page(zram, end_of_text, page), 0);
	assert_page_is(zram, end_of_text, page);

	/* A page of one word needs no memory, and what it replaces is free at once. */
	make_same_page(page, 42);
	assert_int_equal(zram_write_page(zram, end_of_text, page), 0);
	assert_page_is(zram, end_of_text, page);
	make_random_page(page, NR_PAGES);
	assert_int_equal(zram_write_page(zram, end, page), 0);
	assert_page_is(zram, end, page);
	free(page);
	zram_destroy(zram);
}

/* No worker will drain the queue within the hour, but a write that needs the memory gets it. */
static void test_pending_frees_are_no_reason_to_fail(void **state)
{
	struct zram *zram = create_limited(LIMIT_PAGES);
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	for (int round = 0; round < 3; round++) {
		uint64_t end = fill(zram, make_random_page, 0);

		assert_in_range(end, LIMIT_PAGES - SLACK_PAGES, LIMIT_PAGES);
		for (uint64_t i = 0; i < end; i++)
			assert_int_equal(zram_slot_free_notify(zram, i), 0);
	}
	free(page);
	zram_destroy(zram);
}

static void test_discard_makes_room(void **state)
{
	struct zram *zram = create_limited(LIMIT_PAGES);
	uint64_t end = fill(zram, make_random_page, 0);

	(void)state;
	assert_int_equal(zram_discard(zram, 0, end), 0);
	assert_int_equal(stat_of(zram).mem_used_total, 0);
	assert_int_equal(fill(zram, make_random_page, 0), end);
	assert_filled(zram, make_random_page, end);
	zram_destroy(zram);
}

/* The limit is rounded up to whole pages. */
static void test_tiny_limit(void **state)
{
	struct zram *zram = create_store(NR_PAGES, (struct zram_options){ .mem_limit = 1 });
	char *page = malloc(page_size());
	uint64_t end;

	(void)state;
	assert_non_null(page);
	assert_int_equal(stat_of(zram).mem_limit, page_size());
	end = fill(zram, make_random_page, 0);
	assert_in_range(end, 0, 1);
	assert_filled(zram, make_random_page, end);
	make_same_page(page, 1);
	assert_int_equal(zram_write_page(zram, end, page), 0);
	assert_page_is(zram, end, page);
	free(page);
	zram_destroy(zram);
}

struct writer {
	pthread_t thread;
	struct zram *zram;
	uint64_t first;
	uint64_t written;
};

/* Writes a range of its own; one attempt a page. */
static void *write_range(void *arg)
{
	struct writer *writer = arg;
	char *page = malloc(page_size());

	for (uint64_t i = 0; page && i < LIMIT_PAGES; i++) {
		int err;

		make_random_page(page, writer->first + i);
		err = zram_write_page(writer->zram, writer->first + i, page);
		if (!err)
			writer->written++;
		else if (err != -ENOMEM)
			abort();
	}
	free(page);
	return NULL;
}

static void test_limit_holds_for_many_writers(void **state)
{
	enum {
		WRITERS = 4,
		ROUNDS = 20
	};

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct zram *zram = create_limited(LIMIT_PAGES);
		struct writer writers[WRITERS];
		uint64_t written = 0, readable = 0;
		char *page = malloc(page_size());
		char *zeros = calloc(1, page_size());

		assert_non_null(page);
		assert_non_null(zeros);
		for (unsigned int i = 0; i < WRITERS; i++) {
			writers[i] = (struct writer){ .zram = zram, .first = i * LIMIT_PAGES };
			assert_int_equal(
				pthread_create(&writers[i].thread, NULL, write_range, &writers[i]),
				0);
		}
		for (unsigned int i = 0; i < WRITERS; i++) {
			assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
			written += writers[i].written;
		}
		assert_true(stat_of(zram).mem_used_total <= LIMIT_PAGES * page_size());
		assert_true(written <= LIMIT_PAGES);
		assert_true(written > 0);
		for (uint64_t i = 0; i < WRITERS * LIMIT_PAGES; i++) {
			make_random_page(page, i);
			if (page_reads_as(zram, i, page))
				readable++;
			else
				assert_page_is(zram, i, zeros);
		}
		assert_int_equal(readable, written);
		free(zeros);
		free(page);
		zram_destroy(zram);
	}
}

#define REWRITERS 4
#define REWRITES 4000
#define REWRITTEN 48 /* pages of each */

/*
 * Forgets a page and writes it anew, as a file system rewrites a file in place on a swapped store.
 * What it forgets waits, in lanes that no other thread enters.
 */
static void *rewrite_range(void *arg)
{
	struct writer *writer = arg;
	char *page = malloc(page_size());

	for (uint64_t i = 0; page && i < REWRITES; i++) {
		uint64_t index = writer->first + i % REWRITTEN;

		zram_slot_free_notify(writer->zram, index);
		make_random_page(page, i);
		if (!zram_write_page(writer->zram, index, page))
			writer->written++;
	}
	free(page);
	return NULL;
}

/* With synchronous frees no write would fail: there is room for what is stored, and some. */
static void test_rewriting_never_fails(void **state)
{
	const uint64_t limit = REWRITERS * REWRITTEN + 2 * SLACK_PAGES;
	struct zram *zram = create_limited(limit);
	struct writer writers[REWRITERS];

	(void)state;
	for (unsigned int i = 0; i < REWRITERS; i++) {
		writers[i] = (struct writer){ .zram = zram, .first = i * REWRITTEN };
		assert_int_equal(
			pthread_create(&writers[i].thread, NULL, rewrite_range, &writers[i]), 0);
	}
	for (unsigned int i = 0; i < REWRITERS; i++) {
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
		assert_int_equal(writers[i].written, REWRITES);
	}
	assert_true(stat_of(zram).mem_used_max <= 2 * limit * page_size()); /* it drains first */
	zram_destroy(zram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_is_reached_and_kept),
		cmocka_unit_test(test_failed_overwrite_changes_nothing),
		cmocka_unit_test(test_pending_frees_are_no_reason_to_fail),
		cmocka_unit_test(test_discard_makes_room),
		cmocka_unit_test(test_tiny_limit),
		cmocka_unit_test(test_limit_holds_for_many_writers),
		cmocka_unit_test(test_rewriting_never_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
