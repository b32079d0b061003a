/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Pages of a running process: those that are its own, in its private writable mappings (heap,
 * stacks, data). The kernel's pagemap tells which they are, and which are in swap. These are left
 * out unless the user wants them: a read would bring them back. A page that goes away between the
 * look and the read is left out, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source.h"
#include "util.h"

/* Bits of an entry of /proc/PID/pagemap. */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE_OR_SHARED (UINT64_C(1) << 61)

enum {
	PAGEMAP_BATCH = 512, /* entries read at once */
};

struct process {
	int memory;
	int pagemap;
	bool swapped; /* what is in swap is loaded, too */
};

static int open_file(pid_t pid, const char *name)
{
	char path[64];
	int file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file >= 0)
		return file;
	if (errno == ENOENT || errno == ESRCH)
		fail("no such process: %d", pid);
	if (errno == EACCES || errno == EPERM)
		fail("the memory of process %d may not be read: %s; run as its owner or as root",
		     pid, strerror(errno));
	fail("cannot read \"%s\": %s", path, strerror(errno));
}

static bool is_private_page(uint64_t entry)
{
	return (entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) && !(entry & PAGEMAP_FILE_OR_SHARED);
}

/* Returns whether a page is one to read. To read one that is in swap would bring it back. */
static bool is_wanted(struct source *source, const struct process *process, uint64_t entry)
{
	if (!is_private_page(entry))
		return false;
	if ((entry & PAGEMAP_PRESENT) || process->swapped)
		return true;
	source->swapped++;
	return false;
}

/* Loads the pages of a mapping, from page number @first up to before @end. */
static void load_mapping(struct source *source, const struct process *process, uint64_t first,
			 uint64_t end)
{
	uint64_t entries[PAGEMAP_BATCH];
	size_t page_size = source->page_size;

	while (first < end) {
		size_t want = end - first < PAGEMAP_BATCH ? end - first : PAGEMAP_BATCH;
		ssize_t got = pread(process->pagemap, entries, want * sizeof(entries[0]),
				    (off_t)(first * sizeof(entries[0])));

		if (got < (ssize_t)sizeof(entries[0]))
			return;
		for (size_t i = 0; i < (size_t)got / sizeof(entries[0]); i++, first++) {
			if (source_full(source))
				return;
			if (is_wanted(source, process, entries[i]) &&
			    pread(process->memory, source_next(source), page_size,
				  (off_t)(first * page_size)) == (ssize_t)page_size)
				source_add(source);
		}
	}
}

void source_load_process(struct source *source, pid_t pid, bool swapped)
{
	int maps_file = open_file(pid, "maps");
	struct process process = {
		.memory = open_file(pid, "mem"),
		.pagemap = open_file(pid, "pagemap"),
		.swapped = swapped,
	};
	FILE *maps = fdopen(maps_file, "r");
	char *line = NULL;
	size_t room = 0;

	if (!maps)
		fail("no memory to read the mappings of process %d", pid);
	while (!source_full(source) && getline(&line, &room, maps) > 0) {
		unsigned long start;
		unsigned long end;
		char permissions[5];

		if (sscanf(line, "%lx-%lx %4s", &start, &end, permissions) != 3)
			continue;
		if (strcmp(permissions, "rw-p") == 0 || strcmp(permissions, "rwxp") == 0)
			load_mapping(source, &process, start / source->page_size,
				     end / source->page_size);
	}
	free(line);
	fclose(maps);
	close(process.memory);
	close(process.pagemap);
	if (source->count == 0 && source->swapped)
		fail("all private memory of process %d is in swap; --swapped loads it", pid);
	if (source->count == 0)
		fail("process %d has no private memory to load", pid);
	if (asprintf(&source->name, "process %d", pid) < 0)
		fail("no memory to load process %d", pid);
}
