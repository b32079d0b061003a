/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The pages of a process's own memory: what it has written, not the files that it maps. This is
 * what is swapped out. They are read while the process goes on.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus.h"

#define PAGE_IS_PRESENT (UINT64_C(1) << 63)

struct process {
	int memory;
	int pagemap;
};

/* A file in the directory that @path, /proc/PID/mem, is in. */
static int open_beside(const char *path, const char *name)
{
	char beside[64];

	snprintf(beside, sizeof(beside), "%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
	return open(beside, O_RDONLY | O_CLOEXEC);
}

static bool is_present(const struct process *process, uint64_t page)
{
	uint64_t entry;

	return pread(process->pagemap, &entry, sizeof(entry), (off_t)(page * sizeof(entry))) ==
		       (ssize_t)sizeof(entry) &&
	       (entry & PAGE_IS_PRESENT);
}

/* Whether a line of /proc/PID/maps is of memory that no file is behind; sets where it is. */
static bool is_own_memory(const char *line, uint64_t *start, uint64_t *end)
{
	char access[5];
	uint64_t inode;

	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, start, end, access,
		      &inode) == 4 &&
	       strcmp(access, "rw-p") == 0 && inode == 0;
}

static bool walk_range(const struct process *process, uint64_t start, uint64_t end, char *page,
		       size_t page_size, bool (*add)(void *arg, const char *page), void *arg)
{
	for (uint64_t at = start; at < end; at += page_size) {
		if (!is_present(process, at / page_size) ||
		    pread(process->memory, page, page_size, (off_t)at) != (ssize_t)page_size)
			continue;
		if (!add(arg, page))
			return false;
	}
	return true;
}

void corpus_walk_process(const char *path, size_t page_size,
			 bool (*add)(void *arg, const char *page), void *arg)
{
	struct process process = {
		.memory = open(path, O_RDONLY | O_CLOEXEC),
		.pagemap = open_beside(path, "pagemap"),
	};
	int maps = open_beside(path, "maps");
	FILE *file = maps < 0 ? NULL : fdopen(maps, "r");
	char *page = malloc(page_size);
	uint64_t start, end;
	char line[512];

	if (!page)
		err(2, "cannot read '%s'", path);
	while (file && fgets(line, sizeof(line), file))
		if (is_own_memory(line, &start, &end) &&
		    !walk_range(&process, start, end, page, page_size, add, arg))
			break;
	free(page);
	if (file)
		fclose(file);
	if (process.pagemap >= 0)
		close(process.pagemap);
	if (process.memory >= 0)
		close(process.memory);
}
