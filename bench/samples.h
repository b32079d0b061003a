/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* How long single calls took: all are kept, to tell percentiles. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct samples {
	size_t count;
	size_t room; /* what comes when it is used up is not kept */
	uint32_t *ns;
};

void samples_init(struct samples *samples, size_t room);

static inline void samples_add(struct samples *samples, uint64_t ns)
{
	if (samples->count < samples->room)
		samples->ns[samples->count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

/* How many there are, and percentiles of them, in nanoseconds. Puts them in order. */
json_t *samples_figures(struct samples *samples);

#endif /* BENCH_SAMPLES_H */
