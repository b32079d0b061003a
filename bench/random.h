/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Random numbers that are the same in every round and for every subject: xorshift. */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define RANDOM_SEED UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % limit;
}

/* Put objects into random order. */
static inline void shuffle(unsigned long *objects, size_t count)
{
	uint64_t state = RANDOM_SEED;

	for (size_t i = count; i > 1; i--) {
		size_t other = random_below(&state, i);
		unsigned long object = objects[i - 1];

		objects[i - 1] = objects[other];
		objects[other] = object;
	}
}

#endif /* BENCH_RANDOM_H */
