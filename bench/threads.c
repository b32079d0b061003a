/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_threads runs one round in a process of its own. Several threads free objects of one pool at
 * the same time, each a share of its own. Each is bound to a CPU as far as there are enough. It
 * prints as JSON
 *
 *   exit    what it took to free the corpus, cold
 *   refill  how often threads met that store and free again and again, ten million objects in all
 *
 * usage: bench_threads SUBJECT exit|refill THREADS CORPUS
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cpu.h"
#include "memory.h"
#include "objects.h"

#define MOST_THREADS 1000
#define REFILLED 10000000

struct crew {
	const struct subject *subject;
	const struct corpus *corpus;
	unsigned long *stored;
	unsigned int threads;
	unsigned int passes; /* of storing and freeing everything */
	pthread_barrier_t together;
};

struct member {
	struct crew *crew;
	unsigned int number;
	pthread_t thread;
	uint64_t start, end, cpu; /* of its frees */
};

/* The member's share of what is stored. */
static unsigned long *share(const struct member *member, size_t *count)
{
	const struct crew *crew = member->crew;
	size_t begin = crew->corpus->objects * member->number / crew->threads;
	size_t end = crew->corpus->objects * (member->number + 1) / crew->threads;

	*count = end - begin;
	return crew->stored + begin;
}

static void *free_share(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;
	size_t count;
	unsigned long *stored = share(member, &count);

	cpu_bind(member->number);
	pthread_barrier_wait(&crew->together);
	member->cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	member->start = now_ns();
	crew->subject->free_all(stored, count);
	member->end = now_ns();
	member->cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - member->cpu;
	return NULL;
}

static void *refill_share(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;
	size_t count;
	unsigned long *stored = share(member, &count);
	struct objects first = { .corpus = crew->corpus };

	objects_skip(&first, (size_t)(stored - crew->stored));
	cpu_bind(member->number);
	for (unsigned int pass = 0; pass < crew->passes; pass++) {
		struct objects objects = first;
		uint64_t start;

		objects_store(&objects, crew->subject, stored, count);
		pthread_barrier_wait(&crew->together);
		start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		crew->subject->free_all(stored, count);
		member->cpu += clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
		pthread_barrier_wait(&crew->together);
		if (member->number == 0)
			crew->subject->settle();
		pthread_barrier_wait(&crew->together);
	}
	return NULL;
}

static void run_all(struct crew *crew, struct member *member, void *(*work)(void *arg))
{
	errno = pthread_barrier_init(&crew->together, NULL, crew->threads);
	if (errno)
		err(2, "cannot start %u threads", crew->threads);
	for (unsigned int i = 0; i < crew->threads; i++) {
		member[i] = (struct member){ .crew = crew, .number = i };
		errno = pthread_create(&member[i].thread, NULL, work, &member[i]);
		if (errno)
			err(2, "cannot start %u threads", crew->threads);
	}
	for (unsigned int i = 0; i < crew->threads; i++)
		pthread_join(member[i].thread, NULL);
}

static json_t *run_exit(struct crew *crew)
{
	struct objects objects = { .corpus = crew->corpus };
	struct member member[MOST_THREADS];
	uint64_t first = UINT64_MAX, last = 0, wall = 0, cpu = 0;
	json_t *figures = json_object();

	objects_store(&objects, crew->subject, crew->stored, crew->corpus->objects);
	memory_make_cold(corpus_data(crew->corpus), crew->corpus->bytes);
	run_all(crew, member, free_share);
	if (crew->subject->freed)
		crew->subject->freed(figures);
	crew->subject->settle();
	for (unsigned int i = 0; i < crew->threads; i++) {
		first = member[i].start < first ? member[i].start : first;
		last = member[i].end > last ? member[i].end : last;
		wall += member[i].end - member[i].start;
		cpu += member[i].cpu;
	}
	figure_set(figures, "objects", crew->corpus->objects);
	figure_set(figures, "exit", last - first);
	figure_set(figures, "caller", wall);
	figure_set(figures, "caller_cpu", cpu);
	return figures;
}

static json_t *run_refill(struct crew *crew)
{
	struct member member[MOST_THREADS];
	json_t *figures = json_object();
	uint64_t cpu = 0;

	crew->passes = (unsigned int)((REFILLED - 1) / crew->corpus->objects + 1);
	run_all(crew, member, refill_share);
	for (unsigned int i = 0; i < crew->threads; i++)
		cpu += member[i].cpu;
	figure_set(figures, "objects", crew->passes * crew->corpus->objects);
	figure_set(figures, "caller_cpu", cpu);
	if (crew->subject->freed)
		crew->subject->freed(figures);
	return figures;
}

int main(int argc, char **argv)
{
	struct crew crew = { .threads = 0 };
	const char *version;
	json_t *figures;

	if (argc != 5 || (strcmp(argv[2], "exit") != 0 && strcmp(argv[2], "refill") != 0))
		errx(2, "usage: %s SUBJECT exit|refill THREADS CORPUS", argv[0]);
	crew.subject = subject_find(argv[1]);
	crew.threads = (unsigned int)atoi(argv[3]);
	crew.corpus = corpus_map(atoi(argv[4]));
	if (crew.threads < 1 || crew.threads > MOST_THREADS)
		errx(2, "1 to %d threads, not '%s'", MOST_THREADS, argv[3]);
	crew.stored = memory_touched(crew.corpus->objects * sizeof(*crew.stored));
	version = crew.subject->open(crew.subject);
	figures = strcmp(argv[2], "exit") == 0 ? run_exit(&crew) : run_refill(&crew);
	json_object_set_new(figures, "version", json_string(version));
	return round_print(figures);
}
