/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Tests in a child that locks its memory. Where that is refused they are skipped. */
#ifndef TEST_LOCKED_H
#define TEST_LOCKED_H

#include "helpers.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static inline bool may_lock(void)
{
	bool may = mlockall(MCL_FUTURE) == 0;

	munlockall();
	return may;
}

/* Runs what locks as much as it likes. */
static inline void run_locked(void (*run)(const void *arg))
{
	struct child child;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* they map terabytes */
#endif
	if (!may_lock())
		skip();
	child = run_in_child(run, NULL);
	assert_child_ended_well(&child);
}

/* Has the child lock memory up to a limit, in bytes, and drop what root may. */
static inline void lock_up_to(unsigned long most)
{
	struct rlimit limit;

	CHILD_CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	limit.rlim_cur = limit.rlim_max < most ? limit.rlim_max : most;
	CHILD_CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	CHILD_CHECK(prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) == 0 || errno == EPERM);
	CHILD_CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHILD_CHECK(mlockall(MCL_FUTURE) == 0);
}

/* Runs what calls lock_up_to(), as root. */
static inline void run_limited(void (*run)(const void *arg))
{
	struct child child;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();
#endif
	if (geteuid() != 0)
		skip();
	child = run_in_child(run, NULL);
	assert_child_ended_well(&child);
}

#endif /* TEST_LOCKED_H */
