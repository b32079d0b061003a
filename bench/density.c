/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_density runs one round of the benchmarks density and holes, in a process of its own. It
 * stores objects, frees a random share of them, and calls nothing for a second. Then it gives back
 * all memory that it can. It prints as JSON what was resident after each step, and what the pool
 * said that it holds.
 *
 * usage: bench_density SUBJECT PERCENT objects|pages [OBJECTS] CORPUS, the number of the corpus's
 * open file. "pages": the objects are incompressible, a whole page each. Without OBJECTS: those of
 * the corpus.
 */
#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "density_trim.h"
#include "memory.h"
#include "objects.h"
#include "random.h"
#include "subject.h"

/* An object that was freed has size 0. */
struct stored {
	unsigned long *objects;
	uint32_t *size;
	size_t count;
	uint64_t bytes;
};

/* Any page will do: what is in the objects does not matter, that it is written does. */
static void store_pages(struct stored *stored, const struct subject *subject,
			const struct corpus *corpus)
{
	const void *page = memory_touched(corpus->page_size);

	for (size_t i = 0; i < stored->count; i++) {
		stored->objects[i] = subject->store(page, corpus->page_size);
		stored->size[i] = (uint32_t)corpus->page_size;
	}
	stored->bytes = stored->count * corpus->page_size;
}

static void store_objects(struct stored *stored, const struct subject *subject,
			  const struct corpus *corpus)
{
	struct objects objects = { .corpus = corpus };

	memcpy(stored->size, corpus->size, stored->count * sizeof(*stored->size));
	stored->bytes = objects_store(&objects, subject, stored->objects, stored->count);
}

/* Each object is as likely to be freed as any other. */
static void free_share(const struct subject *subject, struct stored *stored, unsigned int percent)
{
	uint64_t state = RANDOM_SEED;
	size_t left = stored->count * percent / 100;

	while (left) {
		size_t i = random_below(&state, stored->count);

		if (!stored->size[i])
			continue;
		subject->free_all(&stored->objects[i], 1);
		stored->bytes -= stored->size[i];
		stored->size[i] = 0;
		left--;
	}
}

static void give_back(const struct subject *subject)
{
	if (subject->give_back)
		subject->give_back();
	else
		density_trim_peer();
}

/* What is resident since, and what the pool holds, as "NAME_resident" and "NAME_pool". */
static void held(const struct subject *subject, json_t *figures, const char *name, uint64_t before)
{
	char figure[32];

	snprintf(figure, sizeof(figure), "%s_resident", name);
	figure_set(figures, figure, memory_resident() - before);
	snprintf(figure, sizeof(figure), "%s_pool", name);
	if (subject->pool_bytes)
		figure_set(figures, figure, subject->pool_bytes());
}

static json_t *run(const struct subject *subject, const struct corpus *corpus, unsigned int percent,
		   bool pages, size_t count)
{
	static const struct timespec second = { .tv_sec = 1 };
	struct stored stored = {
		.objects = memory_touched(count * sizeof(*stored.objects)),
		.size = memory_touched(count * sizeof(*stored.size)),
		.count = count,
	};
	json_t *figures = json_object(); /* now: later it lies behind the peer's objects */
	uint64_t before = memory_resident();
	uint64_t start;

	json_object_set_new(figures, "version", json_string(subject->open(subject)));
	if (pages)
		store_pages(&stored, subject, corpus);
	else
		store_objects(&stored, subject, corpus);
	figure_set(figures, "stored_bytes", stored.bytes);
	held(subject, figures, "stored", before);

	free_share(subject, &stored, percent);
	figure_set(figures, "left_bytes", stored.bytes);
	held(subject, figures, "freed", before);
	nanosleep(&second, NULL);
	held(subject, figures, "later", before);

	start = now_ns();
	give_back(subject);
	figure_set(figures, "give_back", now_ns() - start);
	held(subject, figures, "left", before);
	return figures;
}

int main(int argc, char **argv)
{
	const struct corpus *corpus;
	size_t count;
	bool pages;

	if (argc < 5 || argc > 6 ||
	    (strcmp(argv[3], "objects") != 0 && strcmp(argv[3], "pages") != 0))
		errx(2, "usage: %s SUBJECT PERCENT objects|pages [OBJECTS] CORPUS", argv[0]);
	corpus = corpus_map(atoi(argv[argc - 1]));
	pages = strcmp(argv[3], "pages") == 0;
	count = argc == 6 ? strtoul(argv[4], NULL, 10) : corpus->objects;
	if (!pages && count > corpus->objects)
		count = corpus->objects;
	return round_print(
		run(subject_find(argv[1]), corpus, (unsigned int)atoi(argv[2]), pages, count));
}
