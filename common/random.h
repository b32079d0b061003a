/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Random numbers that a seed determines, so that a run can be repeated: xorshift64*. */
#ifndef COMMON_RANDOM_H
#define COMMON_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* What is the same in every run begins with this. Any state but 0 will do. */
#define RANDOM_SEED UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545F4914F6CDD1D);
}

static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return next_random(state) % limit;
}

/* Puts items into random order. */
static inline void shuffle(unsigned long *items, size_t count, uint64_t seed)
{
	for (size_t i = count; i > 1; i--) {
		size_t other = random_below(&seed, i);
		unsigned long item = items[i - 1];

		items[i - 1] = items[other];
		items[other] = item;
	}
}

#endif /* COMMON_RANDOM_H */
