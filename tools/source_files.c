/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Pages of files, as the page cache holds them: the last one of a file is filled up with zeros.
 *
 * Trees are walked in the order of the names, so that the same files give the same pages. A file
 * that several names lead to is loaded once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"
#include "util.h"

struct walk {
	struct source *source;
	bool lenient; /* what may not be read is counted, not an error */
	void *seen; /* the files that were loaded: a tree of struct file_id */
};

struct file_id {
	dev_t device;
	ino_t inode;
};

static int compare_ids(const void *a, const void *b)
{
	const struct file_id *x = a;
	const struct file_id *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return 0;
}

static bool seen_before(struct walk *walk, const struct stat *stat)
{
	struct file_id *id = malloc(sizeof(*id));
	struct file_id *const *found;

	if (!id)
		fail("no memory to list the files");
	*id = (struct file_id){ .device = stat->st_dev, .inode = stat->st_ino };
	found = tsearch(id, &walk->seen, compare_ids);
	if (!found)
		fail("no memory to list the files");
	if (*found == id)
		return false;
	free(id);
	return true;
}

static void unreadable(struct walk *walk, const char *path, int error)
{
	if (!walk->lenient)
		fail("cannot read \"%s\": %s", path, strerror(error));
	walk->source->skipped += error != ENOENT;
}

/* Reads up to a page. Return: bytes, fewer only at the end of the file; -1 with errno. */
static ssize_t read_page(int file, unsigned char *page, size_t size)
{
	size_t filled = 0;

	while (filled < size) {
		ssize_t got = read(file, page + filled, size - filled);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		filled += (size_t)got;
	}
	return (ssize_t)filled;
}

static void load_file(struct walk *walk, const char *path)
{
	struct source *source = walk->source;
	size_t before = source->count;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (file < 0) {
		unreadable(walk, path, errno);
		return;
	}
	while (!source_full(source)) {
		unsigned char *page = source_next(source);
		ssize_t got = read_page(file, page, source->page_size);

		if (got < 0)
			unreadable(walk, path, errno);
		if (got <= 0)
			break;
		memset(page + got, 0, source->page_size - (size_t)got);
		source_add(source);
	}
	close(file);
	source->files += source->count > before;
}

static void visit(struct walk *walk, const char *path, bool named);

static bool is_entry(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* No directory stays open, so that trees may be deeper than a program may have files open. */
static void visit_folder(struct walk *walk, const char *folder)
{
	const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
	struct dirent **entries;
	int count = scandir(folder, &entries, NULL, by_name);

	if (count < 0) {
		unreadable(walk, folder, errno);
		return;
	}
	for (int i = 0; i < count; i++) {
		char *path;

		if (asprintf(&path, "%s%s%s", folder, slash, entries[i]->d_name) < 0)
			fail("no memory to list the files");
		if (is_entry(entries[i]) && !source_full(walk->source))
			visit(walk, path, false);
		free(path);
		free(entries[i]);
	}
	free(entries);
}

/* A link is followed only if the user has @named it. */
static void visit(struct walk *walk, const char *path, bool named)
{
	struct stat stat;

	if (fstatat(AT_FDCWD, path, &stat, named ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
		unreadable(walk, path, errno);
	else if (S_ISDIR(stat.st_mode))
		visit_folder(walk, path);
	else if (S_ISREG(stat.st_mode) && !seen_before(walk, &stat))
		load_file(walk, path);
	else if (!S_ISREG(stat.st_mode) && named && !walk->lenient)
		fail("\"%s\" is neither a file nor a directory", path);
}

static void walk_trees(struct walk *walk, char *const *paths)
{
	for (; *paths && !source_full(walk->source); paths++)
		visit(walk, *paths, true);
	while (walk->seen) {
		struct file_id *id = *(struct file_id **)walk->seen;

		tdelete(id, &walk->seen, compare_ids);
		free(id);
	}
}

void source_load_files(struct source *source, char *const *paths)
{
	struct walk walk = { .source = source };

	walk_trees(&walk, paths);
	if (asprintf(&source->name, "%s%s", paths[0], paths[1] ? " and others" : "") < 0)
		fail("no memory to list the files");
	make_printable(source->name);
}

void source_load_system(struct source *source)
{
	static char *const paths[] = {
		"/usr/bin",  "/usr/lib", "/usr/libexec", "/usr/local/bin", "/usr/local/lib",
		"/usr/sbin", NULL
	};
	struct walk walk = { .source = source, .lenient = true };

	walk_trees(&walk, paths);
	source->name = strdup("this machine's programs and libraries");
	if (!source->name)
		fail("no memory to list the files");
}
