/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * For tests that wrap madvise(). The library gives back many ranges at once by process_madvise(),
 * which becomes a call of madvise() for each. It may know none, or take only some.
 */
#ifndef TEST_WRAP_PROCESS_MADVISE_H
#define TEST_WRAP_PROCESS_MADVISE_H

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/uio.h>

int __wrap_madvise(void *memory, size_t bytes, int advice);
ssize_t __wrap_process_madvise(int pidfd, const struct iovec *ranges, size_t count, int advice,
			       unsigned int flags);

static atomic_uint at_once_calls;
static atomic_uint at_once_most = 512; /* ranges of a call that are taken */
static atomic_int at_once_error; /* instead of taking any */

ssize_t __wrap_process_madvise(int pidfd, const struct iovec *ranges, size_t count, int advice,
			       unsigned int flags)
{
	ssize_t bytes = 0;

	(void)pidfd;
	(void)flags;
	atomic_fetch_add(&at_once_calls, 1);
	errno = atomic_load(&at_once_error);
	if (errno)
		return -1;
	for (size_t i = 0; i < count && i < atomic_load(&at_once_most); i++) {
		if (__wrap_madvise(ranges[i].iov_base, ranges[i].iov_len, advice))
			return bytes ? bytes : -1;
		bytes += (ssize_t)ranges[i].iov_len;
	}
	return bytes;
}

#endif /* TEST_WRAP_PROCESS_MADVISE_H */
