/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * For tests that wrap madvise() and syscall(). The library gives back many ranges at once by
 * process_madvise(), which becomes a call of madvise() for each. It may know none, or take only
 * some. All other system calls are passed on.
 */
#ifndef TEST_WRAP_PROCESS_MADVISE_H
#define TEST_WRAP_PROCESS_MADVISE_H

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "give_back.h"

int __wrap_madvise(void *memory, size_t bytes, int advice);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static atomic_uint at_once_calls;
static atomic_uint at_once_most = 512; /* ranges of a call that are taken */
static atomic_int at_once_error; /* instead of taking any */

static long madvise_each(const struct iovec *ranges, size_t count, int advice)
{
	long bytes = 0;

	atomic_fetch_add(&at_once_calls, 1);
	errno = atomic_load(&at_once_error);
	if (errno)
		return -1;
	for (size_t i = 0; i < count && i < atomic_load(&at_once_most); i++) {
		if (__wrap_madvise(ranges[i].iov_base, ranges[i].iov_len, advice))
			return bytes ? bytes : -1;
		bytes += (long)ranges[i].iov_len;
	}
	return bytes;
}

long __wrap_syscall(long number, ...)
{
	long argument[6];
	va_list arguments;

	va_start(arguments, number);
	for (size_t i = 0; i < 6; i++)
		argument[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == SYS_process_madvise)
		return madvise_each((const struct iovec *)argument[1], (size_t)argument[2],
				    (int)argument[3]);
	return __real_syscall(number, argument[0], argument[1], argument[2], argument[3],
			      argument[4], argument[5]);
}

#endif /* TEST_WRAP_PROCESS_MADVISE_H */
