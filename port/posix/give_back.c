/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Giving memory back: see give_back.h.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "give_back.h"
#include "map.h"
#include "port.h"

#define SELF (-10000) /* in place of a pidfd: the process itself; Linux's PIDFD_SELF */

/* Whether it is worth trying: no more once the system has said that it knows no such call. */
static atomic_t unknown;

/* Returns how many ranges the system has taken. */
static unsigned int give_back_at_once(const struct give_back *gathered)
{
	size_t taken = 0;
	unsigned int ranges = 0;
	ssize_t bytes;

	if (gathered->count < 2 || atomic_read(&unknown))
		return 0;
	bytes = syscall(SYS_process_madvise, SELF, gathered->range, (size_t)gathered->count,
			MADV_DONTNEED, 0);
	if (bytes < 0 && (errno == ENOSYS || errno == EBADF || errno == EPERM))
		atomic_set(&unknown, 1);
	while (ranges < gathered->count && bytes > 0 && taken < (size_t)bytes)
		taken += gathered->range[ranges++].iov_len;
	return ranges;
}

/**
 * give_back() - give ranges of memory back to the system.
 * @gathered: the ranges; none are left
 *
 * They read as zeros then, also where the system refuses to take them.
 *
 * Context: May sleep.
 */
void give_back(struct give_back *gathered)
{
	for (unsigned int i = give_back_at_once(gathered); i < gathered->count; i++) {
		const struct iovec *range = &gathered->range[i];

		if (!map_discard(range->iov_base, range->iov_len))
			memset(range->iov_base, 0, range->iov_len);
	}
	gathered->count = 0;
	gathered->bytes = 0;
}
