/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The queue as it was first proposed: see original.h. */
#include "original.h"

#include <err.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#define CAPACITY 32768U /* 128 MiB in pages */

struct original {
	struct zs_pool *pool;
	atomic_bool locked;
	atomic_bool scheduled;
	atomic_bool stopping;
	unsigned int count; /* under the lock, as the handles */
	atomic_ulong fallbacks;
	sem_t wake;
	pthread_t worker;
	unsigned long handle[CAPACITY];
};

static bool try_lock(struct original *queue)
{
	return !atomic_exchange_explicit(&queue->locked, true, memory_order_acquire);
}

static void lock(struct original *queue)
{
	while (!try_lock(queue))
		while (atomic_load_explicit(&queue->locked, memory_order_relaxed))
			;
}

static void unlock(struct original *queue)
{
	atomic_store_explicit(&queue->locked, false, memory_order_release);
}

static unsigned long pop(struct original *queue)
{
	unsigned long handle;

	lock(queue);
	handle = queue->count ? queue->handle[--queue->count] : 0;
	unlock(queue);
	return handle;
}

static void drain(struct original *queue)
{
	unsigned long handle;

	while ((handle = pop(queue)))
		zs_free(queue->pool, handle);
}

static void *work(void *arg)
{
	struct original *queue = arg;

	for (;;) {
		sem_wait(&queue->wake);
		if (atomic_load(&queue->stopping))
			return NULL;
		atomic_store(&queue->scheduled, false);
		drain(queue);
	}
}

static void schedule(struct original *queue)
{
	if (!atomic_load_explicit(&queue->scheduled, memory_order_relaxed) &&
	    !atomic_exchange(&queue->scheduled, true))
		sem_post(&queue->wake);
}

static bool put(struct original *queue, unsigned long handle)
{
	unsigned int count;

	if (!try_lock(queue))
		return false;
	count = queue->count;
	if (count < CAPACITY) {
		queue->handle[count] = handle;
		queue->count = count + 1;
	}
	unlock(queue);
	if (count + 1 >= CAPACITY / 2)
		schedule(queue);
	return count < CAPACITY;
}

struct original *original_start(struct zs_pool *pool)
{
	struct original *queue = calloc(1, sizeof(*queue));

	if (!queue)
		err(2, "no memory for the original queue");
	queue->pool = pool;
	if (sem_init(&queue->wake, 0, 0) != 0 ||
	    pthread_create(&queue->worker, NULL, work, queue) != 0)
		errx(2, "cannot start the original queue's worker");
	return queue;
}

void original_free(struct original *queue, unsigned long handle)
{
	if (put(queue, handle))
		return;
	atomic_fetch_add_explicit(&queue->fallbacks, 1, memory_order_relaxed);
	zs_free(queue->pool, handle);
}

uint64_t original_pending(struct original *queue)
{
	unsigned int count;

	lock(queue);
	count = queue->count;
	unlock(queue);
	return count;
}

uint64_t original_fallbacks(struct original *queue)
{
	return atomic_load(&queue->fallbacks);
}

void original_stop(struct original *queue)
{
	atomic_store(&queue->stopping, true);
	sem_post(&queue->wake);
	pthread_join(queue->worker, NULL);
	drain(queue);
	sem_destroy(&queue->wake);
	free(queue);
}
