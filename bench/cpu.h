/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Which CPU a thread runs on, and when. */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stdint.h>

/* The CPUs that the process was given when it started. */
unsigned int cpu_count(void);

/* Bind the calling thread to one of them, counted from 0; past the last comes the first again. */
void cpu_bind(unsigned int which);

/*
 * The CPU time, in ns, of the process's other threads that run when a CPU has nothing else to do
 * (SCHED_IDLE). None of them may end meanwhile.
 */
uint64_t cpu_parked_ns(void);

#endif /* BENCH_CPU_H */
