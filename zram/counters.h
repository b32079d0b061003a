/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Counters that threads do not share: a store's counts, cut into stripes and summed by the reader.
 *
 * A process that exits counts once for each of its pages, so counting must cost no locked
 * instruction and move no cache line. Each thread therefore owns a stripe, the same one of every
 * store, that it alone writes. Threads beyond the stripes share the first one, with atomic adds.
 *
 * A stripe alone means nothing: one thread may count a page in, another count it out. The sum is
 * exact when no thread counts; a sum taken meanwhile may lag.
 */
#ifndef ZRAM_COUNTERS_H
#define ZRAM_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "stream.h"

#define COUNTERS_STRIPES 64
#define COUNTERS_SHARED 0 /* the stripe that has no owner */

/* Counts each page once: as same, huge, backed, or by its compressor (plus twice its number). */
enum counter {
	SAME_PAGES,
	HUGE_PAGES,
	BACKED_PAGES,
	HUGE_PAGES_SINCE,
	NOTIFY_FREES,
	PAGES_BY,
	BYTES_BY,
	NR_COUNTERS = PAGES_BY + 2 * COMPRESSORS,
};

struct stripe {
	_Alignas(64) _Atomic uint64_t value[NR_COUNTERS];
};

struct counters {
	struct stripe stripes[COUNTERS_STRIPES];
};

/* The calling thread's stripe; -1 as long as it has not counted. */
#ifdef __GLIBC__ /* which has room for such data of libraries that are loaded by hand */
extern _Thread_local int counters_stripe __attribute__((tls_model("initial-exec")));
#else
extern _Thread_local int counters_stripe;
#endif

int counters_claim_stripe(void);
void counters_forked(void);
uint64_t counters_sum(const struct counters *counters, unsigned int counter);

/* Where the calling thread counts. */
struct tally {
	_Atomic uint64_t *value;
	bool is_shared;
};

static inline struct tally tally_of(struct counters *counters)
{
	int stripe = counters_stripe;

	if (__builtin_expect(stripe < 0, 0))
		stripe = counters_claim_stripe();
	return (struct tally){
		.value = counters->stripes[stripe].value,
		.is_shared = stripe == COUNTERS_SHARED,
	};
}

/* Adds @n, which may be negative modulo 2^64. */
static inline void tally_add(struct tally tally, unsigned int counter, uint64_t n)
{
	_Atomic uint64_t *value = &tally.value[counter];

	if (__builtin_expect(tally.is_shared, 0))
		atomic_fetch_add_explicit(value, n, memory_order_relaxed);
	else
		atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n,
				      memory_order_relaxed);
}

static inline void counters_add(struct counters *counters, unsigned int counter, uint64_t n)
{
	tally_add(tally_of(counters), counter, n);
}

#endif /* ZRAM_COUNTERS_H */
