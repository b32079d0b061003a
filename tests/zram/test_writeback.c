/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zram_writeback(): which pages leave memory, that they read the same from the device, and that its
 * space is used again. Whatever the device does, no page that is in memory is lost, and an error
 * hits the page that it is about and no other.
 *
 * The linker wraps pread() and pwrite(), which fail or use a page meanwhile as the test says. The
 * test reaches inside, to see the blocks.
 */
#include "backing_file.h"
#include "no_worker.h"
#include "zram_pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "walk.h"

#define NR_PAGES 256
#define SOME 100 /* more than a batch */

static struct zram *store;
static struct backing_file file;

/* What the device does; 0 in each: its best. */
static struct {
	int fail_writes; /* errno */
	int fail_reads;
	uint64_t bad_block; /* plus 1; that one alone fails */
	size_t most; /* bytes that a write takes */
	bool interrupts; /* once */
	void (*meanwhile)(void);
} device;

ssize_t __real_pread(int fd, void *to, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset);
ssize_t __real_pwrite(int fd, const void *from, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t offset);

static ssize_t failed(int err)
{
	errno = err;
	return -1;
}

static void run_meanwhile(void)
{
	void (*meanwhile)(void) = device.meanwhile;

	if (!meanwhile)
		return;
	device.meanwhile = NULL;
	meanwhile();
}

static bool interrupted(void)
{
	if (!device.interrupts)
		return false;
	device.interrupts = false;
	return true;
}

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset)
{
	if (interrupted())
		return failed(EINTR);
	run_meanwhile();
	return device.fail_reads ? failed(device.fail_reads) : __real_pread(fd, to, size, offset);
}

ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t offset)
{
	uint64_t first = (uint64_t)offset / page_size();

	if (interrupted())
		return failed(EINTR);
	run_meanwhile();
	if (device.fail_writes)
		return failed(device.fail_writes);
	if (device.bad_block == first + 1)
		return failed(EIO);
	if (device.bad_block > first && device.bad_block <= first + size / page_size())
		size = (device.bad_block - 1 - first) * page_size();
	if (device.most && size > device.most)
		size = device.most;
	return __real_pwrite(fd, from, size, offset);
}

static struct zram_bd_stat bd_stat(void)
{
	struct zram_bd_stat stat;

	zram_get_bd_stat(store, &stat);
	return stat;
}

static int64_t write_back(struct zram_select select)
{
	select.size = sizeof(select);
	return zram_writeback(store, &select);
}

static void write_page(uint64_t index, uint64_t seed)
{
	char *page = malloc(page_size());

	assert_non_null(page);
	if (seed % 4 == 0)
		make_random_page(page, seed);
	else
		make_text_page(page, seed);
	assert_int_equal(zram_write_page(store, index, page), 0);
	free(page);
}

static void check_page(uint64_t index, uint64_t seed)
{
	char *page = malloc(page_size());

	assert_non_null(page);
	if (seed % 4 == 0)
		make_random_page(page, seed);
	else
		make_text_page(page, seed);
	assert_page_is(store, index, page);
	free(page);
}

static void check_all(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		check_page(i, i);
}

static bool is_backed(uint64_t index)
{
	const struct entry entry = slot_get(&store->slots[index]);

	return entry_is_backed(&entry);
}

static void assert_no_idle(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		assert_false(store->slots[i].state & SLOT_IDLE);
}

/* A store with @pages pages in it, one in four huge, and a device of @blocks. */
static void create_full(uint64_t pages, uint64_t blocks)
{
	memset(&device, 0, sizeof(device));
	store = create_store(NR_PAGES,
			     (struct zram_options){ .secondary = { { .algorithm = "lz4" } } });
	file = create_file(blocks);
	assert_int_equal(zram_set_backing(store, file.path), 0);
	assert_int_equal(bd_stat().bd_capacity, blocks);
	for (uint64_t i = 0; i < pages; i++)
		write_page(i, i);
}

static void destroy(void)
{
	zram_destroy(store);
	remove_file(&file);
}

static void test_all(void **state)
{
	struct zram_mm_stat before, after;

	(void)state;
	create_full(SOME, NR_PAGES);
	before = stat_of(store);
	assert_int_equal(zram_writeback(store, NULL), SOME);
	after = stat_of(store);
	assert_int_equal(after.orig_data_size, before.orig_data_size);
	assert_int_equal(after.compr_data_size, 0);
	assert_int_equal(after.huge_pages, 0);
	assert_int_equal(after.mem_used_total, 0);
	assert_int_equal(bd_stat().bd_count, SOME);
	assert_int_equal(bd_stat().bd_writes, SOME);
	assert_int_equal(bd_stat().bd_reads, 0);
	check_all(SOME);
	assert_int_equal(bd_stat().bd_reads, SOME);
	/* Pages stay on the device, and are not written again. */
	assert_int_equal(zram_writeback(store, NULL), 0);
	assert_int_equal(bd_stat().bd_count, SOME);
	destroy();
}

