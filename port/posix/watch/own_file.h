/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A file that the library keeps open. A program that closes all it has open may have closed it, and
 * use its number for a file of its own. So the library knows it by more than its number, and leaves
 * it alone unless it is still ours.
 */
#ifndef ZS_PORT_OWN_FILE_H
#define ZS_PORT_OWN_FILE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

struct own_file {
	int number;
	dev_t device;
	ino_t inode;
};

/* Keep a file that was just opened, or failed to. False, with errno set, if there is none. */
static inline bool own_file_keep(struct own_file *file, int number)
{
	struct stat stat;

	if (number < 0)
		return false;
	if (fstat(number, &stat)) {
		close(number);
		return false;
	}
	*file = (struct own_file){ number, stat.st_dev, stat.st_ino };
	return true;
}

static inline bool own_file_is_ours(const struct own_file *file)
{
	struct stat stat;

	return fstat(file->number, &stat) == 0 && stat.st_dev == file->device &&
	       stat.st_ino == file->inode;
}

static inline void own_file_close(const struct own_file *file)
{
	if (own_file_is_ours(file))
		close(file->number);
}

#endif /* ZS_PORT_OWN_FILE_H */
