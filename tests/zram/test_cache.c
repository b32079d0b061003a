/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What a cache promises: where pages go, in which order they leave memory, the limit and its
 * hysteresis. A slower store that fails harms a page and no other. The shrinker has nothing to do
 * where a test does not say so, for the limit is far. Reaches inside for the pool.
 */
#include "backing_file.h"
#include "slow_store.h"

#include <sys/stat.h>

#include "cache.h"

#define FAR (1ULL << 30)
#define SOME 40
#define LIMIT_PAGES 256
#define CHAIN_PAGES 32 /* that a pool may grow by at once */

static struct zram_cache *cache;
static struct zram_area *area;
static struct slow_store *slow;

static void create(struct zram_cache_options options)
{
	cache = make_cache(options);
	slow = slow_create();
	area = attach(cache, slow);
}

static void destroy(void)
{
	zram_cache_destroy(cache);
	slow_destroy(slow);
}

static void write_page(uint64_t index, uint64_t seed)
{
	assert_int_equal(cache_write(area, index, seed), 0);
}

static void check_page(uint64_t index, uint64_t seed)
{
	assert_true(cache_reads(area, index, seed));
}

static void test_pages_stay_in_memory(void **state)
{
	(void)state;
	create((struct zram_cache_options){ .limit = FAR });
	check_page(0, 0);
	for (uint64_t i = 0; i < SOME; i++)
		write_page(i, TEXT(i));
	for (uint64_t i = 0; i < SOME; i++)
		check_page(i, TEXT(i));
	assert_int_equal(cache_stat(cache).pages, SOME);
	assert_int_equal(cache_stat(cache).hits, SOME);
	assert_int_equal(slow->writes, 0);
	assert_int_equal(zram_cache_free(area, 0, SLOW_PAGES), 0);
	for (uint64_t i = 0; i < SOME; i++)
		check_page(i, 0);
	assert_int_equal(cache_stat(cache).pages, 0);
	assert_int_equal(slow->frees, 0);
	destroy();
}

static void test_same_filled_take_no_memory(void **state)
{
	(void)state;
	create((struct zram_cache_options){ .limit = FAR });
	for (uint64_t i = 0; i < SOME; i++)
		write_page(i, SAME(i));
	assert_int_equal(cache_stat(cache).same_pages, SOME);
	assert_int_equal(cache_stat(cache).mem_used, 0);
	assert_int_equal(zram_cache_shrink(cache, SOME), 0);
	write_page(0, TEXT(0));
	write_page(1, HUGE_SEED(1));
	assert_int_equal(cache_stat(cache).same_pages, SOME - 2);
	assert_int_equal(cache_stat(cache).pages, SOME - 1);
	/* A flush writes all. */
	assert_int_equal(zram_cache_flush(area), 0);
	assert_int_equal(cache_stat(cache).pages, 0);
	assert_int_equal(cache_stat(cache).same_pages, 0);
	assert_int_equal(cache_stat(cache).slower_pages, SOME);
	check_page(7, SAME(7));
	destroy();
}

static void test_incompressible_goes_straight_through(void **state)
{
	(void)state;
	create((struct zram_cache_options){ .limit = FAR });
	write_page(3, HUGE_SEED(3));
	assert_int_equal(slow->writes, 1);
	assert_int_equal(cache_stat(cache).rejected_huge, 1);
	assert_int_equal(cache_stat(cache).pages, 0);
	assert_int_equal(cache_stat(cache).mem_used, 0);
	assert_int_equal(cache_stat(cache).slower_pages, 1);
	check_page(3, HUGE_SEED(3));
	assert_int_equal(cache_stat(cache).misses, 1);
	/* The old page leaves memory; a new one comes back there. */
	write_page(4, TEXT(4));
	write_page(4, HUGE_SEED(4));
	assert_int_equal(cache_stat(cache).pages, 0);
	check_page(4, HUGE_SEED(4));
	write_page(4, TEXT(5));
	assert_int_equal(cache_stat(cache).pages, 1);
	assert_int_equal(cache_stat(cache).slower_pages, 1);
	check_page(4, TEXT(5));
	/* Whatever the slower store has of freed pages goes. */
	assert_int_equal(zram_cache_free(area, 3, 2), 0);
	assert_int_equal(slow->frees, 2);
	assert_int_equal(slow->nr_pages, 0);
	destroy();
}

