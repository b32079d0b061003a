/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Threads of the library's own. They have a small stack, and take none of the program's signals.
 */
#include <signal.h>

#include "port.h"
#include "thread.h"

#define THREAD_STACK (256 << 10)

/**
 * thread_create() - start a thread, which the caller joins.
 * @thread: set to the thread
 * @run: its function
 * @arg: that function's argument
 *
 * Return: 0 or -ENOMEM.
 */
int thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int error;

	if (pthread_attr_init(&attr))
		return -ENOMEM;
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	/* Signals are for the program's own threads. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV); /* but a fault is the thread's own */
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (error)
		return -ENOMEM;
	pthread_setname_np(*thread, "zsmalloc");
	return 0;
}
