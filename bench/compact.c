/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * bench_compact runs one round in a process of its own. It stores objects of the corpus, frees a
 * random share of them, compacts, and prints as JSON
 *
 *   alone   the pages that came back, and those that a perfect packing would give back;
 *           what was moved, how long it took, and how long memcpy() takes for that
 *
 *   beside  how long reads, writes and frees of another thread take meanwhile, and without
 *
 * usage: bench_compact alone|beside PERCENT PART CORPUS; of the corpus's objects, a PARTth is
 * stored
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "corpus.h"
#include "memory.h"
#include "random.h"
#include "samples.h"
#include "subject.h"
#include "zsmalloc.h"

#define IDLE_CALLS 300000 /* of which a third are reads, a third writes, a third frees */
#define MOST_CALLS 3000000
#define LEAST_CALLS 3000 /* even if compaction is done sooner */

/* An object that was freed has the handle 0. */
struct store {
	struct zs_pool *pool;
	const struct corpus *corpus;
	unsigned long *handle;
	size_t objects;
	uint64_t left; /* bytes of the objects that are left */
	char *content;
};

/* It is compacted when this program says so. */
static struct zs_pool *make_pool(void)
{
	const struct zs_pool_options options = {
		.size = sizeof(options),
		.compact_share = ZS_COMPACT_NEVER,
	};
	struct zs_pool *pool = zs_create_pool_with("bench", &options);

	if (!pool)
		err(2, "zs_create_pool_with()");
	return pool;
}

static unsigned long store_one(struct zs_pool *pool, const void *content, size_t size)
{
	unsigned long handle = zs_malloc(pool, size, GFP_KERNEL, NUMA_NO_NODE);

	if (zs_is_err(handle))
		errx(2, "zs_malloc() of %zu bytes: %s", size, strerror(-zs_err(handle)));
	if (content)
		zs_obj_write(pool, handle, (void *)content, size);
	return handle;
}

static void store_all(struct store *store)
{
	for (size_t i = 0; i < store->objects; i++) {
		store->handle[i] = store_one(store->pool, store->content, store->corpus->size[i]);
		store->left += store->corpus->size[i];
	}
}

static void free_share(struct store *store, unsigned int percent)
{
	uint64_t state = RANDOM_SEED;
	size_t left = store->objects * percent / 100;

	while (left) {
		size_t i = random_below(&state, store->objects);

		if (!store->handle[i])
			continue;
		zs_free(store->pool, store->handle[i]);
		store->left -= store->corpus->size[i];
		store->handle[i] = 0;
		left--;
	}
}

/* Where each object is. */
static void look_up(const struct store *store, void **address)
{
	for (size_t i = 0; i < store->objects; i++) {
		uint32_t size = store->corpus->size[i];

		if (!store->handle[i])
			continue;
		address[i] = zs_obj_read_begin(store->pool, store->handle[i], size, NULL);
		zs_obj_read_end(store->pool, store->handle[i], size, address[i]);
	}
}

/* The bytes of the objects that are not where they were. */
static uint64_t moved_bytes(const struct store *store, void *const *before, void *const *after)
{
	uint64_t moved = 0;

	for (size_t i = 0; i < store->objects; i++)
		if (before[i] != after[i])
			moved += store->corpus->size[i];
	return moved;
}

/* The pages that a new pool takes for the objects that are left: no packing is better. */
static unsigned long perfect_pages(const struct store *store)
{
	struct zs_pool *pool = make_pool();
	unsigned long pages;

	for (size_t i = 0; i < store->objects; i++)
		if (store->handle[i])
			store_one(pool, NULL, store->corpus->size[i]);
	pages = zs_get_total_pages(pool);
	zs_destroy_pool(pool);
	return pages;
}

/* Returns how long memcpy() takes for @bytes of memory that is there already, piece by piece. */
static uint64_t copy_ns(size_t bytes, size_t piece)
{
	char *from = memory_touched(bytes);
	char *to = memory_touched(bytes);
	uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (size_t at = 0; at + piece <= bytes; at += piece)
		memcpy(to + at, from + at, piece);
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
}

static void compact_alone(const struct store *store, json_t *figures)
{
	void **before = memory_touched(store->objects * sizeof(*before));
	void **after = memory_touched(store->objects * sizeof(*after));
	unsigned long pages = zs_get_total_pages(store->pool);
	uint64_t wall, cpu, moved;

	look_up(store, before);
	wall = now_ns();
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	zs_compact(store->pool);
	figure_set(figures, "cpu", clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu);
	figure_set(figures, "wall", now_ns() - wall);
	look_up(store, after);
	moved = moved_bytes(store, before, after);
	figure_set(figures, "left_bytes", store->left);
	figure_set(figures, "moved_bytes", moved);
	figure_set(figures, "memcpy", copy_ns(moved, store->corpus->page_size));
	figure_set(figures, "pages", pages);
	figure_set(figures, "compacted_pages", zs_get_total_pages(store->pool));
	figure_set(figures, "perfect_pages", perfect_pages(store));
}

