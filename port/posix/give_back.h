/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Giving memory back to the system, many ranges in one call.
 *
 * Each call that takes pages away interrupts all CPUs on which threads of the process run, which have to
 * forget where these pages were: some microseconds for whoever is interrupted, and as much for the caller,
 * who waits for them. So ranges are gathered, and are given back by one call of process_madvise(). A system
 * that does not take that for the process itself, as Linux does from 6.15 on, is asked range by range.
 */
#ifndef ZS_PORT_GIVE_BACK_H
#define ZS_PORT_GIVE_BACK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define GIVE_BACK_RANGES 512U
/* A call takes no more at once, since others of the process may wait for it: about a millisecond. */
#define GIVE_BACK_BYTES (16UL << 20)

struct give_back {
	unsigned int count;
	size_t bytes;
	struct iovec range[GIVE_BACK_RANGES];
};

void give_back(struct give_back *gathered);

/* Whether so many ranges can be added; a gathering that is empty takes what there is room for. */
static inline bool give_back_has_room(const struct give_back *gathered, unsigned int ranges)
{
	return gathered->count + ranges <= GIVE_BACK_RANGES && gathered->bytes < GIVE_BACK_BYTES;
}

static inline void give_back_add(struct give_back *gathered, void *memory, size_t bytes)
{
	gathered->range[gathered->count++] = (struct iovec){ memory, bytes };
	gathered->bytes += bytes;
}

#endif /* ZS_PORT_GIVE_BACK_H */
