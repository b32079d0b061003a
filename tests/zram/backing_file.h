/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A file for zram_set_backing(), in the folder that TMPDIR names.
 */
#ifndef TEST_BACKING_FILE_H
#define TEST_BACKING_FILE_H

#include "zram_pages.h"

struct backing_file {
	char path[PATH_MAX];
};

static inline struct backing_file create_file(uint64_t pages)
{
	const char *folder = getenv("TMPDIR");
	struct backing_file file;
	int fd;

	snprintf(file.path, sizeof(file.path), "%s/zram-backing-XXXXXX", folder ? folder : "/tmp");
	fd = mkstemp(file.path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(pages * page_size())), 0);
	close(fd);
	return file;
}

static inline void remove_file(const struct backing_file *file)
{
	assert_int_equal(unlink(file->path), 0);
}

#endif /* TEST_BACKING_FILE_H */
