/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Pages for the tests of the store: made ones of each kind, and real ones.
 */
#ifndef TEST_ZRAM_PAGES_H
#define TEST_ZRAM_PAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helpers.h"
#include "zram.h"
#include "zsmalloc.h"

/* A page that does not compress. */
static inline void make_random_page(void *page, uint64_t seed)
{
	random_fill(page, page_size(), seed);
}

/* A page that compresses to about half: every second half kilobyte is text. */
static inline void make_text_page(void *page, uint64_t seed)
{
	char text[64];

	make_random_page(page, seed);
	snprintf(text, sizeof(text), "page of the seed %llu, ", (unsigned long long)seed);
	for (size_t i = 0; i < page_size(); i++) {
		if (i / 512 % 2)
			((char *)page)[i] = text[i % strlen(text)];
	}
}

/* A page of one repeated word. */
static inline void make_same_page(void *page, unsigned long word)
{
	for (size_t i = 0; i < page_size(); i += sizeof(word))
		memcpy((char *)page + i, &word, sizeof(word));
}

/* A page of a kind that the seed chooses, one in four each of same, random and twice text. */
static inline void make_any_page(void *page, uint64_t seed)
{
	switch (seed % 4) {
	case 0:
		make_same_page(page, seed / 4);
		break;
	case 1:
		make_random_page(page, seed);
		break;
	default:
		make_text_page(page, seed);
	}
}

/* Whole pages of a file, the rest of the last one zero. */
struct file_pages {
	char *bytes;
	size_t count;
};

static inline struct file_pages load_file(const char *path)
{
	struct file_pages pages;
	struct stat status;
	size_t len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status) != 0)
		fail_msg("%s can't be read", path);
	pages.count = ((size_t)status.st_size + page_size() - 1) / page_size();
	pages.bytes = calloc(pages.count, page_size());
	assert_non_null(pages.bytes);
	while (len < (size_t)status.st_size) {
		ssize_t got = read(fd, pages.bytes + len, (size_t)status.st_size - len);

		if (got <= 0)
			fail_msg("%s can't be read", path);
		len += (size_t)got;
	}
	close(fd);
	return pages;
}

static inline int find_libc(struct dl_phdr_info *info, size_t size, void *path)
{
	(void)size;
	if (!strstr(info->dlpi_name, "/libc.so") && !strstr(info->dlpi_name, "/ld-musl-"))
		return 0;
	snprintf(path, PATH_MAX, "%s", info->dlpi_name);
	return 1;
}

/* The C library that this process runs with: real code and real data. */
static inline struct file_pages load_libc(void)
{
	char path[PATH_MAX] = "";

	assert_int_equal(dl_iterate_phdr(find_libc, path), 1);
	return load_file(path);
}

/* Makes a store of @pages pages, otherwise as the options say. */
static inline struct zram *create_store(uint64_t pages, struct zram_options options)
{
	struct zram *zram;

	options.size = sizeof(options);
	options.disksize = pages * page_size();
	zram = zram_create(&options);
	assert_non_null(zram);
	return zram;
}

static inline bool page_reads_as(struct zram *zram, uint64_t index, const void *expected)
{
	char *page = malloc(page_size());
	bool same;

	assert_non_null(page);
	memset(page, 0xa5, page_size());
	assert_int_equal(zram_read_page(zram, index, page), 0);
	same = memcmp(page, expected, page_size()) == 0;
	free(page);
	return same;
}

static inline void assert_page_is(struct zram *zram, uint64_t index, const void *expected)
{
	if (!page_reads_as(zram, index, expected))
		fail_msg("page %llu does not read as it was written", (unsigned long long)index);
}

static inline void assert_page_is_empty(struct zram *zram, uint64_t index)
{
	char *zeros = calloc(1, page_size());

	assert_non_null(zeros);
	assert_page_is(zram, index, zeros);
	free(zeros);
}

static inline struct zram_mm_stat stat_of(struct zram *zram)
{
	struct zram_mm_stat stat;

	zram_get_mm_stat(zram, &stat);
	return stat;
}

#endif /* TEST_ZRAM_PAGES_H */
