/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_store measures what a page store adds to its parts, in a process of its own. Threads write
 * the pages of the corpus, each a share of its own, and read them in random order. By "zram" the
 * store does that. By "parts" the same compressor works for a caller that keeps each page in what
 * malloc() gives, and copies with memcpy(). A reader of the parts copies the compressed page, too,
 * as it would if another thread might free it. Prints the raw figures as JSON.
 *
 * usage: bench_store zram|parts lz4|zstd THREADS OBJECTS CORPUS, the number of the corpus's file
 */
#include <errno.h>
#include <lz4.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zram.h>
#include <zstd.h>

#include "corpus.h"
#include "cpu.h"
#include "memory.h"
#include "moment.h"
#include "random.h"
#include "subject.h"

#define MOST_THREADS 16

/* What the parts keep of a page. */
struct kept {
	char *data;
	size_t size;
};

/* A thread's own. */
struct worker {
	struct bench *bench;
	unsigned int number;
	pthread_t thread;
	size_t first, count; /* its pages */
	unsigned long *order; /* in which it reads them */
	void *lz4;
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress;
	char *buffer; /* of a page: compressed */
	char *page;
	uint64_t start[2], end[2]; /* of writing and reading */
};

struct bench {
	bool parts;
	bool zstd;
	unsigned int threads;
	size_t page_size, count;
	char *pages;
	struct kept *kept;
	struct zram *zram;
	pthread_barrier_t together;
};

static size_t compress(struct worker *worker, const char *page)
{
	size_t page_size = worker->bench->page_size, size;

	if (!worker->bench->zstd)
		return (size_t)LZ4_compress_fast_extState(worker->lz4, page, worker->buffer,
							  (int)page_size, (int)page_size - 1, 1);
	size = ZSTD_compressCCtx(worker->compress, worker->buffer, page_size - 1, page, page_size,
				 ZSTD_CLEVEL_DEFAULT);
	return ZSTD_isError(size) ? 0 : size;
}

static void decompress(struct worker *worker, size_t size)
{
	size_t page_size = worker->bench->page_size, got;

	if (worker->bench->zstd)
		got = ZSTD_decompressDCtx(worker->decompress, worker->page, page_size,
					  worker->buffer, size);
	else
		got = (size_t)LZ4_decompress_safe(worker->buffer, worker->page, (int)size,
						  (int)page_size);
	if (got != page_size)
		errx(2, "a page does not decompress");
}

static void parts_write(struct worker *worker, size_t i, const char *page)
{
	struct kept *kept = &worker->bench->kept[i];
	size_t size = compress(worker, page);

	kept->size = size ? size : worker->bench->page_size;
	kept->data = malloc(kept->size);
	if (!kept->data)
		err(2, "no memory for a page");
	memcpy(kept->data, size ? worker->buffer : page, kept->size);
}

static void parts_read(struct worker *worker, size_t i)
{
	const struct kept *kept = &worker->bench->kept[i];

	if (kept->size == worker->bench->page_size) {
		memcpy(worker->page, kept->data, kept->size);
	} else {
		memcpy(worker->buffer, kept->data, kept->size);
		decompress(worker, kept->size);
	}
}

static void write_page(struct worker *worker, size_t i)
{
	const char *page = worker->bench->pages + i * worker->bench->page_size;

	if (worker->bench->parts)
		parts_write(worker, i, page);
	else if (zram_write_page(worker->bench->zram, i, page) != 0)
		errx(2, "a page is not written");
}

static void read_page(struct worker *worker, size_t i)
{
	if (worker->bench->parts)
		parts_read(worker, i);
	else if (zram_read_page(worker->bench->zram, i, worker->page) != 0)
		errx(2, "a page is not read");
}

