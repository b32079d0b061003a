/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Real memory to store: pages of files or of a running process, each with the hash that tells
 * whether it came back unchanged. The user chooses it by options that `exit` and `analyze` share.
 *
 * What cannot be loaded ends the command with one line (fail()).
 */
#ifndef TOOLS_SOURCE_H
#define TOOLS_SOURCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"

struct source {
	unsigned char *pages; /* one after the other */
	uint64_t *hashes; /* XXH3 of each */
	size_t count;
	size_t room; /* pages that it may hold */
	size_t page_size;
	size_t files; /* that the pages come from; 0 for a process */
	size_t swapped; /* pages of a process that were left out, as they are in swap */
	size_t skipped; /* files of the system that may not be read */
	char *name; /* where the pages come from, for people */
};

/* What the user chooses. */
struct source_options {
	size_t size; /* 0: the default */
	pid_t pid; /* 0: none */
	bool swapped; /* load what is in swap, too */
	char **files; /* ended by NULL; NULL for none */
};

/* The options of a command that loads a source. */
#define SOURCE_OPTIONS                                                                             \
	{ "pid", 'p', "PID", "Load the private memory of this process" },                          \
		{ "size", 's', "SIZE",                                                             \
		  "Load at most so many bytes (K, M, G and T are understood); default 1G, or "     \
		  "less where "                                                                    \
		  "memory is short" },                                                             \
	{                                                                                          \
		"swapped", 'w', NULL,                                                              \
			"Load what the process has in swap, too, which brings it back to memory"   \
	}

/* Takes one of these options, and then the operands: the files. */
void source_option(struct source_options *options, int key);
void source_operands(struct source_options *options, char **files);

/*
 * Creates a source and fills it. With what the command does later each byte takes @taken bytes of
 * memory, which must be there.
 */
void source_load(struct source *source, const struct source_options *options, double taken);
void source_destroy(struct source *source);

/* What the files, and all files in the directories, of a NULL-ended list hold. */
void source_load_files(struct source *source, char *const *paths);

/* What this machine has of programs and libraries. */
void source_load_system(struct source *source);

/* The private memory of a running process, also what is @swapped. */
void source_load_process(struct source *source, pid_t pid, bool swapped);

/* For the loaders: the next page to fill, while there is room; and the note that it is filled. */
unsigned char *source_next(struct source *source);
void source_add(struct source *source);

/* Tells what was loaded. */
void source_print(const struct source *source);
json_t *source_json(const struct source *source);

uint64_t source_hash(const struct source *source, const void *page);

static inline bool source_full(const struct source *source)
{
	return source->count == source->room;
}

static inline const unsigned char *source_page(const struct source *source, size_t index)
{
	return source->pages + index * source->page_size;
}

#endif /* TOOLS_SOURCE_H */
