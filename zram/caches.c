/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * All caches of the process, and the child of a fork().
 *
 * The thread that forks takes the list of caches, their shrinkers' locks, those of records, and
 * those of LRUs, in this order. Next come the stores: their handlers were asked for earlier. It
 * waits for no call of a slower store, as such a call holds none of these locks.
 */
#include "cache.h"

struct record_lock record_locks[SLOT_LOCKS] = {
	[0 ... SLOT_LOCKS - 1] = {
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.idle = PTHREAD_COND_INITIALIZER,
	},
};

static pthread_mutex_t caches_lock = PTHREAD_MUTEX_INITIALIZER;
static struct zram_cache *caches;
static bool fork_handled;

static void fork_prepare(void)
{
	pthread_mutex_lock(&caches_lock);
	for (struct zram_cache *cache = caches; cache; cache = cache->next)
		pthread_mutex_lock(&cache->shrinker.lock);
	for (unsigned int i = 0; i < SLOT_LOCKS; i++)
		pthread_mutex_lock(&record_locks[i].mutex);
	for (struct zram_cache *cache = caches; cache; cache = cache->next)
		pthread_mutex_lock(&cache->lru_lock);
}

static void fork_parent(void)
{
	for (struct zram_cache *cache = caches; cache; cache = cache->next)
		pthread_mutex_unlock(&cache->lru_lock);
	for (unsigned int i = 0; i < SLOT_LOCKS; i++)
		pthread_mutex_unlock(&record_locks[i].mutex);
	for (struct zram_cache *cache = caches; cache; cache = cache->next)
		pthread_mutex_unlock(&cache->shrinker.lock);
	pthread_mutex_unlock(&caches_lock);
}

/*
 * Threads that called a slower store are not in the child, nor is the shrinker: the child starts
 * one when it needs it. A file is the parent's alone.
 */
static void fork_child(void)
{
	for (struct zram_cache *cache = caches; cache; cache = cache->next) {
		for (struct busy *busy = cache->busy; busy; busy = busy->next)
			atomic_fetch_and(&busy->record->state, ~RECORD_BUSY);
		cache->busy = NULL;
		for (struct zram_area *area = cache->areas; area; area = area->next)
			area->file.is_parents = true;
		cache->shrinking = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
		cache->shrinker.asked = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
		cache->shrinker.running = false;
		atomic_store(&cache->shrinker.limit_asks, false);
		atomic_store(&cache->shrinker.pressure_asks, false);
	}
	for (unsigned int i = 0; i < SLOT_LOCKS; i++)
		record_locks[i].idle = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	fork_parent();
}

/* Adds a cache, whose store is there. Returns 0 or -ENOMEM. */
int caches_add(struct zram_cache *cache)
{
	pthread_mutex_lock(&caches_lock);
	if (!fork_handled)
		fork_handled = !pthread_atfork(fork_prepare, fork_parent, fork_child);
	if (fork_handled) {
		cache->next = caches;
		if (caches)
			caches->prev = cache;
		caches = cache;
	}
	pthread_mutex_unlock(&caches_lock);
	return fork_handled ? 0 : -ENOMEM;
}

/* Removes a cache, which no thread uses any more. */
void caches_remove(struct zram_cache *cache)
{
	pthread_mutex_lock(&caches_lock);
	if (cache->prev)
		cache->prev->next = cache->next;
	else
		caches = cache->next;
	if (cache->next)
		cache->next->prev = cache->prev;
	pthread_mutex_unlock(&caches_lock);
}
