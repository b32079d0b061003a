/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A source: the options that choose it, and how much there is room for. One mapping holds its pages
 * and fills up as they are loaded.
 */
#include "source.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "allowance.h"
#include "util.h"

static const size_t default_size = (size_t)1 << 30;

void source_option(struct source_options *options, int key)
{
	if (key == 'p')
		options->pid = (pid_t)cli_number("--pid", optarg, 1, INT_MAX);
	else if (key == 'w')
		options->swapped = true;
	else
		options->size = cli_size("--size", optarg);
}

void source_operands(struct source_options *options, char **files)
{
	options->files = *files ? files : NULL;
	if (options->pid && options->files)
		fail("give --pid or files, not both");
}

static size_t decide_size(const struct source_options *options, double taken)
{
	size_t wanted = options->size ? options->size : default_size;
	double needed = taken * (double)wanted;
	double available = (double)allowance_find("").memory;

	if (needed <= available)
		return wanted;
	if (options->size)
		fail("not enough memory: %zu MiB take up to %.0f MiB, of which %.0f MiB are "
		     "available; choose a smaller --size",
		     wanted >> 20, needed / (1 << 20), available / (1 << 20));
	return (size_t)(available / taken);
}

static void source_create(struct source *source, size_t bytes)
{
	*source = (struct source){ .page_size = (size_t)sysconf(_SC_PAGESIZE) };
	source->room = bytes / source->page_size;
	if (source->room == 0)
		fail("a size of %zu bytes is less than a page of %zu", bytes, source->page_size);
	source->pages = mmap(NULL, source->room * source->page_size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	source->hashes = calloc(source->room, sizeof(*source->hashes));
	if (source->pages == MAP_FAILED || !source->hashes)
		fail("no memory to load %zu bytes; choose a smaller --size", bytes);
}

void source_load(struct source *source, const struct source_options *options, double taken)
{
	source_create(source, decide_size(options, taken));
	progress_begin("Loading", source->room);
	if (options->pid)
		source_load_process(source, options->pid, options->swapped);
	else if (options->files)
		source_load_files(source, options->files);
	else
		source_load_system(source);
	progress_end();
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

void source_print(const struct source *source)
{
	printf("Loaded     %zu pages (%.1f MiB) of %s", source->count,
	       mib(source->count * source->page_size), source->name);
	if (source->files)
		printf(": %zu file%s", source->files, source->files == 1 ? "" : "s");
	if (!source_full(source))
		printf(", which is all there is");
	if (source->swapped)
		printf("; %zu pages in swap were left out (--swapped loads them)", source->swapped);
	if (source->skipped)
		printf("; %zu could not be read and were left out", source->skipped);
	putchar('\n');
}

json_t *source_json(const struct source *source)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "from", source->name, "pages",
			 number(source->count), "files", number(source->files), "files_left_out",
			 number(source->skipped), "swapped_pages_left_out",
			 number(source->swapped));
}
