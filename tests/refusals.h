/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Tests in which a filter refuses one system call after another, each with both errors, in a child.
 */
#ifndef TEST_REFUSALS_H
#define TEST_REFUSALS_H

#include "helpers.h"

#include <errno.h>
#include <poll.h>

#include "give_back.h" /* what an older libc does not name */
#include "syscall_filter.h"

struct call {
	unsigned int number;
	const char *name;
};

/* What a child is told. */
struct refusal {
	struct call call;
	int error;
};

#define CALL(name)                                                                                 \
	{                                                                                          \
		SYS_##name, #name                                                                  \
	}

/* What zsmalloc(3) lists. */
#define ZSMALLOC_CALLS                                                                             \
	CALL(mmap), CALL(munmap), CALL(mprotect), CALL(madvise), CALL(process_madvise),            \
		CALL(mincore), CALL(mlock2), CALL(futex), CALL(membarrier), CALL(sched_yield),     \
		CALL(nanosleep), CALL(clock_nanosleep), CALL(clock_gettime), CALL(write),          \
		CALL(clone), CALL(clone3), CALL(prctl), CALL(rt_sigprocmask), CALL(rseq),          \
		CALL(set_robust_list)

/* As wait_for(), by a call that the library does not make. */
static inline bool wait_by_poll(bool (*happened)(void *arg), void *arg)
{
	for (unsigned int waited = 0; waited < WAIT_SECONDS * 1000U; waited++) {
		if (happened(arg))
			return true;
		poll(NULL, 0, 1);
	}
	return happened(arg);
}

/* From here on the child's filter refuses the call. */
static inline void refuse(const struct refusal *refusal)
{
	CHILD_CHECK(refuse_syscall(refusal->call.number, refusal->error));
}

/* Runs @body in children, one for each call and error, which refuse() what they are told. */
static inline void refuse_each(const struct call *calls, size_t count,
			       void (*body)(const void *refusal))
{
	const int errors[] = { EPERM, ENOSYS };

#ifdef __SANITIZE_ADDRESS__
	skip(); /* its own calls would be refused, too */
#endif
	if (!FILTER_POSSIBLE)
		skip();
	for (size_t i = 0; i < 2 * count; i++) {
		struct refusal refusal = { calls[i / 2], errors[i % 2] };
		struct child child = run_in_child(body, &refusal);

		if (child.status)
			fail_msg("%s refused with %s: status %#x, and said: %s", refusal.call.name,
				 strerror(refusal.error), (unsigned int)child.status, child.said);
	}
}

#endif /* TEST_REFUSALS_H */
