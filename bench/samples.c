/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Percentiles of how long single calls took: see samples.h. */
#include "samples.h"

#include <err.h>
#include <stdlib.h>

#include "memory.h"

void samples_init(struct samples *samples, size_t room)
{
	samples->count = 0;
	samples->room = room;
	samples->ns = memory_touched(room * sizeof(*samples->ns));
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Returns the time within which @permille of a thousand calls were done. */
static json_int_t percentile(const struct samples *samples, size_t permille)
{
	return samples->ns[(samples->count - 1) * permille / 1000];
}

json_t *samples_figures(struct samples *samples)
{
	json_t *figures;

	if (!samples->count)
		errx(2, "no call was timed: too few objects");
	qsort(samples->ns, samples->count, sizeof(*samples->ns), compare);
	figures = json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)samples->count, "p50",
			    percentile(samples, 500), "p99", percentile(samples, 990), "p999",
			    percentile(samples, 999));
	if (!figures)
		errx(2, "no memory for the figures");
	return figures;
}
