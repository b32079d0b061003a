/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The corpus: real pages, each compressed, as the objects of a compressed page store.
 *
 * It is made once and lies in a file, so that every process that measures maps the same one.
 * A page of one repeated word is left out, because a store keeps no object for it; a page that does
 * not become smaller is an object as it is.
 */
#ifndef BENCH_CORPUS_H
#define BENCH_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum corpus_codec {
	CORPUS_LZ4,
	CORPUS_ZSTD,
};

struct corpus {
	uint64_t objects;
	uint64_t bytes; /* of all objects */
	uint64_t pages; /* that were read; those left out are among them */
	uint64_t same_filled; /* pages left out */
	uint64_t incompressible; /* objects that are whole pages */
	uint64_t files; /* that the pages come from */
	uint64_t process_pages; /* of the pages, those of processes' memory */
	uint64_t page_size;
	uint64_t room; /* objects that there is place for, in what follows */
	uint32_t size[]; /* of each object; the objects follow, one after the other */
};

/*
 * Makes a corpus of the pages of the files named in @list, one a line. A name such as /proc/123/mem
 * stands for the process's own memory. Returns the corpus's file: one in memory, or, if @directory is not
 * NULL and has room, one that is kept there, and is taken if it is there already.
 */
int corpus_make(FILE *list, size_t objects, enum corpus_codec codec, const char *directory);

const struct corpus *corpus_map(int file);

/* Hands the pages of a process's memory, as far as they are there, to @add until that returns false. */
void corpus_walk_process(const char *path, size_t page_size,
			 bool (*add)(void *arg, const char *page), void *arg);

/* The first object; the next begins where it ends. */
static inline const unsigned char *corpus_data(const struct corpus *corpus)
{
	return (const unsigned char *)&corpus->size[corpus->room];
}

#endif /* BENCH_CORPUS_H */
