/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Threads of the library's own. They have a small stack, and take none of the program's signals.
 *
 * A libc puts the program's static thread-local data on the stack of each thread. So that comes on
 * top of what the library needs.
 */
#include <link.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "new_thread.h"
#include "port.h"
#include "thread.h"

#define THREAD_STACK (128UL << 10)

/* Adds the thread-local data of a loaded object. */
static int tls_add(struct dl_phdr_info *info, size_t size, void *arg)
{
	size_t *bytes = arg;

	(void)size;
	for (unsigned int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_TLS)
			*bytes += info->dlpi_phdr[i].p_memsz + info->dlpi_phdr[i].p_align;
	return 0;
}

/* Sanitizers want more; they have the default. */
static void stack_size(pthread_attr_t *attr)
{
	size_t bytes = THREAD_STACK;

	dl_iterate_phdr(tls_add, &bytes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	pthread_attr_setstacksize(attr, ALIGN(bytes, PORT_PAGE_SIZE));
#else
	(void)attr;
#endif
}

/* Starts a thread. If the libc refuses that size of the stack, it may grant its own. */
static int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	int error;

	if (new_thread_is_fatal() || pthread_attr_init(&attr))
		return -ENOMEM;
	stack_size(&attr);
	error = pthread_create(thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	if (error == EINVAL)
		error = pthread_create(thread, NULL, run, arg);
	return error ? -ENOMEM : 0;
}

/**
 * thread_create() - start a thread, for thread_join().
 * @thread: set to the thread
 * @run: its function
 * @arg: that function's argument
 *
 * Return: 0 or -ENOMEM.
 */
int thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, old;
	int error;

	/* Signals are for the program's own threads. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV); /* but a fault is the thread's own */
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = thread_start(thread, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

/* Waits for the end of a thread. */
void thread_join(pthread_t thread)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	atomic_t word = { 0 };

	if (!syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1)) {
		pthread_join(thread, NULL);
		return;
	}
	/* Where a filter refuses that call, pthread_join() of glibc ends the program. */
	while (pthread_tryjoin_np(thread, NULL) == EBUSY)
		nanosleep(&pause, NULL);
}
