/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * One round, in a process of its own: store the corpus, make memory cold, free every object, and
 * print what that took as JSON.
 *
 * usage: round SUBJECT 'in order'|random CORPUS, the number of the corpus's open memory file
 */
#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "corpus.h"
#include "memory.h"
#include "random.h"
#include "subject.h"

struct moment {
	uint64_t wall;
	uint64_t thread; /* CPU time of the caller */
	uint64_t process; /* CPU time of all threads, the worker's too */
};

static struct moment moment_now(void)
{
	return (struct moment){
		.process = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
		.thread = clock_ns(CLOCK_THREAD_CPUTIME_ID),
		.wall = clock_ns(CLOCK_MONOTONIC),
	};
}

static void store_all(const struct subject *subject, const struct corpus *corpus,
		      unsigned long *objects)
{
	const unsigned char *data = corpus_data(corpus);

	for (size_t i = 0; i < corpus->objects; i++) {
		objects[i] = subject->store(data, corpus->size[i]);
		data += corpus->size[i];
	}
}

/* Free everything, and tell what the caller's loop, the flush and giving the memory back took. */
static void free_and_measure(const struct subject *subject, const unsigned long *objects,
			     size_t count, json_t *figures)
{
	struct moment start, freed, settling, settled, back;

	start = moment_now();
	subject->free_all(objects, count);
	freed = moment_now();
	if (subject->freed)
		subject->freed(figures);
	settling = moment_now();
	if (subject->settle)
		subject->settle();
	settled = moment_now();
	if (subject->give_back)
		subject->give_back();
	back = moment_now();

	/* Nanoseconds, of all objects together. */
	figure_set(figures, "caller", freed.wall - start.wall);
	figure_set(figures, "caller_cpu", freed.thread - start.thread);
	figure_set(figures, "flush", settled.wall - settling.wall);
	figure_set(figures, "flush_cpu", settled.process - settling.process);
	figure_set(figures, "all_cpu", back.process - start.process);
	figure_set(figures, "back", back.wall - start.wall);
}

static json_t *run(const struct subject *subject, bool random, const struct corpus *corpus)
{
	unsigned long *objects = memory_touched(corpus->objects * sizeof(*objects));
	json_t *figures = json_object(); /* now: later it would lie behind the peer's objects */
	uint64_t before, held;
	const char *version;

	before = memory_resident();
	version = subject->open(subject);
	store_all(subject, corpus, objects);
	held = memory_resident() - before;
	if (subject->stored)
		subject->stored(figures);
	if (random)
		shuffle(objects, corpus->objects);
	memory_make_cold(corpus_data(corpus), corpus->bytes);
	free_and_measure(subject, objects, corpus->objects, figures);

	json_object_set_new(figures, "version", json_string(version));
	figure_set(figures, "objects", corpus->objects);
	figure_set(figures, "stored_bytes", corpus->bytes);
	figure_set(figures, "resident_bytes", held);
	return figures;
}

int main(int argc, char **argv)
{
	const struct subject *subject;

	if (argc != 4 || (strcmp(argv[2], "in order") != 0 && strcmp(argv[2], "random") != 0))
		errx(2, "usage: %s SUBJECT 'in order'|random CORPUS", argv[0]);
	subject = subject_zs(argv[1]);
	if (!subject)
		subject = subject_peer(argv[1]);
	if (!subject) {
		warnx("there is no subject '%s'", argv[1]);
		return 2;
	}
	if (json_dumpf(run(subject, strcmp(argv[2], "random") == 0, corpus_map(atoi(argv[3]))),
		       stdout, JSON_INDENT(2)) != 0)
		errx(2, "cannot write the figures");
	return 0;
}
