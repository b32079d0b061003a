/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A program where the system promises no more memory than it has (vm.overcommit_memory=2): of what
 * a program may map, nothing is left. A pool is ENOMEM, and so is a store. Nothing is lost, and the
 * program goes on when there is memory again.
 *
 * It takes that memory itself, as mappings that it never touches. tests/kernel/job-process runs it
 * in a machine of its own. Exit status: 0 if all held.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "random.h"
#include "zsmalloc.h"

#define MOST 200000 /* objects */
#define SIZE_MOST 4096
#define SIZES 8 /* a size class takes a zspage for its first object */
#define BALLAST_MOST 256
#define BALLAST (64UL << 20) /* a piece at first, bytes */
#define ROOM (64UL << 20) /* that is given back to make a pool in, bytes */

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("overcommit: line %d: not so: %s\n", __LINE__, #condition);         \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct piece {
	void *memory;
	size_t bytes;
};

static struct piece ballast[BALLAST_MOST];
static size_t pieces;

static unsigned long handles[MOST];
static size_t objects;
static size_t stored; /* bytes */

/* Maps all that may be mapped, down to a page. */
static void ballast_take(void)
{
	for (size_t bytes = BALLAST; bytes >= 4096;) {
		void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED) {
			bytes /= 2;
			continue;
		}
		CHECK(pieces < BALLAST_MOST); /* else there is no limit */
		ballast[pieces++] = (struct piece){ memory, bytes };
	}
}

/* Gives back this much, or all. The largest pieces came first. */
static void ballast_drop(size_t bytes)
{
	for (size_t i = 0, dropped = 0; i < pieces && dropped < bytes; i++) {
		if (!ballast[i].bytes)
			continue;
		CHECK(munmap(ballast[i].memory, ballast[i].bytes) == 0);
		dropped += ballast[i].bytes;
		ballast[i].bytes = 0;
	}
}

static size_t size_of(size_t object)
{
	uint64_t state = object * 2 + 1;

	return (next_random(&state) % SIZES + 1) * (SIZE_MOST / SIZES);
}

static void contents_of(size_t object, unsigned char *contents)
{
	uint64_t state = object * 4 + 3;

	for (size_t i = 0; i < SIZE_MOST; i += sizeof(uint64_t)) {
		uint64_t word = next_random(&state);

		memcpy(contents + i, &word, sizeof(word));
	}
}

/* Stores object number @object. Returns false if there is no memory. */
static bool store(struct zs_pool *pool, size_t object)
{
	unsigned long handle = zs_malloc(pool, size_of(object), GFP_KERNEL, NUMA_NO_NODE);
	unsigned char contents[SIZE_MOST];

	if (zs_is_err(handle)) {
		CHECK(zs_err(handle) == -ENOMEM);
		return false;
	}
	contents_of(object, contents);
	zs_obj_write(pool, handle, contents, size_of(object));
	handles[object] = handle;
	return true;
}

static void store_until_refused(struct zs_pool *pool)
{
	while (objects < MOST && store(pool, objects))
		stored += size_of(objects++);
}

static void check_all(struct zs_pool *pool)
{
	unsigned char local[SIZE_MOST], contents[SIZE_MOST];

	for (size_t i = 0; i < objects; i++) {
		unsigned char *memory = zs_obj_read_begin(pool, handles[i], size_of(i), local);

		CHECK(memory);
		contents_of(i, contents);
		CHECK(memcmp(memory, contents, size_of(i)) == 0);
		zs_obj_read_end(pool, handles[i], size_of(i), memory);
	}
}

int main(void)
{
	struct zs_pool *pool;
	size_t at_limit;

	ballast_take();
	errno = 0;
	CHECK(!zs_create_pool("refused") && errno == ENOMEM);
	ballast_drop(ROOM);
	pool = zs_create_pool("overcommit");
	CHECK(pool);
	store_until_refused(pool);
	CHECK(objects > 0 && objects < MOST);
	at_limit = objects;
	printf("overcommit: %zu objects of %zu KiB until ENOMEM\n", objects, stored >> 10);
	check_all(pool);

	/* What is freed can be stored again, without more memory. */
	for (size_t i = 0; i < objects; i++) {
		if (i % 4 == 0)
			zs_free(pool, handles[i]);
		else if (i % 4 == 1)
			zs_free_deferred(pool, handles[i]);
	}
	for (size_t i = 0; i < objects; i++)
		CHECK(i % 4 > 1 || store(pool, i));
	check_all(pool);
	zs_compact(pool);
	check_all(pool);

	/* It goes on when there is memory again. */
	ballast_drop(-1UL);
	store_until_refused(pool);
	printf("overcommit: %zu objects of %zu KiB with more memory\n", objects, stored >> 10);
	CHECK(objects > 2 * at_limit);
	check_all(pool);
	zs_destroy_pool(pool);
	pool = zs_create_pool("again");
	CHECK(pool);
	zs_destroy_pool(pool);
	return 0;
}