/* A thread's compressor, once warm, is its own in both ways. */
static void worker_open(struct worker *worker)
{
	const struct bench *bench = worker->bench;

	worker->lz4 = memory_touched((size_t)LZ4_sizeofState());
	worker->compress = ZSTD_createCCtx();
	worker->decompress = ZSTD_createDCtx();
	worker->buffer = memory_touched(bench->page_size);
	worker->page = memory_touched(bench->page_size);
	worker->order = memory_touched(worker->count * sizeof(*worker->order));
	if (!worker->compress || !worker->decompress)
		errx(2, "no memory for a compressor");
	for (size_t i = 0; i < worker->count; i++)
		worker->order[i] = worker->first + i;
	shuffle(worker->order, worker->count, RANDOM_SEED);
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	cpu_bind(worker->number);
	worker_open(worker);
	pthread_barrier_wait(&worker->bench->together);
	worker->start[0] = now_ns();
	for (size_t i = 0; i < worker->count; i++)
		write_page(worker, worker->first + i);
	worker->end[0] = now_ns();
	pthread_barrier_wait(&worker->bench->together);
	worker->start[1] = now_ns();
	for (size_t i = 0; i < worker->count; i++)
		read_page(worker, worker->order[i]);
	worker->end[1] = now_ns();
	if (memcmp(worker->page,
		   worker->bench->pages +
			   worker->order[worker->count - 1] * worker->bench->page_size,
		   worker->bench->page_size) != 0)
		errx(2, "a page is not what was written");
	return NULL;
}

/* Returns the time from the first thread's beginning to the last one's end. */
static uint64_t whole(const struct worker *worker, unsigned int threads, unsigned int phase)
{
	uint64_t first = UINT64_MAX, last = 0;

	for (unsigned int i = 0; i < threads; i++) {
		if (worker[i].start[phase] < first)
			first = worker[i].start[phase];
		if (worker[i].end[phase] > last)
			last = worker[i].end[phase];
	}
	return last - first;
}

static json_t *run(struct bench *bench)
{
	struct worker worker[MOST_THREADS] = { 0 };
	json_t *figures = json_object();

	errno = pthread_barrier_init(&bench->together, NULL, bench->threads);
	for (unsigned int i = 0; !errno && i < bench->threads; i++) {
		size_t first = bench->count * i / bench->threads;
		size_t end = bench->count * (i + 1) / bench->threads;

		worker[i] = (struct worker){
			.bench = bench, .number = i, .first = first, .count = end - first
		};
		errno = pthread_create(&worker[i].thread, NULL, work, &worker[i]);
	}
	if (errno)
		err(2, "cannot start %u threads", bench->threads);
	for (unsigned int i = 0; i < bench->threads; i++)
		pthread_join(worker[i].thread, NULL);
	figure_set(figures, "objects", bench->count);
	figure_set(figures, "write", whole(worker, bench->threads, 0));
	figure_set(figures, "read", whole(worker, bench->threads, 1));
	return figures;
}

/* Makes pages of the corpus's objects, which lz4 has compressed. */
static void pages_make(struct bench *bench, const struct corpus *corpus)
{
	const char *object = (const char *)corpus_data(corpus);

	bench->pages = memory_touched(bench->count * bench->page_size);
	for (size_t i = 0; i < bench->count; i++) {
		char *page = bench->pages + i * bench->page_size;

		if (corpus->size[i] == bench->page_size)
			memcpy(page, object, bench->page_size);
		else if (LZ4_decompress_safe(object, page, (int)corpus->size[i],
					     (int)bench->page_size) != (int)bench->page_size)
			errx(2, "the corpus is not lz4's");
		object += corpus->size[i];
	}
}

static void bench_open(struct bench *bench, const char *codec, size_t objects, int file)
{
	const struct corpus *corpus = corpus_map(file);
	struct zram_options options = { .size = sizeof(options), .algorithm = codec };

	bench->zstd = strcmp(codec, "zstd") == 0;
	bench->page_size = corpus->page_size;
	bench->count = objects < corpus->objects ? objects : corpus->objects;
	pages_make(bench, corpus);
	bench->kept = memory_touched(bench->count * sizeof(*bench->kept));
	options.disksize = bench->count * bench->page_size;
	if (!bench->parts)
		bench->zram = zram_create(&options);
	if (!bench->parts && !bench->zram)
		err(2, "cannot make a store");
}

int main(int argc, char **argv)
{
	struct bench bench = { 0 };
	unsigned long threads = argc == 6 ? strtoul(argv[3], NULL, 10) : 0;

	if (threads < 1 || threads > MOST_THREADS)
		errx(2, "usage: %s zram|parts lz4|zstd THREADS OBJECTS CORPUS", argv[0]);
	bench.parts = strcmp(argv[1], "parts") == 0;
	bench.threads = (unsigned int)threads;
	bench_open(&bench, argv[2], strtoul(argv[4], NULL, 10), atoi(argv[5]));
	return round_print(run(&bench));
}
