/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A filter on system calls, for a child. The system kills the process of a thread that makes a call
 * which is not on its list.
 */
#ifndef TEST_SYSCALL_FILTER_H
#define TEST_SYSCALL_FILTER_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ThreadSanitizer makes system calls of its own at any time. */
#if defined(__SANITIZE_THREAD__)
#define FILTER_POSSIBLE false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FILTER_POSSIBLE false
#else
#define FILTER_POSSIBLE true
#endif
#else
#define FILTER_POSSIBLE true
#endif

#define FILTER_MAX 16

/*
 * Allow the @count calls of @allowed, at most FILTER_MAX, and what ends the process. Without effect
 * where it is not FILTER_POSSIBLE. False if the system has no such filters.
 */
static inline bool filter_syscalls(const unsigned int *allowed, unsigned int count)
{
	/* The last is AddressSanitizer's, when a function does not return. */
	const unsigned int always[] = { SYS_exit_group, SYS_write, SYS_rt_sigreturn,
					SYS_sigaltstack };
	const unsigned int always_count = sizeof(always) / sizeof(always[0]);
	struct sock_filter code[2 * (FILTER_MAX + sizeof(always) / sizeof(always[0])) + 2];
	struct sock_fprog program = { .filter = code };
	unsigned short length = 0;

	if (!FILTER_POSSIBLE)
		return true;
	code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						      offsetof(struct seccomp_data, nr));
	for (unsigned int i = 0; i < count + always_count; i++) {
		unsigned int call = i < always_count ? always[i] : allowed[i - always_count];

		code[length++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
		code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	program.len = length;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Have one call fail in all threads, also later ones. False if the system has no such filters. */
static inline bool refuse_syscall(unsigned int call, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ==
		       0;
}

#endif /* TEST_SYSCALL_FILTER_H */
