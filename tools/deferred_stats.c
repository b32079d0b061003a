/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Reads the lines "name: number" that zs_stats_deferred() writes. */
#include "deferred_stats.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"

uint64_t deferred_fallbacks(struct zs_pool *pool)
{
	static const char prefix[] = "fallback";
	uint64_t fallbacks = 0;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	char *rest = NULL;

	if (!out)
		fail("no memory for the queue's statistics");
	zs_stats_deferred(pool, out);
	if (fclose(out) != 0)
		fail("no memory for the queue's statistics");
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *colon = strchr(line, ':');

		if (colon && strncmp(line, prefix, strlen(prefix)) == 0)
			fallbacks += strtoull(colon + 1, NULL, 10);
	}
	free(text);
	return fallbacks;
}
