/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The command `zsmalloc store`: what a user asks for, the store that is made, and what came of it.
 *
 *	input ──import──> store ──export──> output
 *	          │         │                 │
 *	        hash    write-back file     hash, and what --verify reads again
 */
#ifndef TOOLS_STORE_H
#define TOOLS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "zram.h"

enum {
	CHUNK_PAGES = 64, /* that are read or written together */
};

struct store_job {
	const char *input; /* a path, or "-" */
	const char *output; /* likewise; NULL: none */
	const char *writeback; /* a path; NULL: none */
	struct zram_options options;
	bool own_limit; /* the user's, not what the machine leaves */
	bool dictionary;
	bool verify;

	size_t page_size;
	int file; /* the input */
	uint64_t size; /* of the input; 0 until all is read where it does not tell */
	struct zram *store;
	uint64_t bytes; /* that were imported */
	uint64_t hash; /* of them */
	uint64_t import_ns;
	uint64_t recompress_ns; /* 0: not asked for */
	uint64_t export_ns;
	bool verified;
};

/* What stands in messages for a path. */
const char *store_name(const char *path, const char *standard);

/* Opens the input and finds its size. */
void store_open_input(struct store_job *job);

/* Makes the store and fills it. */
void store_import(struct store_job *job);

/*
 * Finds out whether the output can be written, before the import takes its time. A file gets its
 * name when it is whole; until then it is PATH.partial-XXXXXX, which goes when the command ends.
 */
void store_open_output(const struct store_job *job);

/* Writes the output, and compares its hash with the input's. Without an output, reads all pages. */
void store_export(struct store_job *job);

/* Shows the store beside the progress bar, from now on. */
void store_watch(const struct store_job *job);

void store_print(const struct store_job *job);
void store_print_json(const struct store_job *job);

int command_store(int argc, char **argv);

#endif /* TOOLS_STORE_H */
