/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Time in nanoseconds. It is read around a whole loop, never around one call. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec time;

	clock_gettime(id, &time);
	return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

#endif /* BENCH_CLOCK_H */
