/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A round of bench_density, in a process of its own: store the corpus, free a random share of it, give
 * back what can be given back, and print as JSON what was resident after each step.
 *
 * usage: density_round SUBJECT PERCENT CORPUS, the number of the corpus's open file
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

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
	uint64_t bytes;
};

/* Each object is as likely to be freed as any other. */
static void free_share(const struct subject *subject, struct stored *stored, size_t count,
		       unsigned int percent)
{
	uint64_t state = RANDOM_SEED;
	size_t left = count * percent / 100;

	while (left) {
		size_t i = random_below(&state, count);

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

static json_t *run(const struct subject *subject, const struct corpus *corpus, unsigned int percent)
{
	struct stored stored = {
		.objects = memory_touched(corpus->objects * sizeof(*stored.objects)),
		.size = memory_touched(corpus->objects * sizeof(*stored.size)),
	};
	json_t *figures = json_object(); /* now: later it would lie behind the peer's objects */
	struct objects objects = { .corpus = corpus };
	uint64_t before = memory_resident();
	uint64_t start;

	memcpy(stored.size, corpus->size, corpus->objects * sizeof(*stored.size));
	json_object_set_new(figures, "version", json_string(subject->open(subject)));
	stored.bytes = objects_store(&objects, subject, stored.objects, corpus->objects);
	figure_set(figures, "stored_bytes", stored.bytes);
	figure_set(figures, "stored_resident", memory_resident() - before);
	if (subject->stored)
		subject->stored(figures);

	free_share(subject, &stored, corpus->objects, percent);
	figure_set(figures, "left_bytes", stored.bytes);
	figure_set(figures, "freed_resident", memory_resident() - before);

	start = clock_ns(CLOCK_MONOTONIC);
	give_back(subject);
	figure_set(figures, "give_back", clock_ns(CLOCK_MONOTONIC) - start);
	figure_set(figures, "left_resident", memory_resident() - before);
	return figures;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		errx(2, "usage: %s SUBJECT PERCENT CORPUS", argv[0]);
	return round_print(
		run(subject_find(argv[1]), corpus_map(atoi(argv[3])), (unsigned int)atoi(argv[2])));
}
