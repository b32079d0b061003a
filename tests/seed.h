/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What random tests share: a seed that can be given again, and the sizes and contents of objects
 * that random numbers determine.
 *
 * TEST_SEED in the environment repeats a run, TEST_OPERATIONS makes it longer or shorter.
 */
#ifndef TEST_SEED_H
#define TEST_SEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "random.h"

/* How much less of the same work a test does where a sanitizer makes it slow. */
#if defined(__has_feature) && !defined(__SANITIZE_THREAD__)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define TEST_LESS 10
#elif defined(__SANITIZE_ADDRESS__)
#define TEST_LESS 2
#else
#define TEST_LESS 1
#endif

/* The seed of this run, printed. */
static inline uint64_t random_seed(void)
{
	const char *given = getenv("TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2 + 1;

	printf("TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

/* How many operations this run has. */
static inline unsigned long random_operations(unsigned long usual)
{
	const char *given = getenv("TEST_OPERATIONS");

	return given ? strtoul(given, NULL, 0) : usual;
}

/*
 * A size as compressed pages have. Most are between an eighth of a page and all of it, around the
 * middle. Some are tiny, some a whole page, some anything.
 */
static inline size_t random_size(uint64_t *state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t random = next_random(state);

	switch (random >> 32 & 15) {
	case 0:
		return random % 128 + 1;
	case 1:
		return page;
	case 2:
		return random % page + 1;
	default:
		return page / 8 + random % (page * 7 / 16) + next_random(state) % (page * 7 / 16);
	}
}

/* Contents that @content, any number, and the size determine. */
static inline void random_fill(void *memory, size_t size, uint64_t content)
{
	uint64_t state = content * 2 + 1;

	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = next_random(&state);

		memcpy((char *)memory + i, &word,
		       size - i < sizeof(word) ? size - i : sizeof(word));
	}
}

/* Whether the memory holds what random_fill() put there. */
static inline bool random_is(const void *memory, size_t size, uint64_t content)
{
	uint64_t state = content * 2 + 1;

	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = next_random(&state);

		if (memcmp((const char *)memory + i, &word,
			   size - i < sizeof(word) ? size - i : sizeof(word)) != 0)
			return false;
	}
	return true;
}

#endif /* TEST_SEED_H */
