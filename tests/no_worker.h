/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Refusing threads to the library: wraps thread_create(). Under ThreadSanitizer a child of fork()
 * can have none.
 */
#ifndef TEST_NO_WORKER_H
#define TEST_NO_WORKER_H

#include "helpers.h"

#include <errno.h>
#include <pthread.h>

static bool threads_refused;

int __real_thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg);
int __wrap_thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg);

int __wrap_thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	return threads_refused ? -ENOMEM : __real_thread_create(thread, run, arg);
}

static void refuse_threads_under_tsan(void)
{
#ifdef __SANITIZE_THREAD__
	threads_refused = true;
#endif
}

/* Comes before the first pool: the handlers of a child run in the order in which they came. */
static inline void refuse_threads_in_children(void)
{
	pthread_atfork(NULL, NULL, refuse_threads_under_tsan);
}

#endif /* TEST_NO_WORKER_H */
