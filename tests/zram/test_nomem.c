/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Every allocation that a store makes fails in turn, once alone and once with all that follow. What
 * was stored stays readable, every call says -ENOMEM or succeeds, and nothing leaks.
 *
 * What the compressors' own libraries allocate is injected, and counted, as their contexts.
 */
#include "backing_file.h"
#include "zram_pages.h"

#include <libdeflate.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "nomem.h"

#define NR_PAGES 40

WRAP_ALLOC(ZSTD_CCtx *, ZSTD_createCCtx, (void), ())
WRAP_ALLOC(ZSTD_DCtx *, ZSTD_createDCtx, (void), ())
WRAP_FREE(size_t, ZSTD_freeCCtx, ZSTD_CCtx *)
WRAP_FREE(size_t, ZSTD_freeDCtx, ZSTD_DCtx *)
WRAP_ALLOC(struct libdeflate_compressor *, libdeflate_alloc_compressor, (int level), (level))
WRAP_ALLOC(struct libdeflate_decompressor *, libdeflate_alloc_decompressor, (void), ())
WRAP_FREE(void, libdeflate_free_compressor, struct libdeflate_compressor *)
WRAP_FREE(void, libdeflate_free_decompressor, struct libdeflate_decompressor *)

/* zstd allocates its tables when it first compresses; what it says then is what it says here. */
size_t __real_ZSTD_compressCCtx(ZSTD_CCtx *context, void *dst, size_t capacity, const void *src,
				size_t size, int level);
size_t __wrap_ZSTD_compressCCtx(ZSTD_CCtx *context, void *dst, size_t capacity, const void *src,
				size_t size, int level);

size_t __wrap_ZSTD_compressCCtx(ZSTD_CCtx *context, void *dst, size_t capacity, const void *src,
				size_t size, int level)
{
	if (fails())
		return (size_t)-ZSTD_error_memory_allocation;
	return __real_ZSTD_compressCCtx(context, dst, capacity, src, size, level);
}

int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);

/* Only where the caller looks: the allocator's locks, which have attributes, can't fail. */
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	return !attr && fails() ? ENOMEM : __real_pthread_mutex_init(mutex, attr);
}

/* The pages of one run: what each index may hold. */
static char *old_pages[NR_PAGES];
static char *new_pages[NR_PAGES];
static char *empty_page;
static char *scratch;

static void assert_reads(struct zram *zram, uint64_t index, const char *expected)
{
	assert_int_equal(zram_read_page(zram, index, scratch), 0);
	assert_memory_equal(scratch, expected, page_size());
}

/* Write all, as far as there is memory; each page reads as what was last written with success. */
static void write_all(struct zram *zram, char *const *pages, const char **holds)
{
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		int err = zram_write_page(zram, i, pages[i]);

		if (!err)
			holds[i] = pages[i];
		else
			assert_int_equal(err, -ENOMEM);
		assert_reads(zram, i, holds[i]);
	}
}

static struct backing_file file;

/* Pages go to the device and become smaller, as far as there is memory. */
static void walk_store(struct zram *zram)
{
	int err = zram_set_backing(zram, file.path);
	int64_t done;

	assert_true(err == 0 || err == -ENOMEM);
	done = zram_recompress(zram, NULL, 0);
	assert_true(done >= 0 || done == -ENOMEM);
	done = zram_writeback(zram, NULL);
	assert_true(done >= 0 || done == (err ? -ENODEV : -ENOMEM));
}

/* All that can be done with a store. Reading and freeing needs no memory and can't fail. */
static void use_store(void *arg)
{
	const char *const *algorithm = arg;
	struct zram_options options = {
		.size = sizeof(options),
		.disksize = NR_PAGES * page_size(),
		.algorithm = *algorithm,
		.secondary = { { .algorithm = "zstd" } },
	};
	const char *holds[NR_PAGES];
	struct zram *zram;
	uint64_t stored = 0;

	errno = 0;
	zram = zram_create(&options);
	if (!zram) {
		assert_int_equal(errno, ENOMEM);
		return;
	}
	for (uint64_t i = 0; i < NR_PAGES; i++)
		holds[i] = empty_page;
	write_all(zram, old_pages, holds);
	write_all(zram, new_pages, holds);
	for (uint64_t i = 0; i < NR_PAGES; i += 2) {
		assert_int_equal(zram_slot_free_notify(zram, i), 0);
		holds[i] = empty_page;
	}
	write_all(zram, old_pages, holds);
	zs_free_deferred_flush(zram_get_pool(zram));
	zs_compact(zram_get_pool(zram));
	walk_store(zram);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		assert_reads(zram, i, holds[i]);
		stored += holds[i] != empty_page;
	}
	assert_int_equal(stat_of(zram).orig_data_size, stored * page_size());

	/* With memory again, all goes on. */
	fail_no_more();
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		assert_int_equal(zram_write_page(zram, i, new_pages[i]), 0);
		assert_reads(zram, i, new_pages[i]);
	}
	assert_int_equal(zram_discard(zram, 0, NR_PAGES), 0);
	assert_int_equal(stat_of(zram).mem_used_total, 0);
	zram_destroy(zram);
}

static void fail_each_of_a_store(const char *algorithm, bool and_all_that_follow)
{
	/* The store, its streams, a context and a buffer each, its table, the pool, its parts. */
	assert_true(fail_each(use_store, &algorithm, and_all_that_follow) > 10);
}

static void test_each_once(void **state)
{
	(void)state;
	for (unsigned int a = 0; zram_algorithm(a); a++)
		fail_each_of_a_store(zram_algorithm(a), false);
}

static void test_each_and_all_that_follow(void **state)
{
	(void)state;
	for (unsigned int a = 0; zram_algorithm(a); a++)
		fail_each_of_a_store(zram_algorithm(a), true);
}

static int setup(void **state)
{
	(void)state;
	fail_no_more();
	empty_page = calloc(1, page_size());
	/* Aligned, as a read from the device needs no memory then. */
	scratch = aligned_alloc(page_size(), page_size());
	file = create_file(NR_PAGES);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		old_pages[i] = malloc(page_size());
		new_pages[i] = malloc(page_size());
		make_any_page(old_pages[i], i + 4);
		make_any_page(new_pages[i], i + 101);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(empty_page);
	free(scratch);
	remove_file(&file);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		free(old_pages[i]);
		free(new_pages[i]);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once),
		cmocka_unit_test(test_each_and_all_that_follow),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
