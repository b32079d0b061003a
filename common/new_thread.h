/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Whether the libc can start a thread where a filter refuses system calls. */
#ifndef COMMON_NEW_THREAD_H
#define COMMON_NEW_THREAD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of glibc: not 0 if it has the system write each thread's CPU to the thread's memory. */
extern const unsigned int __rseq_size __attribute__((weak));

/*
 * Returns whether a new thread would end the program, because of what a filter refuses. With glibc
 * it does without rseq(). The call here has an impossible size, for which it is else EINVAL. With
 * musl it does where mprotect() is ENOSYS: that libc takes the stack for writable.
 */
static inline bool new_thread_is_fatal(void)
{
	int old_errno = errno;
	bool fatal = mprotect(NULL, 0, PROT_NONE) && errno == ENOSYS;

	if (&__rseq_size && __rseq_size && syscall(SYS_rseq, NULL, 0, 0, 0))
		fatal |= errno != EINVAL;
	errno = old_errno;
	return fatal;
}

#endif /* COMMON_NEW_THREAD_H */
