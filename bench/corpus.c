/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Makes the corpus: see corpus.h. */
#include "corpus.h"

#include <err.h>
#include <lz4.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BUFFER (1 << 20)

static bool is_same_filled(const char *page, size_t size)
{
	return memcmp(page, page + sizeof(long), size - sizeof(long)) == 0;
}

/* Add a page as the next object, at @end. Returns where the objects end then. */
static unsigned char *add_page(struct corpus *corpus, unsigned char *end, const char *page)
{
	int page_size = (int)corpus->page_size;
	int size;

	corpus->pages++;
	if (is_same_filled(page, corpus->page_size)) {
		corpus->same_filled++;
		return end;
	}
	size = LZ4_compress_default(page, (char *)end, page_size, page_size - 1);
	if (!size) {
		size = page_size;
		memcpy(end, page, corpus->page_size);
		corpus->incompressible++;
	}
	corpus->size[corpus->objects++] = (uint32_t)size;
	corpus->bytes += (uint64_t)size;
	return end + size;
}

/* Add the pages of a file as the page cache holds them: the last one is filled up with zeros. */
static unsigned char *add_file(struct corpus *corpus, unsigned char *end, const char *path,
			       char *page)
{
	FILE *file = fopen(path, "re");
	size_t got;

	if (!file) /* gone since it was listed */
		return end;
	setvbuf(file, NULL, _IOFBF, READ_BUFFER);
	corpus->files++;
	while (corpus->objects < corpus->room &&
	       (got = fread(page, 1, corpus->page_size, file)) > 0) {
		memset(page + got, 0, corpus->page_size - got);
		end = add_page(corpus, end, page);
	}
	fclose(file);
	return end;
}

static void *map(int file, size_t bytes, int protection)
{
	void *memory = mmap(NULL, bytes, protection, MAP_SHARED, file, 0);

	if (memory == MAP_FAILED)
		err(2, "cannot map a corpus of %zu bytes", bytes);
	return memory;
}

int corpus_make(FILE *list, size_t objects)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	size_t most = sizeof(struct corpus) + objects * (sizeof(uint32_t) + page_size);
	int file = memfd_create("corpus", 0); /* to be inherited */
	struct corpus *corpus;
	unsigned char *end;
	size_t length, room = 0;
	char *line = NULL;
	char *page = malloc(page_size);

	if (!page || file < 0 || ftruncate(file, (off_t)most) != 0)
		err(2, "cannot make a corpus of %zu objects", objects);
	corpus = map(file, most, PROT_READ | PROT_WRITE);
	corpus->page_size = page_size;
	corpus->room = objects;
	end = (unsigned char *)corpus_data(corpus);
	while (corpus->objects < objects && getline(&line, &room, list) > 0) {
		line[strcspn(line, "\n")] = '\0';
		end = add_file(corpus, end, line, page);
	}
	if (!corpus->objects)
		errx(2, "no pages: give the names of files on standard input, one a line");
	length = (size_t)(end - (unsigned char *)corpus);
	munmap(corpus, most);
	free(page);
	free(line);
	if (ftruncate(file, (off_t)length) != 0)
		err(2, "cannot make a corpus of %zu bytes", length);
	return file;
}

const struct corpus *corpus_map(int file)
{
	struct stat stat;

	if (fstat(file, &stat) != 0)
		err(2, "cannot map the corpus");
	return map(file, (size_t)stat.st_size, PROT_READ);
}
