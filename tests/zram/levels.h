/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The levels of each algorithm, as zram_create(3) promises them. 0 is the default of each.
 */
#ifndef TEST_ZRAM_LEVELS_H
#define TEST_ZRAM_LEVELS_H

#include "zram_pages.h"

struct levels {
	const char *algorithm;
	int least, most;
};

static const struct levels all_levels[] = {
	{ "lz4", 1, 65537 },  { "lz4hc", 1, 12 }, { "zstd", -131072, 22 },
	{ "deflate", 1, 12 }, { "lzo", 1, 1 },
};

#define LEVELS (sizeof(all_levels) / sizeof(all_levels[0]))

/* Runs a check for each algorithm. Only lzo may be missing, and there is none but these. */
static inline void for_each_levels(void (*check)(const struct levels *levels))
{
	unsigned int found = 0, count = 0;

	while (zram_algorithm(count))
		count++;
	for (size_t i = 0; i < LEVELS; i++) {
		bool there = false;

		for (unsigned int a = 0; a < count; a++)
			there |= strcmp(zram_algorithm(a), all_levels[i].algorithm) == 0;
		assert_true(there || strcmp(all_levels[i].algorithm, "lzo") == 0);
		if (there)
			check(&all_levels[i]);
		found += there;
	}
	assert_int_equal(found, count);
}

#endif /* TEST_ZRAM_LEVELS_H */
