/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * All stores of the process, and the child of a fork().
 *
 * The thread that forks takes the list of stores, their streams, and the locks of slots, in this
 * order. So no page is half written in the child, and no stream is in the middle of one. The pools
 * come next: libzsmalloc does the same, and was asked for it earlier.
 */
#include <stddef.h>

#include "stores.h"

struct slot_lock slot_locks[SLOT_LOCKS] = {
	[0 ... SLOT_LOCKS - 1] = { .mutex = PTHREAD_MUTEX_INITIALIZER },
};

static pthread_mutex_t stores_lock = PTHREAD_MUTEX_INITIALIZER;
static struct zram *stores;
static bool fork_handled;

static void fork_prepare(void)
{
	pthread_mutex_lock(&stores_lock);
	for (struct zram *zram = stores; zram; zram = zram->next)
		for (unsigned int i = 0; i < zram->streams.count; i++)
			pthread_mutex_lock(&zram->streams.stream[i].lock);
	for (unsigned int i = 0; i < SLOT_LOCKS; i++)
		pthread_mutex_lock(&slot_locks[i].mutex);
}

static void fork_parent(void)
{
	for (unsigned int i = 0; i < SLOT_LOCKS; i++)
		pthread_mutex_unlock(&slot_locks[i].mutex);
	for (struct zram *zram = stores; zram; zram = zram->next)
		for (unsigned int i = 0; i < zram->streams.count; i++)
			pthread_mutex_unlock(&zram->streams.stream[i].lock);
	pthread_mutex_unlock(&stores_lock);
}

/*
 * The thread that went over a store's slots is not in the child. The device is the parent's alone,
 * as both would give out the same blocks.
 */
static void fork_child(void)
{
	counters_forked();
	for (struct zram *zram = stores; zram; zram = zram->next) {
		atomic_store(&zram->walking, false);
		zram->backing.is_parents = true;
	}
	fork_parent();
}

/* Adds a store that is whole, with its pool. Returns 0 or -ENOMEM. */
int stores_add(struct zram *zram)
{
	pthread_mutex_lock(&stores_lock);
	if (!fork_handled)
		fork_handled = !pthread_atfork(fork_prepare, fork_parent, fork_child);
	if (fork_handled) {
		zram->next = stores;
		if (stores)
			stores->prev = zram;
		stores = zram;
	}
	pthread_mutex_unlock(&stores_lock);
	return fork_handled ? 0 : -ENOMEM;
}

/* Removes a store, which no thread uses any more. */
void stores_remove(struct zram *zram)
{
	pthread_mutex_lock(&stores_lock);
	if (zram->prev)
		zram->prev->next = zram->next;
	else
		stores = zram->next;
	if (zram->next)
		zram->next->prev = zram->prev;
	pthread_mutex_unlock(&stores_lock);
}