static void test_marks_and_ranges(void **state)
{
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	create_full(SOME, NR_PAGES);
	assert_int_equal(write_back((struct zram_select){ .marks = ZRAM_IDLE }), 0);
	assert_int_equal(write_back((struct zram_select){ .first = 4, .count = 2 }), 2);
	assert_true(is_backed(4) && is_backed(5) && !is_backed(6));
	assert_int_equal(write_back((struct zram_select){ .marks = ZRAM_HUGE, .max_pages = 3 }), 3);
	assert_true(is_backed(0) && is_backed(8) && is_backed(12) && !is_backed(16));

	assert_int_equal(write_back((struct zram_select){ .marks = ZRAM_INCOMPRESSIBLE }), 0);
	assert_int_equal(zram_recompress(store, NULL, 0), 0);
	assert_int_equal(write_back((struct zram_select){
				 .marks = ZRAM_INCOMPRESSIBLE, .first = 20, .count = 4 }),
			 4);

	assert_int_equal(zram_mark_idle(store, 0), 0);
	assert_int_equal(zram_read_page(store, 30, page), 0);
	assert_int_equal(write_back((struct zram_select){ .marks = ZRAM_IDLE | ZRAM_HUGE }),
			 SOME / 4 - 5);
	assert_int_equal(write_back((struct zram_select){ .marks = ZRAM_IDLE }),
			 SOME - 3 - 9 - (SOME / 4 - 5) + 2);
	assert_false(is_backed(30));
	assert_int_equal(bd_stat().bd_count, SOME - 1);
	check_all(SOME);
	free(page);
	destroy();
}

/* Pages of one word take no memory, and so none of the device. */
static void test_same_pages_stay(void **state)
{
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	create_full(0, NR_PAGES);
	make_same_page(page, 7);
	assert_int_equal(zram_write_page(store, 0, page), 0);
	assert_int_equal(zram_writeback(store, NULL), 0);
	assert_page_is(store, 0, page);
	free(page);
	destroy();
}

/* Each way by which a page goes gives its block back; a full device has room again. */
static void test_space_is_used_again(void **state)
{
	(void)state;
	create_full(71, 70);
	for (uint64_t round = 0; round < 20; round++) {
		assert_int_equal(zram_writeback(store, NULL), -ENOSPC);
		assert_int_equal(bd_stat().bd_count, 70);
		assert_int_equal(zram_slot_free_notify(store, 1 + round), 0);
		assert_int_equal(zram_discard(store, 30 + round, 1), 0);
		write_page(60, 60);
		write_page(1 + round, 1 + round);
		write_page(30 + round, 30 + round);
	}
	assert_no_idle(71);
	check_all(71);
	assert_int_equal(zram_discard(store, 0, NR_PAGES), 0);
	assert_int_equal(bd_stat().bd_count, 0);
	destroy();
}

static void test_limit(void **state)
{
	(void)state;
	create_full(SOME, NR_PAGES);
	assert_int_equal(bd_stat().writeback_limit, ZRAM_NO_LIMIT);
	zram_set_writeback_limit(store, 70 * page_size() + 1);
	assert_int_equal(zram_writeback(store, NULL), -EDQUOT);
	assert_int_equal(bd_stat().bd_writes, 70);
	assert_int_equal(bd_stat().writeback_limit, 1);
	assert_int_equal(zram_writeback(store, NULL), -EDQUOT);
	assert_int_equal(bd_stat().bd_writes, 70);
	assert_no_idle(SOME);
	zram_set_writeback_limit(store, 30 * page_size());
	assert_int_equal(zram_writeback(store, NULL), 30);
	assert_int_equal(bd_stat().writeback_limit, 0);
	/* With nothing to write, there is no limit to reach. */
	assert_int_equal(zram_writeback(store, NULL), 0);
	check_all(SOME);
	zram_set_writeback_limit(NULL, 0);
	destroy();
}

