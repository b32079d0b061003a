/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A file for zram_set_backing(), in the folder that TMPDIR names. It has no name there, so that a
 * test that dies leaves none behind: its path is that of the descriptor.
 */
#ifndef TEST_BACKING_FILE_H
#define TEST_BACKING_FILE_H

#include "zram_pages.h"

struct backing_file {
	int fd;
	char path[64];
};

static inline struct backing_file create_file(uint64_t pages)
{
	const char *folder = getenv("TMPDIR");
	struct backing_file file;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/zram-backing-XXXXXX", folder ? folder : "/tmp");
	file.fd = mkstemp(path);
	assert_true(file.fd >= 0);
	assert_int_equal(unlink(path), 0);
	snprintf(file.path, sizeof(file.path), "/proc/self/fd/%d", file.fd);
	assert_int_equal(ftruncate(file.fd, (off_t)(pages * page_size())), 0);
	return file;
}

static inline void remove_file(const struct backing_file *file)
{
	assert_int_equal(close(file->fd), 0);
}

#endif /* TEST_BACKING_FILE_H */