static void test_cold_end_goes_first(void **state)
{
	struct slow_store *other = slow_create();
	struct zram_area *second;

	(void)state;
	create((struct zram_cache_options){ .limit = FAR });
	second = attach(cache, other);
	for (uint64_t i = 0; i < 8; i++) {
		write_page(i, TEXT(i));
		assert_int_equal(cache_write(second, 100 + i, TEXT(i)), 0);
	}
	/* Of both areas, in the order in which they came. */
	assert_int_equal(zram_cache_shrink(cache, 2), 2);
	assert_int_equal(slow->log[0], 0);
	assert_int_equal(other->log[0], 100);
	/* A write makes a page hot, and a read gives it a second chance. */
	write_page(1, TEXT(50));
	check_page(2, TEXT(2));
	assert_int_equal(zram_cache_shrink(cache, 4), 4);
	assert_int_equal(other->log[1], 101);
	assert_int_equal(other->log[2], 102);
	assert_int_equal(slow->log[1], 3);
	assert_int_equal(other->log[3], 103);
	/* The rest, and then those two in this order. */
	assert_int_equal(zram_cache_shrink(cache, SLOW_PAGES), 10);
	assert_int_equal(slow->log[6], 1);
	assert_int_equal(slow->log[7], 2);
	assert_int_equal(zram_cache_shrink(cache, SLOW_PAGES), 0);
	assert_int_equal(cache_stat(cache).written_back, 16);
	assert_int_equal(cache_stat(cache).mem_used, 0);
	for (uint64_t i = 0; i < 8; i++) {
		check_page(i, i == 1 ? TEXT(50) : TEXT(i));
		assert_true(cache_reads(second, 100 + i, TEXT(i)));
	}
	destroy();
	slow_destroy(other);
}

/* All pages were read: each has its second chance, and then the oldest goes. */
static void test_read_pages_go_when_all_are_read(void **state)
{
	(void)state;
	create((struct zram_cache_options){ .limit = FAR });
	for (uint64_t i = 0; i < 8; i++)
		write_page(i, TEXT(i));
	for (uint64_t i = 0; i < 8; i++)
		check_page(i, TEXT(i));
	assert_int_equal(zram_cache_shrink(cache, 3), 3);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(slow->log[i], i);
	destroy();
}

static bool is_down(void *arg)
{
	(void)arg;
	return cache_stat(cache).mem_used <= cache_stat(cache).accept;
}

static void test_limit_holds(void **state)
{
	uint64_t rejected = 0;

	(void)state;
	create((struct zram_cache_options){ .limit = LIMIT_PAGES * page_size() });
	assert_int_equal(cache_stat(cache).limit, LIMIT_PAGES * page_size());
	for (uint64_t i = 0; i < SLOW_PAGES; i++) {
		write_page(i, TEXT(i));
		assert_true(cache_stat(cache).mem_used <= cache_stat(cache).limit);
		/* Each time that the limit is reached, the shrinker goes down to the threshold. */
		if (cache_stat(cache).rejected_limit > rejected) {
			assert_true(wait_for(is_down, NULL));
			rejected = cache_stat(cache).rejected_limit;
		}
	}
	assert_true(rejected > 0);
	assert_int_equal(cache_stat(cache).limit_hits, rejected);
	assert_true(cache_stat(cache).written_back > 0);
	for (uint64_t i = 0; i < SLOW_PAGES; i++)
		check_page(i, TEXT(i));
	destroy();
}

