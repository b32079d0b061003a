/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_latency runs one round in a process of its own. Another thread, on a CPU of its own, stores
 * and reads objects: with nothing beside it, then while many objects are freed, several times over.
 * It prints as JSON how long that thread's calls took in the two.
 *
 * The freeing thread is bound to the second CPU. So is the pool's worker, which inherits that from
 * the thread that makes the pool. If freeing is deferred, everything is queued first, and the calls
 * count from the first object that is drained to the last. No other thread wants that CPU then: the
 * worker would step back.
 *
 * usage: bench_latency SUBJECT CORPUS
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "cpu.h"
#include "memory.h"
#include "objects.h"
#include "random.h"
#include "samples.h"

#define LIVE 4096 /* objects that the thread has stored and will free again */
#define WARM_CALLS (32 * LIVE) /* until the memory for LIVE objects is there */
#define TIMES 4 /* that many objects are freed: one drain is over soon */
#define IDLE_CALLS 100000 /* before each */
#define MOST_CALLS 5000000
#define LOOK_CALLS 64 /* between two looks at the queue */
#define LOOK_US 20 /* the same, while nothing is called */

enum phase {
	IDLE,
	FREEING,
	FREED, /* or queued */
};

struct scene {
	const struct subject *subject;
	const struct corpus *corpus;
	const char *version;
	unsigned long *stored; /* to be freed */
	size_t count;
	unsigned long *kept; /* to be read: the corpus's first */
	size_t keep;
	uint64_t queued;
	atomic_int phase;
};

/* What the thread that stores and reads has. */
struct visitor {
	unsigned long live[LIVE];
	size_t calls;
	uint64_t random;
	char *buffer;
};

/* How long the calls of a phase took. */
struct times {
	struct samples store;
	struct samples read;
};

static void *set_up(void *arg)
{
	struct scene *scene = arg;
	struct objects objects = { .corpus = scene->corpus };

	cpu_bind(1);
	scene->version = scene->subject->open(scene->subject);
	objects_store(&objects, scene->subject, scene->kept, scene->keep);
	return NULL;
}

static void *store_to_free(void *arg)
{
	struct scene *scene = arg;
	struct objects objects = { .corpus = scene->corpus };

	cpu_bind(1);
	objects_skip(&objects, scene->keep);
	objects_store(&objects, scene->subject, scene->stored, scene->count);
	return NULL;
}

static void *free_stored(void *arg)
{
	struct scene *scene = arg;

	cpu_bind(1);
	atomic_store(&scene->phase, FREEING);
	scene->subject->free_all(scene->stored, scene->count);
	if (scene->subject->pending)
		scene->queued = scene->subject->pending();
	atomic_store(&scene->phase, FREED);
	return NULL;
}

static bool is_idle(const struct scene *scene)
{
	if (scene->subject->pending)
		scene->subject->pending(); /* as beside the drain, which ends when none is */
	return atomic_load(&scene->phase) == IDLE;
}

static bool is_freeing(const struct scene *scene)
{
	return atomic_load(&scene->phase) == FREEING;
}

static bool is_draining(const struct scene *scene)
{
	return scene->subject->pending() != 0;
}

/* What is stored is hot, as what was just compressed is. */
static void time_store(const struct scene *scene, struct visitor *visitor, struct samples *samples)
{
	unsigned long *live = &visitor->live[visitor->calls % LIVE];
	size_t size = scene->corpus->size[random_below(&visitor->random, scene->corpus->objects)];
	uint64_t start;

	if (*live)
		scene->subject->free_one(*live);
	start = now_ns();
	*live = scene->subject->store(visitor->buffer, size);
	samples_add(samples, now_ns() - start);
}

static void time_read(const struct scene *scene, struct visitor *visitor, struct samples *samples)
{
	size_t i = random_below(&visitor->random, scene->keep);
	uint64_t start = now_ns();

	scene->subject->read(scene->kept[i], visitor->buffer, scene->corpus->size[i]);
	samples_add(samples, now_ns() - start);
}

static void times_init(struct times *times, size_t most)
{
	samples_init(&times->store, most);
	samples_init(&times->read, most);
}

static json_t *times_figures(struct times *times)
{
	return json_pack("{s:o, s:o}", "store", samples_figures(&times->store), "read",
			 samples_figures(&times->read));
}

/* Store and read as long as it is so, at most so often. */
static void visit(struct scene *scene, struct visitor *visitor,
		  bool (*is)(const struct scene *scene), size_t most, struct times *times)
{
	for (size_t i = 0; i < most && (i % LOOK_CALLS || is(scene)); i++) {
		time_store(scene, visitor, &times->store);
		time_read(scene, visitor, &times->read);
		visitor->calls++;
	}
}

static pthread_t start(void *(*work)(void *arg), struct scene *scene)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, work, scene);
	if (errno)
		err(2, "cannot start a thread");
	return thread;
}

/* Store what another thread will free; call with nothing beside; call while that thread frees. */
static void visit_both(struct scene *scene, struct visitor *visitor, struct times *idle,
		       struct times *freeing)
{
	pthread_t thread;

	pthread_join(start(store_to_free, scene), NULL);
	atomic_store(&scene->phase, IDLE);
	visit(scene, visitor, is_idle, IDLE_CALLS, idle);
	thread = start(free_stored, scene);
	if (!scene->subject->pending) {
		while (is_idle(scene))
			;
		visit(scene, visitor, is_freeing, MOST_CALLS, freeing);
	}
	pthread_join(thread, NULL);
	if (scene->subject->pending) {
		if (scene->queued < scene->count / 2)
			errx(2, "the drain began before all was queued: the machine is too busy");
		while (scene->subject->pending() >= scene->queued)
			usleep(LOOK_US);
		visit(scene, visitor, is_draining, MOST_CALLS, freeing);
	}
}

static json_t *run(struct scene *scene)
{
	struct visitor visitor = {
		.random = RANDOM_SEED,
		.buffer = memory_touched(scene->corpus->page_size),
	};
	struct times warm, idle, freeing;
	json_t *figures = json_object();

	times_init(&warm, WARM_CALLS);
	times_init(&idle, TIMES * IDLE_CALLS);
	times_init(&freeing, MOST_CALLS);
	pthread_join(start(set_up, scene), NULL);
	cpu_bind(0);
	visit(scene, &visitor, is_idle, WARM_CALLS, &warm);
	for (int i = 0; i < TIMES; i++)
		visit_both(scene, &visitor, &idle, &freeing);
	json_object_set_new(figures, "idle", times_figures(&idle));
	json_object_set_new(figures, "freeing", times_figures(&freeing));
	json_object_set_new(figures, "version", json_string(scene->version));
	figure_set(figures, "objects", scene->count);
	figure_set(figures, "cpus", cpu_count());
	return figures;
}

int main(int argc, char **argv)
{
	struct scene scene = { .phase = IDLE };

	if (argc != 3)
		errx(2, "usage: %s SUBJECT CORPUS", argv[0]);
	scene.subject = subject_find(argv[1]);
	scene.corpus = corpus_map(atoi(argv[2]));
	scene.keep = scene.corpus->objects / 5;
	scene.kept = memory_touched(scene.keep * sizeof(*scene.kept));
	scene.count = 2 * scene.corpus->objects;
	scene.stored = memory_touched(scene.count * sizeof(*scene.stored));
	return round_print(run(&scene));
}
