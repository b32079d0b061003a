/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Giving memory back to the system, many ranges in one call.
 *
 * Each call that takes pages away interrupts all CPUs on which threads of the process run: they
 * have to forget where these pages were. That costs some microseconds there, and as much for the
 * caller, which waits. So ranges are gathered, and one call of process_madvise() gives them back.
 * Linux takes that for the process itself from 6.15 on; an older one is asked range by range.
 */
#ifndef ZS_PORT_GIVE_BACK_H
#define ZS_PORT_GIVE_BACK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef SYS_process_madvise
#define SYS_process_madvise 440 /* Linux 5.10, on every machine */
#endif

#define GIVE_BACK_RANGES 512U
/*
 * A call takes no more at once, since others of the process may wait for it: about a millisecond.
 */
#define GIVE_BACK_BYTES (16UL << 20)

struct give_back {
	unsigned int count;
	size_t bytes;
	struct iovec range[GIVE_BACK_RANGES];
};

void give_back(struct give_back *gathered);

/* Returns whether there is room for more ranges; an empty gathering takes what it has room for. */
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