static bool asked_and_failed(void *arg)
{
	return cache_stat(cache).failed_writes >= *(uint64_t *)arg;
}

/* Fills a cache whose slower store takes nothing. Returns the first index that was rejected. */
static uint64_t fill_to_limit(void)
{
	uint64_t index = 0;
	uint64_t failures = 17; /* the write's and those that the shrinker dares */

	atomic_store(&slow->fail_writes, EIO);
	while (cache_write(area, index, TEXT(index)) == 0)
		assert_true(++index < SLOW_PAGES);
	assert_int_equal(cache_stat(cache).limit_hits, 1);
	assert_int_equal(cache_stat(cache).rejected_limit, 1);
	assert_true(wait_for(asked_and_failed, &failures));
	return index;
}

/*
 * The slower store fails, so that the shrinker lowers nothing. The pool's worker may compact and so
 * lower what is used at any time.
 */
static void test_hysteresis(void **state)
{
	uint64_t filled, freed = 0, rejected = 1;
	int err;

	(void)state;
	create((struct zram_cache_options){ .limit = LIMIT_PAGES * page_size(),
					    .accept_percent = 50 });
	assert_int_equal(cache_stat(cache).accept, LIMIT_PAGES / 2 * page_size());
	filled = fill_to_limit();
	do {
		const uint64_t before = cache_stat(cache).mem_used;

		err = cache_write(area, filled, TEXT(filled));
		assert_true(err == 0 || before > cache_stat(cache).accept);
		if (!err)
			break;
		assert_int_equal(err, -EIO);
		assert_int_equal(cache_stat(cache).rejected_limit, ++rejected);
		/* One that takes no memory is kept. */
		write_page(filled + 1, SAME(filled));
		assert_int_equal(zram_cache_free(area, freed++, 1), 0);
		zs_compact(cache->owner->pool);
	} while (freed < filled);
	assert_int_equal(err, 0);
	assert_true(rejected > LIMIT_PAGES / 8);
	assert_true(cache_stat(cache).mem_used <=
		    cache_stat(cache).accept + CHAIN_PAGES * page_size());
	assert_int_equal(cache_stat(cache).rejected_limit, rejected);
	assert_int_equal(cache_stat(cache).limit_hits, 1);
	for (uint64_t i = freed; i <= filled; i++)
		check_page(i, TEXT(i));
	destroy();
}

/* What was in memory stays there, and all of it goes once the store is well again. */
static void test_failing_store_loses_nothing(void **state)
{
	uint64_t filled;

	(void)state;
	create((struct zram_cache_options){ .limit = LIMIT_PAGES * page_size() });
	filled = fill_to_limit();
	for (uint64_t i = 0; i < filled; i++)
		check_page(i, TEXT(i));
	assert_int_equal(slow->writes, 0);
	assert_int_equal(zram_cache_shrink(cache, filled), -EIO);
	assert_int_equal(zram_cache_flush(area), -EIO);
	assert_int_equal(cache_stat(cache).pages, filled);
	/* A page that cannot go straight through: the writer hears of it, and has the old one. */
	assert_int_equal(cache_write(area, 0, HUGE_SEED(0)), -EIO);
	check_page(0, TEXT(0));
	atomic_store(&slow->fail_writes, 0);
	assert_int_equal(zram_cache_flush(area), 0);
	assert_int_equal(cache_stat(cache).pages, 0);
	for (uint64_t i = 0; i < filled; i++)
		check_page(i, TEXT(i));
	destroy();
}

