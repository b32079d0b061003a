/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The pages of a source, in one mapping that fills up as they are loaded. */
#include "source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli.h"
#include "progress.h"

void source_create(struct source *source, size_t bytes)
{
	memset(source, 0, sizeof(*source));
	source->page_size = (size_t)sysconf(_SC_PAGESIZE);
	source->room = bytes / source->page_size;
	if (source->room == 0)
		fail("a size of %zu bytes is less than a page of %zu", bytes, source->page_size);
	source->pages = mmap(NULL, source->room * source->page_size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (source->pages == MAP_FAILED)
		source->pages = NULL;
	source->hashes = calloc(source->room, sizeof(*source->hashes));
	if (!source->pages || !source->hashes)
		fail("no memory to load %zu bytes; choose a smaller --size", bytes);
}

void source_destroy(struct source *source)
{
	munmap(source->pages, source->room * source->page_size);
	free(source->hashes);
	free(source->name);
}

unsigned char *source_next(struct source *source)
{
	return source->pages + source->count * source->page_size;
}

void source_add(struct source *source)
{
	source->hashes[source->count] = source_hash(source, source_page(source, source->count));
	source->count++;
	progress_add(1);
}

uint64_t source_hash(const struct source *source, const void *page)
{
	return XXH3_64bits(page, source->page_size);
}
