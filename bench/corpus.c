/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_corpus makes the corpus (corpus.h) in a file that is empty or all zeros. The corpus has the
 * pages of the files that standard input names, one a line. A name such as /proc/123/mem stands for
 * the process's own memory. Any other FILE is a corpus already. Either way bench_corpus prints as
 * JSON what the corpus has.
 *
 * usage: bench_corpus FILE OBJECTS lz4|zstd, the number of the open file
 */
#include "corpus.h"

#include <err.h>
#include <jansson.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#define READ_BUFFER (1 << 20)

/* A corpus in the making. */
struct making {
	struct corpus *corpus;
	unsigned char *end; /* of the objects so far */
	ZSTD_CCtx *zstd; /* NULL: by lz4 */
};

static bool is_same_filled(const char *page, size_t size)
{
	return memcmp(page, page + sizeof(long), size - sizeof(long)) == 0;
}

/* The size of the compressed page at @end, or 0 if it does not become smaller. */
static size_t compress(const struct making *making, const char *page)
{
	size_t page_size = making->corpus->page_size;
	size_t size;

	if (!making->zstd)
		return (size_t)LZ4_compress_default(page, (char *)making->end, (int)page_size,
						    (int)page_size - 1);
	size = ZSTD_compressCCtx(making->zstd, making->end, page_size - 1, page, page_size,
				 ZSTD_CLEVEL_DEFAULT);
	return ZSTD_isError(size) ? 0 : size;
}

/* Add a page as the next object. Returns whether there is room for another. */
static bool add_page(void *arg, const char *page)
{
	struct making *making = arg;
	struct corpus *corpus = making->corpus;
	size_t size;

	corpus->pages++;
	if (is_same_filled(page, corpus->page_size)) {
		corpus->same_filled++;
		return true;
	}
	size = compress(making, page);
	if (!size) {
		size = corpus->page_size;
		memcpy(making->end, page, size);
		corpus->incompressible++;
	}
	corpus->size[corpus->objects++] = (uint32_t)size;
	corpus->bytes += size;
	making->end += size;
	return corpus->objects < corpus->room;
}

static bool add_process_page(void *arg, const char *page)
{
	struct making *making = arg;

	making->corpus->process_pages++;
	return add_page(making, page);
}

/* Add the pages of a file as the page cache holds them: the last one is filled up with zeros. */
static void add_file(struct making *making, const char *path, char *page)
{
	size_t page_size = making->corpus->page_size;
	FILE *file = fopen(path, "re");
	size_t got;

	if (!file) /* gone since it was listed */
		return;
	setvbuf(file, NULL, _IOFBF, READ_BUFFER);
	making->corpus->files++;
	while ((got = fread(page, 1, page_size, file)) > 0) {
		memset(page + got, 0, page_size - got);
		if (!add_page(making, page))
			break;
	}
	fclose(file);
}

static bool is_process(const char *path)
{
	int length = 0;

	return sscanf(path, "/proc/%*u/mem%n", &length) == 0 && length && !path[length];
}

static void add_listed(struct making *making, FILE *list)
{
	struct corpus *corpus = making->corpus;
	char *page = malloc(corpus->page_size);
	char *line = NULL;
	size_t room = 0;

	if (!page)
		err(2, "cannot make a corpus");
	while (corpus->objects < corpus->room && getline(&line, &room, list) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (is_process(line))
			corpus_walk_process(line, corpus->page_size, add_process_page, making);
		else
			add_file(making, line, page);
	}
	free(line);
	free(page);
}

/* Make a corpus in an empty file. */
static void fill(int file, FILE *list, size_t objects, bool zstd)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	size_t most = sizeof(struct corpus) + objects * (sizeof(uint32_t) + page_size);
	struct making making = { .zstd = zstd ? ZSTD_createCCtx() : NULL };
	struct corpus *corpus;
	size_t length;

	if (ftruncate(file, (off_t)most) != 0 || (zstd && !making.zstd))
		err(2, "cannot make a corpus of %zu objects", objects);
	corpus = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (corpus == MAP_FAILED)
		err(2, "cannot map a corpus of %zu bytes", most);
	corpus->page_size = page_size;
	corpus->room = objects;
	making.corpus = corpus;
	making.end = (unsigned char *)corpus_data(corpus);
	add_listed(&making, list);
	if (!corpus->objects)
		errx(2, "no pages: give the names of files on standard input, one a line");
	length = (size_t)(making.end - (unsigned char *)corpus);
	munmap(corpus, most);
	ZSTD_freeCCtx(making.zstd);
	if (ftruncate(file, (off_t)length) != 0)
		err(2, "cannot make a corpus of %zu bytes", length);
}

static int print(const struct corpus *corpus)
{
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {
		{ "objects", corpus->objects },
		{ "bytes", corpus->bytes },
		{ "pages", corpus->pages },
		{ "same_filled", corpus->same_filled },
		{ "incompressible", corpus->incompressible },
		{ "files", corpus->files },
		{ "process_pages", corpus->process_pages },
		{ "page_size", corpus->page_size },
		{ "room", corpus->room },
	};
	json_t *all = json_object();

	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		json_object_set_new(all, figures[i].name,
				    json_integer((json_int_t)figures[i].value));
	if (json_dumpf(all, stdout, JSON_INDENT(2)) != 0)
		errx(2, "cannot tell what the corpus has");
	json_decref(all);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t objects = 0;
	int file;

	if (argc != 4 || (strcmp(argv[3], "lz4") != 0 && strcmp(argv[3], "zstd") != 0))
		errx(2, "usage: %s FILE OBJECTS lz4|zstd", argv[0]);
	file = atoi(argv[1]);
	if (pread(file, &objects, sizeof(objects), 0) < 0)
		err(2, "no open file '%s'", argv[1]);
	if (!objects)
		fill(file, stdin, strtoul(argv[2], NULL, 10), strcmp(argv[3], "zstd") == 0);
	return print(corpus_map(file));
}