static void test_error_hits_its_page_alone(void **state)
{
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	create((struct zram_cache_options){ .limit = FAR });
	for (uint64_t i = 0; i < SOME; i++)
		write_page(i, TEXT(i));
	atomic_store(&slow->bad_page, 5 + 1);
	assert_int_equal(zram_cache_shrink(cache, SOME), SOME - 1);
	assert_int_equal(cache_stat(cache).pages, 1);
	for (uint64_t i = 0; i < SOME; i++)
		check_page(i, TEXT(i));
	assert_int_equal(zram_cache_flush(area), -EIO);
	atomic_store(&slow->bad_page, 0);
	assert_int_equal(zram_cache_flush(area), 0);
	/* Nor does a read. */
	atomic_store(&slow->bad_page, 6 + 1);
	assert_int_equal(zram_cache_read(area, 6, page), -EIO);
	assert_int_equal(cache_stat(cache).failed_reads, 1);
	for (uint64_t i = 0; i < SOME; i++) {
		if (i != 6)
			check_page(i, TEXT(i));
	}
	atomic_store(&slow->bad_page, 0);
	check_page(6, TEXT(6));
	/* Other bytes than were written are an error. */
	slow_page(slow, 7)[100] ^= 1;
	assert_int_equal(zram_cache_read(area, 7, page), -EIO);
	check_page(8, TEXT(8));
	free(page);
	destroy();
}

static void test_full_store(void **state)
{
	(void)state;
	create((struct zram_cache_options){ .limit = FAR });
	for (uint64_t i = 0; i < SOME; i++)
		write_page(i, TEXT(i));
	atomic_store(&slow->room, 10);
	assert_int_equal(zram_cache_shrink(cache, SOME), 10);
	assert_int_equal(zram_cache_shrink(cache, SOME), -ENOSPC);
	assert_int_equal(cache_write(area, SOME, HUGE_SEED(0)), -ENOSPC);
	check_page(SOME, 0);
	for (uint64_t i = 0; i < SOME; i++)
		check_page(i, TEXT(i));
	/* Frees make room. */
	assert_int_equal(zram_cache_free(area, 0, 5), 0);
	assert_int_equal(slow->nr_pages, 5);
	assert_int_equal(zram_cache_shrink(cache, SOME), 5);
	destroy();
}

static void test_failed_free_is_told_and_tried_again(void **state)
{
	(void)state;
	create((struct zram_cache_options){ .limit = FAR });
	write_page(1, HUGE_SEED(1));
	atomic_store(&slow->fail_frees, EIO);
	assert_int_equal(zram_cache_free(area, 0, 3), -EIO);
	assert_int_equal(cache_stat(cache).failed_frees, 1);
	check_page(1, 0);
	atomic_store(&slow->fail_frees, 0);
	assert_int_equal(zram_cache_free(area, 0, 3), 0);
	assert_int_equal(slow->frees, 1);
	assert_int_equal(zram_cache_free(area, 0, 3), 0);
	assert_int_equal(slow->frees, 1);
	destroy();
}

static void test_file(void **state)
{
	struct backing_file file = create_file(SOME);
	char *page = malloc(page_size() + 1);
	struct zram_area *of_file;

	(void)state;
	assert_non_null(page);
	create((struct zram_cache_options){ .limit = FAR });
	of_file = zram_cache_attach_file(cache, file.path);
	assert_non_null(of_file);
	assert_null(zram_cache_attach_file(cache, file.path));
	assert_int_equal(errno, EBUSY);
	for (uint64_t i = 0; i < SOME; i++)
		assert_int_equal(cache_write(of_file, i, i), 0);
	assert_int_equal(cache_write(of_file, SOME, 1), -EINVAL);
	assert_int_equal(zram_cache_flush(of_file), 0);
	assert_int_equal(cache_stat(cache).slower_pages, SOME);
	for (uint64_t i = 0; i < SOME; i++)
		assert_true(cache_reads(of_file, i, i));
	/* Pages of any alignment. */
	make_random_page(page + 1, 99);
	assert_int_equal(zram_cache_write(of_file, 3, page + 1), 0);
	assert_int_equal(zram_cache_read(of_file, 3, page + 1), 0);
	assert_true(random_is(page + 1, page_size(), 99));
	/* A file that shrinks loses what was cut off, and that alone. */
	assert_int_equal(ftruncate(file.fd, (off_t)((SOME - 1) * page_size())), 0);
	assert_int_equal(zram_cache_read(of_file, SOME - 1, page), -EIO);
	assert_true(cache_reads(of_file, SOME - 2, SOME - 2));
	zram_cache_detach(of_file);
	/* It is free again. */
	of_file = zram_cache_attach_file(cache, file.path);
	assert_non_null(of_file);
	assert_true(cache_reads(of_file, 0, 0));
	free(page);
	destroy();
	remove_file(&file);
}

