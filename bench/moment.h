/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Moments. A benchmark reads the clocks around a loop, unless it times single calls. */
#ifndef BENCH_MOMENT_H
#define BENCH_MOMENT_H

#include <stdint.h>

#include "clock.h"

/* Three clocks at once, in nanoseconds. As the difference of two moments: what passed on each. */
struct moment {
	uint64_t wall;
	uint64_t thread; /* CPU time of the calling thread */
	uint64_t process; /* CPU time of all threads, the worker included */
};

static inline struct moment moment_now(void)
{
	struct moment now;

	now.process = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	now.thread = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	now.wall = now_ns();
	return now;
}

static inline struct moment moment_since(struct moment start)
{
	struct moment now = moment_now();

	now.wall -= start.wall;
	now.thread -= start.thread;
	now.process -= start.process;
	return now;
}

#endif /* BENCH_MOMENT_H */
