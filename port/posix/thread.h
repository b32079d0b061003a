/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Threads of the library's own: see thread.c.
 */
#ifndef ZS_THREAD_H
#define ZS_THREAD_H

#include <pthread.h>

int thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg);
void thread_join(pthread_t thread);

#endif /* ZS_THREAD_H */