static void test_detach(void **state)
{
	struct slow_store *other = slow_create();
	struct zram_area *second;

	(void)state;
	create((struct zram_cache_options){ .limit = FAR });
	second = attach(cache, other);
	for (uint64_t i = 0; i < SOME; i++) {
		write_page(i, i);
		assert_int_equal(cache_write(second, i, i + 1000), 0);
	}
	zram_cache_detach(second);
	assert_int_equal(cache_stat(cache).pages + cache_stat(cache).slower_pages, SOME);
	assert_true(zram_cache_shrink(cache, SLOW_PAGES) > 0);
	assert_int_equal(cache_stat(cache).mem_used, 0);
	for (uint64_t i = 0; i < SOME; i++)
		check_page(i, i);
	slow_destroy(other);
	destroy();
}

static char scratch[] = "/tmp/test_cache.XXXXXX";

static bool some_are_written_back(void *arg)
{
	return cache_stat(cache).written_back >= *(uint64_t *)arg;
}

static void test_memory_pressure(void **state)
{
	struct zram_cache_options options = { .limit = FAR, .pressure = 1 };
	uint64_t wanted = SLOW_PAGES / 8;
	char fifo[64];
	int end;

	(void)state;
	options.size = sizeof(options);
	assert_non_null(mkdtemp(scratch));
	snprintf(fifo, sizeof(fifo), "%s/fifo", scratch);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	end = open(fifo, O_RDWR | O_CLOEXEC);
	assert_true(end >= 0);
	assert_int_equal(setenv("MEMORY_PRESSURE_WATCH", fifo, 1), 0);
	cache = zram_cache_create(&options);
	if (!cache && errno == ENOTSUP) { /* built without the watcher */
		close(end);
		unlink(fifo);
		rmdir(scratch);
		skip();
	}
	assert_non_null(cache);
	slow = slow_create();
	area = attach(cache, slow);
	for (uint64_t i = 0; i < SLOW_PAGES; i++)
		write_page(i, TEXT(i));
	assert_int_equal(cache_stat(cache).written_back, 0);
	assert_int_equal(write(end, "", 1), 1);
	assert_true(wait_for(some_are_written_back, &wanted));
	assert_int_equal(slow->log[0], 0);
	destroy();
	close(end);
	unlink(fifo);
	rmdir(scratch);
	setenv("MEMORY_PRESSURE_WATCH", "/dev/null", 1);
}