static void test_failing_writes(void **state)
{
	struct zram_mm_stat before, after;

	(void)state;
	create_full(SOME, NR_PAGES);
	before = stat_of(store);
	device.fail_writes = EIO;
	assert_int_equal(zram_writeback(store, NULL), -EIO);
	device.fail_writes = ENOSPC; /* of the file system, under a sparse file */
	assert_int_equal(zram_writeback(store, NULL), -ENOSPC);
	after = stat_of(store);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(bd_stat().bd_count, 0);
	assert_int_equal(bd_stat().bd_writes, 0);
	assert_no_idle(SOME);
	check_all(SOME);
	/* The device is well again, and has lost no block. */
	device.fail_writes = 0;
	assert_int_equal(zram_writeback(store, NULL), SOME);
	check_all(SOME);
	destroy();
}

/* The pages before the bad block are written, the others stay; the next try takes other blocks. */
static void test_bad_block(void **state)
{
	(void)state;
	create_full(SOME, NR_PAGES);
	device.bad_block = 10 + 1;
	assert_int_equal(zram_writeback(store, NULL), -EIO);
	assert_int_equal(bd_stat().bd_count, 10);
	assert_true(is_backed(9) && !is_backed(10));
	check_all(SOME);
	assert_int_equal(zram_writeback(store, NULL), SOME - 10);
	check_all(SOME);
	destroy();
}

static void test_short_and_interrupted(void **state)
{
	(void)state;
	create_full(SOME, NR_PAGES);
	device.most = page_size() * 5 / 2;
	device.interrupts = true;
	assert_int_equal(zram_writeback(store, NULL), SOME);
	device.interrupts = true;
	check_all(SOME);
	write_page(0, 0);
	device.most = page_size() / 2;
	assert_int_equal(zram_writeback(store, NULL), -EIO);
	check_all(SOME);
	destroy();
}

static void test_failing_reads(void **state)
{
	char *page = malloc(page_size());
	struct zram_io_stat stat;

	(void)state;
	assert_non_null(page);
	create_full(SOME, NR_PAGES);
	assert_int_equal(write_back((struct zram_select){ .first = 0, .count = 2 }), 2);
	device.fail_reads = EIO;
	assert_int_equal(zram_read_page(store, 0, page), -EIO);
	check_page(2, 2);
	device.fail_reads = 0;
	check_page(0, 0);
	zram_get_io_stat(store, &stat);
	assert_int_equal(stat.failed_reads, 1);

	/* What the device has changed is noticed, in that page alone. */
	store->slots[0].check++;
	assert_int_equal(zram_read_page(store, 0, page), -EIO);
	check_page(1, 1);
	/* What is written is good again. */
	write_page(0, 0);
	check_all(SOME);
	free(page);
	destroy();
}

static void test_file_that_shrinks(void **state)
{
	char *page = malloc(page_size());

	(void)state;
	assert_non_null(page);
	create_full(SOME, NR_PAGES);
	assert_int_equal(write_back((struct zram_select){ .count = 50 }), 50);
	assert_int_equal(truncate(file.path, (off_t)(20 * page_size() + 100)), 0);
	for (uint64_t i = 0; i < SOME; i++) {
		if (i >= 20 && i < 50)
			assert_int_equal(zram_read_page(store, i, page), -EIO);
		else
			check_page(i, i);
	}
	/* A write makes it grow again, over a hole: what was there stays lost, and known to be. */
	assert_int_equal(zram_writeback(store, NULL), SOME - 50);
	for (uint64_t i = 0; i < SOME; i++) {
		if (i >= 20 && i < 50)
			assert_int_equal(zram_read_page(store, i, page), -EIO);
		else
			check_page(i, i);
	}
	for (uint64_t i = 20; i < 50; i++)
		write_page(i, i);
	check_all(SOME);
	free(page);
	destroy();
}

static void rewrite_one(void)
{
	write_page(3, 1000);
}

static void read_one(void)
{
	check_page(3, 3);
}

static void free_one(void)
{
	assert_int_equal(zram_slot_free_notify(store, 3), 0);
}

/* A page that is used while it is written stays in memory, and its block is free again. */
static void test_used_meanwhile(void **state)
{
	static void (*const uses[])(void) = { read_one, rewrite_one, free_one };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		create_full(10, 10);
		device.meanwhile = uses[i];
		assert_int_equal(zram_writeback(store, NULL), 9);
		assert_false(is_backed(3));
		assert_int_equal(bd_stat().bd_count, 9);
		assert_int_equal(bd_stat().bd_writes, 10);
		if (i == 2)
			assert_page_is_empty(store, 3);
		else
			check_page(3, i == 0 ? 3 : 1000);
		write_page(3, 3);
		assert_int_equal(zram_writeback(store, NULL), 1);
		check_all(10);
		destroy();
	}
}

