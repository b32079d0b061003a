/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_churn runs one round in a process of its own. It stores the corpus's objects. Then it
 * replaces one at random by one of a size drawn from the corpus, very often. The number of objects
 * stays the same. It prints as JSON how long that took and what was resident on the way.
 *
 * usage: bench_churn SUBJECT REPLACEMENTS CORPUS
 */
#include <err.h>
#include <stdlib.h>

#include "clock.h"
#include "corpus.h"
#include "memory.h"
#include "random.h"
#include "subject.h"

#define SAMPLES 20

struct churn {
	const struct subject *subject;
	const struct corpus *corpus;
	unsigned long *objects;
	uint32_t *size;
	uint64_t bytes;
	uint64_t random;
	const char *content; /* a page: its bytes do not matter, that they are written does */
};

static void store(struct churn *churn, size_t i, uint32_t size)
{
	churn->objects[i] = churn->subject->store(churn->content, size);
	churn->size[i] = size;
	churn->bytes += size;
}

static void replace(struct churn *churn)
{
	size_t objects = churn->corpus->objects;
	size_t i;
	uint32_t size;

	if (objects == 0)
		errx(2, "the corpus is empty");
	i = random_below(&churn->random, objects);
	size = churn->corpus->size[random_below(&churn->random, objects)];

	churn->subject->free_all(&churn->objects[i], 1);
	churn->bytes -= churn->size[i];
	store(churn, i, size);
}

/* What is resident, and the bytes that are stored, now. */
static json_t *sample(const struct churn *churn, uint64_t before, uint64_t replaced)
{
	json_t *figures = json_object();

	figure_set(figures, "replaced", replaced);
	figure_set(figures, "bytes", churn->bytes);
	figure_set(figures, "resident", memory_resident() - before);
	return figures;
}

/* The loop is timed in stretches, without the samples between them. */
static void run(struct churn *churn, uint64_t before, uint64_t replacements, json_t *figures)
{
	json_t *samples = json_array();
	uint64_t wall = 0, cpu = 0;

	json_array_append_new(samples, sample(churn, before, 0));
	for (uint64_t i = 1; i <= SAMPLES; i++) {
		uint64_t until = replacements * i / SAMPLES;
		uint64_t start = now_ns();
		uint64_t start_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

		for (uint64_t n = replacements * (i - 1) / SAMPLES; n < until; n++)
			replace(churn);
		wall += now_ns() - start;
		cpu += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start_cpu;
		json_array_append_new(samples, sample(churn, before, until));
	}
	json_object_set(figures, "end", json_array_get(samples, SAMPLES));
	json_object_set_new(figures, "samples", samples);
	figure_set(figures, "replacements", replacements);
	figure_set(figures, "wall", wall);
	figure_set(figures, "cpu", cpu);
}

static void churn_open(struct churn *churn, const char *subject, int corpus)
{
	churn->subject = subject_find(subject);
	churn->corpus = corpus_map(corpus);
	churn->random = RANDOM_SEED;
	churn->objects = memory_touched(churn->corpus->objects * sizeof(*churn->objects));
	churn->size = memory_touched(churn->corpus->objects * sizeof(*churn->size));
	churn->content = memory_touched(churn->corpus->page_size);
}

int main(int argc, char **argv)
{
	struct churn churn = { .bytes = 0 };
	json_t *figures;
	uint64_t before;

	if (argc != 4)
		errx(2, "usage: %s SUBJECT REPLACEMENTS CORPUS", argv[0]);
	churn_open(&churn, argv[1], atoi(argv[3]));
	figures = json_object(); /* now: later it lies behind the peer's objects */
	before = memory_resident();
	json_object_set_new(figures, "version", json_string(churn.subject->open(churn.subject)));
	for (size_t i = 0; i < churn.corpus->objects; i++)
		store(&churn, i, churn.corpus->size[i]);
	run(&churn, before, strtoull(argv[2], NULL, 10), figures);
	return round_print(figures);
}