static void test_wrong_options(void **state)
{
	static const struct zram_cache_options wrong[] = {
		{ .size = 0 },
		{ .size = sizeof(wrong[0]), .limit_percent = 101 },
		{ .size = sizeof(wrong[0]), .accept_percent = 101 },
		{ .size = sizeof(wrong[0]), .pressure = 2 },
		{ .size = sizeof(wrong[0]), .algorithm = "none" },
		{ .size = sizeof(wrong[0]), .level = -5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		assert_null(zram_cache_create(&wrong[i]));
		assert_int_equal(errno, EINVAL);
	}
	errno = 0;
	assert_null(zram_cache_create(NULL));
	assert_int_equal(errno, EINVAL);
}

static void test_wrong_calls(void **state)
{
	struct zram_slower slower = { .size = sizeof(slower), .read = slow_read };
	char *page = malloc(page_size());
	struct zram_cache_stat stat;

	(void)state;
	assert_non_null(page);
	create((struct zram_cache_options){ .limit = FAR });
	assert_null(zram_cache_attach(cache, 1, &slower));
	assert_int_equal(errno, EINVAL);
	slower.write = slow_write;
	assert_null(zram_cache_attach(cache, 0, &slower));
	assert_null(zram_cache_attach(NULL, 1, &slower));
	assert_null(zram_cache_attach(cache, 1, NULL));
	slower.size = 0;
	assert_null(zram_cache_attach(cache, 1, &slower));
	assert_null(zram_cache_attach_file(cache, NULL));
	assert_null(zram_cache_attach_file(NULL, "/"));
	assert_null(zram_cache_attach_file(cache, "/nothing/there"));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(zram_cache_write(area, SLOW_PAGES, page), -EINVAL);
	assert_int_equal(zram_cache_write(area, 0, NULL), -EINVAL);
	assert_int_equal(zram_cache_write(NULL, 0, page), -EINVAL);
	assert_int_equal(zram_cache_read(area, SLOW_PAGES, page), -EINVAL);
	assert_int_equal(zram_cache_read(area, 0, NULL), -EINVAL);
	assert_int_equal(zram_cache_read(NULL, 0, page), -EINVAL);
	assert_int_equal(zram_cache_free(area, SLOW_PAGES, 1), -EINVAL);
	assert_int_equal(zram_cache_free(area, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(zram_cache_free(area, SLOW_PAGES, 0), 0);
	assert_int_equal(zram_cache_free(NULL, 0, 0), -EINVAL);
	assert_int_equal(zram_cache_shrink(NULL, 1), -EINVAL);
	assert_int_equal(zram_cache_flush(NULL), -EINVAL);
	zram_cache_detach(NULL);
	zram_cache_destroy(NULL);
	zram_cache_get_stat(cache, NULL);
	zram_cache_get_stat(NULL, &stat);
	assert_int_equal(stat.limit, 0);
	free(page);
	destroy();
}

/* A slower store need not free, and may say a nonsensical error. */
static int answer_one(void *arg, uint64_t index, const void *page)
{
	(void)arg;
	(void)index;
	(void)page;
	return 1;
}

static void test_store_without_free(void **state)
{
	struct zram_slower slower = { .size = sizeof(slower),
				      .write = slow_write,
				      .read = slow_read };
	struct zram_area *second;

	(void)state;
	create((struct zram_cache_options){ .limit = FAR });
	slower.arg = slow;
	second = zram_cache_attach(cache, SLOW_PAGES, &slower);
	assert_non_null(second);
	assert_int_equal(cache_write(second, 1, HUGE_SEED(1)), 0);
	assert_int_equal(zram_cache_free(second, 1, 1), 0);
	assert_true(cache_reads(second, 1, 0));
	slower.write = answer_one;
	second = zram_cache_attach(cache, SLOW_PAGES, &slower);
	assert_non_null(second);
	assert_int_equal(cache_write(second, 1, HUGE_SEED(1)), -EIO);
	destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_stay_in_memory),
		cmocka_unit_test(test_same_filled_take_no_memory),
		cmocka_unit_test(test_incompressible_goes_straight_through),
		cmocka_unit_test(test_cold_end_goes_first),
		cmocka_unit_test(test_read_pages_go_when_all_are_read),
		cmocka_unit_test(test_limit_holds),
		cmocka_unit_test(test_hysteresis),
		cmocka_unit_test(test_failing_store_loses_nothing),
		cmocka_unit_test(test_error_hits_its_page_alone),
		cmocka_unit_test(test_full_store),
		cmocka_unit_test(test_failed_free_is_told_and_tried_again),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_memory_pressure),
		cmocka_unit_test(test_wrong_options),
		cmocka_unit_test(test_wrong_calls),
		cmocka_unit_test(test_store_without_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
