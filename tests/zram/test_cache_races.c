/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What happens to a page while it is being written back. The slower store blocks in the middle of
 * that, so that each race has its outcome. At last many threads do everything at once.
 */
#include "slow_store.h"

#define FAR (1ULL << 30)
#define PAGE 7
#define HOLD_US 20000 /* for a call that must not come */

static struct zram_cache *cache;
static struct zram_area *area;
static struct slow_store *slow;
static pthread_t thread;
static int64_t result;

static void *run_shrink(void *arg)
{
	(void)arg;
	result = zram_cache_shrink(cache, 1);
	return NULL;
}

static bool is_blocked(void *arg)
{
	(void)arg;
	return atomic_load(&slow->blocked);
}

/* A thread is writing PAGE back, which has TEXT(1), and is stopped in the slower store. */
static void begin(void)
{
	cache = make_cache((struct zram_cache_options){ .limit = FAR });
	slow = slow_create();
	area = attach(cache, slow);
	assert_int_equal(cache_write(area, PAGE, TEXT(1)), 0);
	atomic_store(&slow->blocks_page, PAGE + 1);
	assert_int_equal(pthread_create(&thread, NULL, run_shrink, NULL), 0);
	assert_true(wait_for(is_blocked, NULL));
}

static void go_on(void)
{
	atomic_store(&slow->let_go, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void end(void)
{
	zram_cache_destroy(cache);
	slow_destroy(slow);
}

static void test_read(void **state)
{
	(void)state;
	begin();
	assert_true(cache_reads(area, PAGE, TEXT(1)));
	assert_int_equal(slow->reads, 0);
	go_on();
	assert_int_equal(result, 1);
	assert_true(cache_reads(area, PAGE, TEXT(1)));
	assert_int_equal(slow->reads, 1);
	end();
}

static void test_overwrite(void **state)
{
	(void)state;
	begin();
	assert_int_equal(cache_write(area, PAGE, TEXT(2)), 0);
	assert_true(cache_reads(area, PAGE, TEXT(2)));
	go_on();
	assert_int_equal(result, 0);
	assert_true(cache_reads(area, PAGE, TEXT(2)));
	assert_int_equal(cache_stat(cache).pages, 1);
	/* It goes another time, and then what is there is new. */
	assert_int_equal(zram_cache_shrink(cache, 1), 1);
	assert_int_equal(cache_stat(cache).pages, 0);
	assert_true(cache_reads(area, PAGE, TEXT(2)));
	end();
}

static void test_freed(void **state)
{
	(void)state;
	begin();
	assert_int_equal(zram_cache_free(area, PAGE, 1), 0);
	assert_true(cache_reads(area, PAGE, 0));
	assert_int_equal(slow->frees, 0);
	go_on();
	assert_int_equal(result, 0);
	assert_true(cache_reads(area, PAGE, 0));
	/* The slower store keeps no copy. */
	assert_int_equal(slow->frees, 1);
	assert_int_equal(slow->nr_pages, 0);
	end();
}

static void test_freed_and_written(void **state)
{
	(void)state;
	begin();
	assert_int_equal(zram_cache_free(area, PAGE, 1), 0);
	assert_int_equal(cache_write(area, PAGE, TEXT(3)), 0);
	go_on();
	assert_true(cache_reads(area, PAGE, TEXT(3)));
	end();
}

static void test_failure(void **state)
{
	(void)state;
	begin();
	atomic_store(&slow->fail_writes, EIO);
	assert_int_equal(cache_write(area, PAGE, TEXT(2)), 0);
	go_on();
	assert_int_equal(result, -EIO);
	assert_true(cache_reads(area, PAGE, TEXT(2)));
	end();
}

static bool is_rejected(void *arg)
{
	(void)arg;
	return cache_stat(cache).rejected_huge > 0;
}

static void *run_huge(void *arg)
{
	*(int *)arg = cache_write(area, PAGE, HUGE_SEED(2));
	return NULL;
}

/* A write straight through follows the write-back: the slower store has no two calls for a page. */
static void test_incompressible(void **state)
{
	pthread_t writer;
	int err = 1;

	(void)state;
	begin();
	assert_int_equal(pthread_create(&writer, NULL, run_huge, &err), 0);
	assert_true(wait_for(is_rejected, NULL));
	usleep(HOLD_US);
	assert_int_equal(slow->overlaps, 0);
	go_on();
	assert_int_equal(pthread_join(writer, NULL), 0);
	assert_int_equal(err, 0);
	assert_true(cache_reads(area, PAGE, HUGE_SEED(2)));
	assert_int_equal(cache_stat(cache).pages, 0);
	end();
}

/* Other pages don't wait. */
static void test_other_pages(void **state)
{
	(void)state;
	begin();
	for (uint64_t i = 0; i < SLOW_PAGES; i++) {
		if (i == PAGE)
			continue;
		assert_int_equal(cache_write(area, i, i), 0);
		assert_true(cache_reads(area, i, i));
		assert_int_equal(zram_cache_free(area, i, 1), 0);
	}
	assert_true(atomic_load(&slow->blocked));
	go_on();
	end();
}

/*
 * Many threads. Each writes pages of its own, and reads those of all. Its own are what it wrote.
 */
#define THREADS 4
#define OWN 64
#define ROUNDS 3000
#define LIMIT_PAGES 64

static void *run_owner(void *arg)
{
	uint64_t first = (uint64_t)(uintptr_t)arg * OWN;
	uint64_t random = first + 12345;
	uint64_t seed[OWN] = { 0 };
	char *page = malloc(page_size());

	assert_non_null(page);
	for (unsigned int i = 0; i < ROUNDS / TEST_LESS; i++) {
		uint64_t own = next_random(&random) % OWN;

		switch (next_random(&random) % 8) {
		case 0:
			assert_int_equal(zram_cache_free(area, first + own, 1), 0);
			seed[own] = 0;
			break;
		case 1:
			assert_true(zram_cache_shrink(cache, 4) >= 0);
			break;
		case 2 ... 4:
			seed[own] = next_random(&random) >> 16;
			assert_int_equal(cache_write(area, first + own, seed[own]), 0);
			break;
		case 5:
			assert_int_equal(
				zram_cache_read(area, next_random(&random) % (THREADS * OWN), page),
				0);
			break;
		default:
			assert_true(cache_reads(area, first + own, seed[own]));
		}
	}
	for (uint64_t own = 0; own < OWN; own++)
		assert_true(cache_reads(area, first + own, seed[own]));
	free(page);
	return NULL;
}

static void test_many_threads(void **state)
{
	pthread_t owner[THREADS];

	(void)state;
	cache = make_cache((struct zram_cache_options){ .limit = LIMIT_PAGES * page_size() });
	slow = slow_create();
	area = attach(cache, slow);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&owner[i], NULL, run_owner, (void *)i), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(owner[i], NULL), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),	    cmocka_unit_test(test_overwrite),
		cmocka_unit_test(test_freed),	    cmocka_unit_test(test_freed_and_written),
		cmocka_unit_test(test_failure),	    cmocka_unit_test(test_incompressible),
		cmocka_unit_test(test_other_pages), cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