enum call {
	READ,
	WRITE,
	FREE,
	CALLS,
};

static const char *const call_names[CALLS] = { "read", "write", "free" };

/* What compacts beside the calls, until it is done. */
struct compactor {
	struct zs_pool *pool;
	uint64_t wall;
	uint64_t cpu;
	atomic_bool done;
};

static void *compact(void *arg)
{
	struct compactor *compactor = arg;
	uint64_t wall = now_ns();

	zs_compact(compactor->pool);
	compactor->wall = now_ns() - wall;
	compactor->cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	atomic_store(&compactor->done, true);
	return NULL;
}

/* An object at random. */
static size_t pick(const struct store *store, uint64_t *random)
{
	size_t i;

	do
		i = random_below(random, store->objects);
	while (!store->handle[i]);
	return i;
}

static void read_one(const struct store *store, unsigned long handle, uint32_t size)
{
	void *memory = zs_obj_read_begin(store->pool, handle, size, NULL);

	memcpy(store->content, memory, size);
	zs_obj_read_end(store->pool, handle, size, memory);
}

/* Call, timed. What was freed is stored again, which is not timed. */
static void call_one(struct store *store, enum call call, size_t i, struct samples *samples)
{
	uint32_t size = store->corpus->size[i];
	uint64_t start = now_ns();

	if (call == READ)
		read_one(store, store->handle[i], size);
	else if (call == WRITE)
		zs_obj_write(store->pool, store->handle[i], store->content, size);
	else
		zs_free(store->pool, store->handle[i]);
	samples_add(samples, now_ns() - start);
	if (call == FREE)
		store->handle[i] = store_one(store->pool, store->content, size);
}

static bool is_over(const struct compactor *compactor, size_t calls)
{
	return compactor && calls >= LEAST_CALLS && atomic_load(&compactor->done);
}

/* Makes at most @most calls; with a compactor, stops when the compaction is done. */
static json_t *call_all(struct store *store, const struct compactor *compactor, size_t most)
{
	json_t *figures = json_object();
	struct samples samples[CALLS];
	uint64_t random = RANDOM_SEED;

	for (int call = 0; call < CALLS; call++)
		samples_init(&samples[call], most / CALLS + 1);
	for (size_t n = 0; n < most && !is_over(compactor, n); n++)
		call_one(store, (enum call)(n % CALLS), pick(store, &random), &samples[n % CALLS]);
	for (int call = 0; call < CALLS; call++)
		json_object_set_new(figures, call_names[call], samples_figures(&samples[call]));
	return figures;
}

static void compact_beside(struct store *store, json_t *figures)
{
	struct compactor compactor = { .pool = store->pool, .done = false };
	pthread_t thread;

	json_object_set_new(figures, "idle", call_all(store, NULL, IDLE_CALLS));
	errno = pthread_create(&thread, NULL, compact, &compactor);
	if (errno)
		err(2, "pthread_create()");
	json_object_set_new(figures, "compacting", call_all(store, &compactor, MOST_CALLS));
	pthread_join(thread, NULL);
	figure_set(figures, "compactor_wall", compactor.wall);
	figure_set(figures, "compactor_cpu", compactor.cpu);
}

static void store_open(struct store *store, size_t part, int corpus)
{
	store->corpus = corpus_map(corpus);
	store->objects = part ? store->corpus->objects / part : 0;
	if (!store->objects)
		errx(2, "not a part of %llu objects: one %zuth",
		     (unsigned long long)store->corpus->objects, part);
	store->handle = memory_touched(store->objects * sizeof(*store->handle));
	store->content = memory_touched(store->corpus->page_size);
	store->pool = make_pool();
}

int main(int argc, char **argv)
{
	json_t *figures = json_object();
	struct store store = { .left = 0 };
	bool beside = argc == 5 && strcmp(argv[1], "beside") == 0;

	if (argc != 5 || (!beside && strcmp(argv[1], "alone") != 0))
		errx(2, "usage: %s alone|beside PERCENT PART CORPUS", argv[0]);
	store_open(&store, strtoul(argv[3], NULL, 10), atoi(argv[4]));
	store_all(&store);
	free_share(&store, (unsigned int)atoi(argv[2]));
	if (beside)
		compact_beside(&store, figures);
	else
		compact_alone(&store, figures);
	return round_print(figures);
}
