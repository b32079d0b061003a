/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A reader gets the page as it was when the read began. A thread that overwrites, discards or frees
 * the page meanwhile does not wait for the reader to decompress it.
 *
 * The linker wraps the decompressor, in the middle of which the test runs the other thread.
 */
#include "zram_pages.h"

#include <pthread.h>

#define INDEX 3

static struct zram *store;
static char *old_page;
static char *new_page; /* of one word, so that to write it takes nothing that the reader has */
static int (*change)(void); /* what the other thread does */
static int result; /* of the change */
static bool is_changed; /* in the middle of the read */

static void *change_page(void *arg)
{
	result = change();
	return arg;
}

static void run_changer(void)
{
	pthread_t changer;

	is_changed = true;
	assert_int_equal(pthread_create(&changer, NULL, change_page, NULL), 0);
	assert_int_equal(pthread_join(changer, NULL), 0);
}

int __real_LZ4_decompress_safe(const char *src, char *dst, int size, int room);
int __wrap_LZ4_decompress_safe(const char *src, char *dst, int size, int room);

int __wrap_LZ4_decompress_safe(const char *src, char *dst, int size, int room)
{
	if (change && !is_changed)
		run_changer();
	return __real_LZ4_decompress_safe(src, dst, size, room);
}

static int overwrite(void)
{
	return zram_write_page(store, INDEX, new_page);
}

static int discard(void)
{
	return zram_discard(store, INDEX, 1);
}

static int notify(void)
{
	return zram_slot_free_notify(store, INDEX);
}

/* What the page reads as while another thread changes it, and afterwards. */
static void change_while_read(int (*how)(void), const char *expected)
{
	assert_int_equal(zram_write_page(store, INDEX, old_page), 0);
	is_changed = false;
	change = how;
	assert_page_is(store, INDEX, old_page);
	change = NULL;
	assert_true(is_changed);
	assert_int_equal(result, 0);
	assert_page_is(store, INDEX, expected);
}

static void test_changed_while_read(void **state)
{
	char *zeros = calloc(1, page_size());

	(void)state;
	old_page = malloc(page_size());
	new_page = malloc(page_size());
	assert_true(zeros && old_page && new_page);
	make_text_page(old_page, 1);
	make_same_page(new_page, 2);
	store = create_store(INDEX + 1, (struct zram_options){ .algorithm = "lz4" });
	change_while_read(overwrite, new_page);
	change_while_read(discard, zeros);
	change_while_read(notify, zeros);
	zram_destroy(store);
	free(new_page);
	free(old_page);
	free(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changed_while_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
