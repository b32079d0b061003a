/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_back runs one round in a process of its own. It stores the corpus and frees all of it,
 * cold. Then it only looks how much memory the process has. It prints as JSON what the process had
 * in the beginning and what it had over time after the last free. It prints when all but a
 * twentieth of the stored bytes was back with the system. It prints the CPU time that all threads
 * took from the first free until then.
 *
 * usage: bench_back SUBJECT 'in order'|random CORPUS
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"
#include "moment.h"
#include "objects.h"
#include "random.h"

#define LOOK_NS 4000000
#define WATCH_NS UINT64_C(1000000000)
#define LOOKS 251

/* Anonymous memory that is resident, by the kernel's own count: quick, exact to a few pages. */
static uint64_t resident_now(int statm)
{
	unsigned long long resident, shared;
	char line[128] = "";

	if (pread(statm, line, sizeof(line) - 1, 0) <= 0 ||
	    sscanf(line, "%*u %llu %llu", &resident, &shared) != 2)
		err(2, "cannot read /proc/self/statm");
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct look {
	uint64_t ns; /* since the last free */
	uint64_t cpu; /* of the other threads since then */
	uint64_t bytes;
};

static size_t watch(int statm, struct look *look)
{
	static const struct timespec pause = { .tv_nsec = LOOK_NS };
	struct moment start = moment_now();
	size_t count = 0;

	do {
		struct moment now = moment_since(start);

		look[count].ns = now.wall;
		look[count].cpu = now.process - now.thread;
		look[count].bytes = resident_now(statm);
		nanosleep(&pause, NULL);
	} while (look[count++].ns < WATCH_NS && count < LOOKS);
	return count;
}

static json_t *looks_json(const struct look *look, size_t count)
{
	json_t *looks = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(looks, json_pack("[I, I]", (json_int_t)look[i].ns,
						       (json_int_t)look[i].bytes));
	return looks;
}

/* The look from which on it was down to @goal for good; the last one if it never was. */
static const struct look *down_to(const struct look *look, size_t count, uint64_t goal)
{
	size_t i = count;

	while (i > 0 && look[i - 1].bytes <= goal)
		i--;
	return &look[i < count ? i : count - 1];
}

static json_t *run(const struct subject *subject, const struct corpus *corpus, bool random,
		   int statm)
{
	unsigned long *stored = memory_touched(corpus->objects * sizeof(*stored));
	struct look *look = memory_touched(LOOKS * sizeof(*look));
	struct objects objects = { .corpus = corpus };
	json_t *figures = json_object();
	uint64_t began = resident_now(statm);
	const struct look *back;
	struct moment freeing;
	uint64_t full;
	size_t looks;

	json_object_set_new(figures, "version", json_string(subject->open(subject)));
	objects_store(&objects, subject, stored, corpus->objects);
	full = resident_now(statm);
	if (random)
		shuffle(stored, corpus->objects, RANDOM_SEED);
	memory_make_cold(corpus_data(corpus), corpus->bytes);
	freeing = moment_now();
	subject->free_all(stored, corpus->objects);
	freeing = moment_since(freeing);
	looks = watch(statm, look);
	back = down_to(look, looks, began + corpus->bytes / 20);

	figure_set(figures, "objects", corpus->objects);
	figure_set(figures, "stored_bytes", corpus->bytes);
	figure_set(figures, "began_bytes", began);
	figure_set(figures, "full_bytes", full);
	figure_set(figures, "left_bytes", look[looks - 1].bytes);
	figure_set(figures, "caller", freeing.wall);
	figure_set(figures, "caller_cpu", freeing.thread);
	figure_set(figures, "back", back->ns);
	figure_set(figures, "all_cpu", freeing.process + back->cpu);
	figure_set(figures, "watched_cpu", freeing.process + look[looks - 1].cpu);
	json_object_set_new(figures, "resident", looks_json(look, looks));
	return figures;
}

int main(int argc, char **argv)
{
	if (argc != 4 || (strcmp(argv[2], "in order") != 0 && strcmp(argv[2], "random") != 0))
		errx(2, "usage: %s SUBJECT 'in order'|random CORPUS", argv[0]);
	return round_print(run(subject_find(argv[1]), corpus_map(atoi(argv[3])),
			       strcmp(argv[2], "random") == 0,
			       open("/proc/self/statm", O_RDONLY | O_CLOEXEC)));
}
