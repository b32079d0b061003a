/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A tree of files that stands for /proc and /sys/fs/cgroup. A test includes cmocka's headers first.
 */
#ifndef TEST_TREE_H
#define TEST_TREE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];

/* Writes a file of the tree, and makes the folders that it is in. */
static inline void put(const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", root, name);
	for (char *slash = strchr(path + strlen(root) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* For cmocka, before and after a test. */
static inline int make_tree(void **state)
{
	(void)state;
	strcpy(root, "/tmp/zsmalloc-tree-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static inline int remove_of_tree(const char *path, const struct stat *stat, int kind,
				 struct FTW *walk)
{
	(void)stat;
	(void)kind;
	(void)walk;
	return remove(path);
}

static inline int remove_tree(void **state)
{
	(void)state;
	return nftw(root, remove_of_tree, 8, FTW_DEPTH | FTW_PHYS);
}

#endif /* TEST_TREE_H */
