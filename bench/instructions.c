/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Runs one hot path COUNT times, for scripts/check-instructions. That script has valgrind count the
 * instructions between the beginning and the end of measured().
 *
 * Everything is the same in every run: the sizes, the order, and one thread, since the worker has
 * no reason to wake. The path was taken before it is measured: what happens only once is over by
 * then.
 *
 * usage: instructions PATH COUNT
 */
#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "random.h"
#include "zram.h"
#include "zsmalloc.h"

/* How memcpy() copies more is the machine's choice. */
#define COPIED 64

#define LONG_MS 3600000

struct run {
	struct zs_pool *pool;
	struct zram *zram;
	unsigned long *handles;
	unsigned long *index; /* of the pages of the store, in random order */
	size_t count;
	char *page;
	size_t page_size;
	uint64_t random;
};

struct path {
	const char *name;
	void (*prepare)(struct run *run);
	void (*measure)(struct run *run);
	void (*finish)(struct run *run);
};

static void store(struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		size_t size = COPIED + random_below(&run->random, run->page_size - COPIED + 1);

		run->handles[i] = zs_malloc(run->pool, size, GFP_KERNEL, NUMA_NO_NODE);
		if (zs_is_err(run->handles[i]))
			errx(2, "zs_malloc() of %zu bytes: %s", size,
			     strerror(-zs_err(run->handles[i])));
		zs_obj_write(run->pool, run->handles[i], run->page, COPIED);
	}
}

static void store_and_shuffle(struct run *run)
{
	store(run);
	shuffle(run->handles, run->count, RANDOM_SEED);
}

static void read_all(struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		void *object = zs_obj_read_begin(run->pool, run->handles[i], COPIED, run->page);

		zs_obj_read_end(run->pool, run->handles[i], COPIED, object);
	}
}

static void free_now(struct run *run)
{
	for (size_t i = 0; i < run->count; i++)
		zs_free(run->pool, run->handles[i]);
}

static void free_deferred(struct run *run)
{
	for (size_t i = 0; i < run->count; i++)
		zs_free_deferred(run->pool, run->handles[i]);
}

static void flush(struct run *run)
{
	zs_free_deferred_flush(run->pool);
}

static void free_deferred_and_flush(struct run *run)
{
	free_deferred(run);
	flush(run);
}

static void free_bulk(struct run *run)
{
	zs_free_bulk(run->pool, run->handles, run->count);
}

/* Random bytes, then zeros: that compresses to about the number of random ones. */
static void write_pages(struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		size_t used = COPIED + random_below(&run->random, run->page_size - COPIED);

		memset(run->page, 0, run->page_size);
		for (size_t k = 0; k < used; k++)
			run->page[k] = (char)random_below(&run->random, 256);
		if (zram_write_page(run->zram, i, run->page) != 0)
			errx(2, "zram_write_page()");
	}
}

static void notify(struct run *run)
{
	for (size_t i = 0; i < run->count; i++)
		zram_slot_free_notify(run->zram, run->index[i]);
}

static void flush_store(struct run *run)
{
	zs_free_deferred_flush(zram_get_pool(run->zram));
}

static void nothing(struct run *run)
{
	(void)run;
}

static const struct path paths[] = {
	{ "zs_malloc+zs_obj_write", nothing, store, free_now },
	{ "zs_obj_read", store_and_shuffle, read_all, free_now },
	{ "zs_free", store_and_shuffle, free_now, nothing },
	{ "zs_free_deferred", store_and_shuffle, free_deferred, flush },
	{ "zs_free_deferred,in_order", store, free_deferred, flush },
	{ "zs_free_deferred+flush", store_and_shuffle, free_deferred_and_flush, nothing },
	{ "zs_free_bulk", store_and_shuffle, free_bulk, nothing },
	{ "zram_slot_free_notify", write_pages, notify, flush_store },
};

/* The only function whose name begins so. */
__attribute__((noinline)) static void measured(const struct path *path, struct run *run)
{
	path->measure(run);
	/* Or the call above would be a jump, and this function over before it. */
	__asm__ volatile("");
}

static void run_open(struct run *run, size_t count)
{
	const struct zs_pool_options pool = {
		.size = sizeof(pool),
		.deferred_budget = SIZE_MAX,
		.deferred_delay_ms = LONG_MS,
		.compact_share = ZS_COMPACT_NEVER,
	};
	struct zram_options zram = {
		.size = sizeof(zram),
		.deferred_budget = SIZE_MAX,
		.deferred_delay_ms = LONG_MS,
	};

	*run = (struct run){ .count = count, .random = RANDOM_SEED };
	run->page_size = (size_t)sysconf(_SC_PAGESIZE);
	zram.disksize = count * run->page_size;
	run->pool = zs_create_pool_with("instructions", &pool);
	run->zram = zram_create(&zram);
	if (!run->pool || !run->zram)
		err(2, "cannot make a pool and a store");
	run->page = memory_touched(run->page_size);
	run->handles = memory_touched(count * sizeof(*run->handles));
	run->index = memory_touched(count * sizeof(*run->index));
	for (size_t i = 0; i < count; i++)
		run->index[i] = i;
	shuffle(run->index, count, RANDOM_SEED);
}

static void run_path(const struct path *path, struct run *run)
{
	path->prepare(run);
	path->measure(run);
	path->finish(run);
	path->prepare(run);
	measured(path, run);
}

static const struct path *find(const char *name)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (strcmp(paths[i].name, name) == 0)
			return &paths[i];
	errx(2, "there is no path '%s'", name);
}

int main(int argc, char **argv)
{
	const struct path *path;
	struct run run;
	size_t count;

	if (argc != 3)
		errx(2, "usage: %s PATH COUNT", argv[0]);
	path = find(argv[1]);
	count = strtoul(argv[2], NULL, 10);
	if (!count)
		errx(2, "a count of at least 1, not '%s'", argv[2]);
	run_open(&run, count);
	run_path(path, &run);
	return 0;
}
