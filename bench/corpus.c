/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Makes the corpus: see corpus.h. */
#include "corpus.h"

#include <err.h>
#include <fcntl.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

static void *map(int file, size_t bytes, int protection)
{
	void *memory = mmap(NULL, bytes, protection, MAP_SHARED, file, 0);

	if (memory == MAP_FAILED)
		err(2, "cannot map a corpus of %zu bytes", bytes);
	return memory;
}

/* The most that so many objects take. */
static size_t corpus_most(size_t objects)
{
	return sizeof(struct corpus) + objects * (sizeof(uint32_t) + (size_t)sysconf(_SC_PAGESIZE));
}

/* Make a corpus in an empty file. */
static void corpus_fill(int file, FILE *list, size_t objects, enum corpus_codec codec)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	size_t most = corpus_most(objects);
	struct making making = { .zstd = codec == CORPUS_ZSTD ? ZSTD_createCCtx() : NULL };
	struct corpus *corpus;
	size_t length;

	if (ftruncate(file, (off_t)most) != 0 || (codec == CORPUS_ZSTD && !making.zstd))
		err(2, "cannot make a corpus of %zu objects", objects);
	corpus = map(file, most, PROT_READ | PROT_WRITE);
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

static int corpus_make_in_memory(FILE *list, size_t objects, enum corpus_codec codec)
{
	int file = memfd_create("corpus", 0); /* to be inherited */

	if (file < 0)
		err(2, "cannot make a corpus");
	corpus_fill(file, list, objects, codec);
	return file;
}

/*
 * Have a file of that name, made of the template's: complete, or there is none. So of two who make the same one
 * both have it whole. On the disk now, and not while something is measured. In memory if the disk has no room.
 */
static int corpus_make_kept(const char *name, char *template, FILE *list, size_t objects,
			    enum corpus_codec codec)
{
	int file = mkstemp(template); /* to be inherited */

	if (file < 0)
		err(2, "cannot make '%s'", template);
	if (posix_fallocate(file, 0, (off_t)corpus_most(objects)) != 0) {
		close(file);
		unlink(template);
		return corpus_make_in_memory(list, objects, codec);
	}
	corpus_fill(file, list, objects, codec);
	if (fsync(file) != 0 || rename(template, name) != 0)
		err(2, "cannot make '%s'", name);
	return file;
}

int corpus_make(FILE *list, size_t objects, enum corpus_codec codec, const char *directory)
{
	char *name, *template;
	int file;

	if (!directory)
		return corpus_make_in_memory(list, objects, codec);
	if (asprintf(&name, "%s/corpus-%s-%zu", directory, codec == CORPUS_ZSTD ? "zstd" : "lz4",
		     objects) < 0 ||
	    asprintf(&template, "%s.XXXXXX", name) < 0)
		err(2, "cannot make a corpus");
	file = open(name, O_RDONLY);
	if (file < 0)
		file = corpus_make_kept(name, template, list, objects, codec);
	free(template);
	free(name);
	return file;
}

const struct corpus *corpus_map(int file)
{
	struct stat stat;

	if (fstat(file, &stat) != 0)
		err(2, "cannot map the corpus");
	return map(file, (size_t)stat.st_size, PROT_READ);
}