/* The block of a page that is read becomes another page's: the reader looks again. */
static void reuse_block(void)
{
	write_page(0, 5000);
	write_page(1, 6000);
	assert_int_equal(write_back((struct zram_select){ .first = 1, .count = 1 }), 1);
}

static void test_block_reused_while_read(void **state)
{
	(void)state;
	create_full(2, 1);
	assert_int_equal(write_back((struct zram_select){ .count = 1 }), 1);
	device.meanwhile = reuse_block;
	check_page(0, 5000);
	check_page(1, 6000);
	destroy();
}

static void walk_too(void)
{
	assert_int_equal(zram_mark_idle(store, 0), -EBUSY);
	assert_int_equal(zram_writeback(store, NULL), -EBUSY);
	assert_int_equal(zram_set_backing(store, file.path), -EBUSY);
}

static void test_busy(void **state)
{
	(void)state;
	create_full(SOME, NR_PAGES);
	device.meanwhile = walk_too;
	assert_int_equal(zram_writeback(store, NULL), SOME);
	check_all(SOME);
	destroy();
}

/* To any alignment, as all reads. */
static void test_unaligned(void **state)
{
	char *room = malloc(page_size() + 1), *page = malloc(page_size());

	(void)state;
	assert_true(room && page);
	create_full(2, 2);
	assert_int_equal(zram_writeback(store, NULL), 2);
	make_text_page(page, 1);
	for (size_t offset = 0; offset < 2; offset++) {
		assert_int_equal(zram_read_page(store, 1, room + offset), 0);
		assert_memory_equal(room + offset, page, page_size());
	}
	free(room);
	free(page);
	destroy();
}

static void test_bad_backings(void **state)
{
	struct zram *other;
	struct backing_file small;

	(void)state;
	store = create_store(NR_PAGES, (struct zram_options){ 0 });
	write_page(0, 0);
	assert_int_equal(zram_writeback(store, NULL), -ENODEV);
	assert_int_equal(zram_set_backing(NULL, "/dev/null"), -EINVAL);
	assert_int_equal(zram_set_backing(store, NULL), -EINVAL);
	assert_int_equal(zram_set_backing(store, ""), -ENOENT);
	assert_int_equal(zram_set_backing(store, "/"), -EISDIR);
	assert_int_equal(zram_set_backing(store, "/dev/null"), -ENOTBLK);
	small = create_file(1);
	assert_int_equal(truncate(small.path, (off_t)page_size() - 1), 0);
	assert_int_equal(zram_set_backing(store, small.path), -ENOSPC);
	assert_int_equal(truncate(small.path, 0), 0);
	assert_int_equal(zram_set_backing(store, small.path), -ENOSPC);
	assert_int_equal(bd_stat().bd_capacity, 0);
	assert_int_equal(zram_writeback(store, NULL), -ENODEV);

	assert_int_equal(truncate(small.path, (off_t)page_size() * 2 - 1), 0);
	assert_int_equal(zram_set_backing(store, small.path), 0);
	assert_int_equal(bd_stat().bd_capacity, 1);
	assert_int_equal(zram_set_backing(store, small.path), -EEXIST);
	other = create_store(1, (struct zram_options){ 0 });
	assert_int_equal(zram_set_backing(other, small.path), -EBUSY);
	assert_int_equal(zram_writeback(store, NULL), 1);
	check_page(0, 0);
	zram_destroy(store);
	/* It is free again. */
	assert_int_equal(zram_set_backing(other, small.path), 0);
	zram_destroy(other);
	remove_file(&small);
}

static void test_bad_selects(void **state)
{
	(void)state;
	create_full(2, 2);
	assert_int_equal(zram_writeback(NULL, NULL), -EINVAL);
	assert_int_equal(write_back((struct zram_select){ .marks = 8 }), -EINVAL);
	assert_int_equal(write_back((struct zram_select){ .first = NR_PAGES }), -EINVAL);
	assert_int_equal(write_back((struct zram_select){ .first = 1, .count = NR_PAGES }),
			 -EINVAL);
	assert_int_equal(write_back((struct zram_select){ .min_size = SIZE_MAX }), -EINVAL);
	assert_int_equal(bd_stat().bd_count, 0);
	zram_get_bd_stat(store, NULL);
	destroy();
}

