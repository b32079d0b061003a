/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* What bench_free has measured, from the running of the rounds to the report. */
#ifndef BENCH_FREE_H
#define BENCH_FREE_H

#include <jansson.h>
#include <stdbool.h>

#include "corpus.h"

enum order {
	IN_ORDER,
	RANDOM,
	ORDERS,
};

enum contender {
	ZS_FREE,
	ZS_FREE_BULK,
	DEFERRED_PARKED,
	DEFERRED_RUNNING,
	DEFERRED_DEFAULT,
	FIRST_PEER,
	GLIBC = FIRST_PEER,
	JEMALLOC,
	MIMALLOC,
	TCMALLOC,
	CONTENDERS,
};

struct results {
	const char *machine;
	const struct corpus *corpus;
	unsigned long rounds;
	json_t *round[CONTENDERS][ORDERS]; /* arrays of what the rounds printed */
};

/* The names that the report uses for people, and in files. */
extern const char *const order_names[ORDERS];
extern const char *const contender_names[CONTENDERS];

/* Prints tables on stdout, writes free.json and free.dat, for the plot, into @directory. */
void report(const struct results *results, const char *directory);

#endif /* BENCH_FREE_H */
