/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The corpus: real pages, each compressed, as the objects of a compressed page store.
 *
 * The program bench_corpus makes it once in a file, and every process that measures maps the same
 * one. A page of one repeated word is left out, because a store keeps no object for it. A page that
 * does not become smaller is an object as it is.
 */
#ifndef BENCH_CORPUS_H
#define BENCH_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

const struct corpus *corpus_map(int file);

/* Hands the pages of a process's memory that are there to @add until that returns false. */
void corpus_walk_process(const char *path, size_t page_size,
			 bool (*add)(void *arg, const char *page), void *arg);

/* The first object; the next begins where it ends. */
static inline const unsigned char *corpus_data(const struct corpus *corpus)
{
	return (const unsigned char *)&corpus->size[corpus->room];
}

#endif /* BENCH_CORPUS_H */