/* A child reads what its parent wrote back, and never writes there. */
static void child_uses(const void *arg)
{
	char *page = malloc(page_size()), *expected = malloc(page_size());

	CHILD_CHECK(page && expected);
	(void)arg;
	for (uint64_t i = 1; i < 10; i++) {
		if (i % 4 == 0)
			make_random_page(expected, i);
		else
			make_text_page(expected, i);
		CHILD_CHECK(zram_read_page(store, i, page) == 0);
		CHILD_CHECK(memcmp(page, expected, page_size()) == 0);
	}
	CHILD_CHECK(zram_writeback(store, NULL) == -EROFS);
	CHILD_CHECK(zram_write_page(store, 1, page) == 0);
	CHILD_CHECK(zram_slot_free_notify(store, 2) == 0);
	CHILD_CHECK(zram_discard(store, 3, 2) == 0);
	zram_destroy(store);
}

static void test_child(void **state)
{
	struct child child;

	(void)state;
	create_full(10, 10);
	assert_int_equal(zram_writeback(store, NULL), 10);
	child = run_in_child(child_uses, NULL);
	assert_child_ended_well(&child);
	/* What the child did to its store is not the parent's. */
	check_all(10);
	destroy();
}

static int to_child[2], to_parent[2];

/* The parent has used the block for another page meanwhile: an error, and never that page. */
static void child_waits(const void *arg)
{
	char *page = malloc(page_size()), byte = 0;

	(void)arg;
	CHILD_CHECK(page);
	CHILD_CHECK(write(to_parent[1], &byte, 1) == 1);
	CHILD_CHECK(read(to_child[0], &byte, 1) == 1);
	CHILD_CHECK(zram_read_page(store, 0, page) == -EIO);
	CHILD_CHECK(zram_read_page(store, 1, page) == 0);
}

static void *use_block_anew(void *arg)
{
	char byte = 0;

	assert_int_equal(read(to_parent[0], &byte, 1), 1);
	write_page(2, 5000);
	assert_int_equal(zram_slot_free_notify(store, 0), 0);
	assert_int_equal(write_back((struct zram_select){ .first = 2, .count = 1 }), 1);
	assert_int_equal(write(to_child[1], &byte, 1), 1);
	return arg;
}

static void test_child_of_a_parent_that_goes_on(void **state)
{
	struct child child;
	pthread_t thread;

	(void)state;
	create_full(2, 2);
	assert_int_equal(zram_writeback(store, NULL), 2);
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(to_parent), 0);
	assert_int_equal(pthread_create(&thread, NULL, use_block_anew, NULL), 0);
	child = run_in_child(child_waits, NULL);
	assert_child_ended_well(&child);
	pthread_join(thread, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
	destroy();
}

/* Threads use pages while others go out and come back. */
#define THREADS 3
#define ROUNDS 40
static atomic_bool finished;

static void *use_pages(void *arg)
{
	uint64_t first = (uint64_t)(uintptr_t)arg * (NR_PAGES / THREADS);

	for (uint64_t round = 0; round < ROUNDS; round++) {
		for (uint64_t i = first; i < first + NR_PAGES / THREADS; i++) {
			check_page(i, i + (round ? (round - 1) * NR_PAGES : 0));
			if (i % 3 == 0)
				zram_slot_free_notify(store, i);
			write_page(i, i + round * NR_PAGES);
		}
	}
	return NULL;
}

static void *walk_pages(void *arg)
{
	while (!atomic_load(&finished)) {
		int64_t done = zram_writeback(store, NULL);

		assert_true(done >= 0 || done == -ENOSPC);
		done = zram_recompress(store, NULL, 0);
		assert_true(done >= 0);
	}
	return arg;
}

static void test_threads(void **state)
{
	pthread_t threads[THREADS], walker;

	(void)state;
	create_full(NR_PAGES, NR_PAGES / 2);
	atomic_store(&finished, false);
	assert_int_equal(pthread_create(&walker, NULL, walk_pages, NULL), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_pages, (void *)i), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&finished, true);
	pthread_join(walker, NULL);
	assert_int_equal(zram_discard(store, 0, NR_PAGES), 0);
	assert_int_equal(bd_stat().bd_count, 0);
	for (uint64_t word = 0; word < NR_PAGES / 2 / 64; word++)
		assert_int_equal(store->backing.used[word], 0);
	destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_marks_and_ranges),
		cmocka_unit_test(test_same_pages_stay),
		cmocka_unit_test(test_space_is_used_again),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_failing_writes),
		cmocka_unit_test(test_bad_block),
		cmocka_unit_test(test_short_and_interrupted),
		cmocka_unit_test(test_failing_reads),
		cmocka_unit_test(test_file_that_shrinks),
		cmocka_unit_test(test_used_meanwhile),
		cmocka_unit_test(test_block_reused_while_read),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_bad_backings),
		cmocka_unit_test(test_bad_selects),
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_child_of_a_parent_that_goes_on),
		cmocka_unit_test(test_threads),
	};

	refuse_threads_in_children();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
