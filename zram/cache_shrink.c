/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The LRU of a cache, and what takes pages from its cold end. That is the shrinker, a thread that
 * sleeps until the limit or memory pressure asks, or a caller. See cache.h.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "new_thread.h"
#include "zsmalloc.h"

#define BATCH_PAGES 32 /* from one look at the memory to the next */
#define FAILURES_MOST 16 /* pages that may fail, and then the slower stores have a rest */
#define PRESSURE_PART 8 /* memory pressure takes an eighth of the pages */

/*
 * The LRU.
 */

static void unlink_record(struct record *record)
{
	record->prev->next = record->next;
	record->next->prev = record->prev;
	record->prev = NULL;
	record->area->cache->lru_length--;
}

static void link_hot(struct record *record)
{
	struct record *lru = &record->area->cache->lru;

	record->prev = lru->prev;
	record->next = lru;
	record->prev->next = record;
	lru->prev = record;
	record->area->cache->lru_length++;
}

/* Moves a record to the hot end, wherever it is. */
void lru_heat(struct record *record)
{
	struct zram_cache *cache = record->area->cache;

	pthread_mutex_lock(&cache->lru_lock);
	if (record->prev)
		unlink_record(record);
	link_hot(record);
	pthread_mutex_unlock(&cache->lru_lock);
}

/* Removes a record, if it is there. */
void lru_remove(struct record *record)
{
	struct zram_cache *cache = record->area->cache;

	pthread_mutex_lock(&cache->lru_lock);
	if (record->prev)
		unlink_record(record);
	pthread_mutex_unlock(&cache->lru_lock);
}

static uint64_t lru_length(struct zram_cache *cache)
{
	uint64_t length;

	pthread_mutex_lock(&cache->lru_lock);
	length = cache->lru_length;
	pthread_mutex_unlock(&cache->lru_lock);
	return length;
}

/*
 * Returns the coldest record, which is at the hot end now; NULL if there is none. It stays one, as
 * the caller holds cache.shrinking.
 */
static struct record *lru_take_coldest(struct zram_cache *cache)
{
	struct record *record;

	pthread_mutex_lock(&cache->lru_lock);
	record = cache->lru.next;
	if (record == &cache->lru) {
		record = NULL;
	} else {
		unlink_record(record);
		link_hot(record);
	}
	pthread_mutex_unlock(&cache->lru_lock);
	return record;
}

/*
 * Writing back.
 */

/* Writes a page back, if it is in memory. Returns as record_write_out(). */
static int write_back(struct record *record)
{
	int err;

	record_lock(record);
	err = record_write_out(record, NULL);
	record_unlock(record);
	return err;
}

#define HAD_CHANCE 2

/*
 * Tries the coldest page. Returns as write_back(), or 1 if there is none; HAD_CHANCE if the page is
 * at the hot end instead, as it was read.
 */
static int shrink_one(struct zram_cache *cache, bool has_chance)
{
	struct record *record;
	int err = 1;

	pthread_mutex_lock(&cache->shrinking);
	record = lru_take_coldest(cache);
	if (record && has_chance && atomic_fetch_and(&record->state, ~RECORD_USED) & RECORD_USED)
		err = HAD_CHANCE;
	else if (record)
		err = write_back(record);
	pthread_mutex_unlock(&cache->shrinking);
	return err;
}

/*
 * Writes up to @pages pages back, and tries each once. Each that was read has its second chance,
 * once. Returns how many left memory; if none did, the error that a page hit, or 0.
 */
static int64_t shrink(struct zram_cache *cache, uint64_t pages)
{
	uint64_t left = lru_length(cache), chances = left;
	unsigned int failures = 0;
	int64_t done = 0;
	int first = 0;

	while (left && (uint64_t)done < pages && failures < FAILURES_MOST) {
		int err = shrink_one(cache, chances > 0);

		if (err == HAD_CHANCE) {
			chances--;
			continue;
		}
		left--;
		done += err == 0;
		failures += err < 0;
		if (err < 0 && !first)
			first = err;
	}
	return done ? done : first;
}

/**
 * zram_cache_shrink() - write pages back from the cold end.
 * @cache: the cache
 * @pages: how many at most
 *
 * A page that the slower store does not take stays in memory, at the hot end, and the call goes on
 * with the next one. After 16 of these it ends.
 *
 * Context: Any thread, but no function of a slower store. May sleep. Reads and writes go on
 * meanwhile.
 * Return: how many pages left memory. If none did: 0, or what the slower store said of a page.
 * -EINVAL: @cache is NULL. -EIO: a page is damaged.
 */
int64_t zram_cache_shrink(struct zram_cache *cache, uint64_t pages)
{
	int64_t done;

	if (!cache)
		return -EINVAL;
	done = shrink(cache, pages);
	if (done > 0)
		zs_compact(cache->owner->pool);
	return done;
}

/**
 * zram_cache_flush() - write all pages of an area back.
 * @area: the area
 *
 * Same-filled pages go, too. The call does not end at an error: it tries each page once.
 *
 * Context: Any thread, but no function of a slower store. May sleep. A page that another thread
 * writes meanwhile may stay in memory.
 * Return: 0. -EINVAL: @area is NULL. Else the first error, as zram_cache_shrink() has it.
 */
int zram_cache_flush(struct zram_area *area)
{
	int first = 0;

	if (!area)
		return -EINVAL;
	for (uint64_t i = 0; i < area->store->nr_slots; i++) {
		struct record *record = &area->records[i];
		int err;

		if (record_where(record) != RECORD_MEMORY)
			continue;
		pthread_mutex_lock(&area->cache->shrinking);
		err = write_back(record);
		pthread_mutex_unlock(&area->cache->shrinking);
		if (err < 0 && !first)
			first = err;
	}
	zs_compact(area->cache->owner->pool);
	return first;
}

/*
 * The shrinker.
 */

/* Writes back until the pool is down to the acceptance threshold, at least a batch. */
static void shrink_to_accept(struct zram_cache *cache)
{
	struct zs_pool *pool = cache->owner->pool;

	do {
		if (shrink(cache, BATCH_PAGES) <= 0)
			return;
		zs_compact(pool);
	} while (zs_get_total_pages(pool) > cache->accept_pages &&
		 !atomic_load(&cache->shrinker.stopping));
}

static void shrink_by_part(struct zram_cache *cache)
{
	uint64_t left = lru_length(cache) / PRESSURE_PART + 1;

	while (left && !atomic_load(&cache->shrinker.stopping)) {
		int64_t done = shrink(cache, left < BATCH_PAGES ? left : BATCH_PAGES);

		if (done <= 0)
			break;
		left -= (uint64_t)done;
	}
	zs_compact(cache->owner->pool);
}

static void *shrinker_run(void *arg)
{
	struct zram_cache *cache = arg;
	struct shrinker *shrinker = &cache->shrinker;

	pthread_mutex_lock(&shrinker->lock);
	shrinker->begun = true;
	pthread_cond_broadcast(&shrinker->asked);
	while (!atomic_load(&shrinker->stopping)) {
		bool limit = atomic_exchange(&shrinker->limit_asks, false);
		bool pressure = atomic_exchange(&shrinker->pressure_asks, false);

		if (!limit && !pressure) {
			pthread_cond_wait(&shrinker->asked, &shrinker->lock);
			continue;
		}
		pthread_mutex_unlock(&shrinker->lock);
		if (limit)
			shrink_to_accept(cache);
		if (pressure)
			shrink_by_part(cache);
		pthread_mutex_lock(&shrinker->lock);
	}
	pthread_mutex_unlock(&shrinker->lock);
	return NULL;
}

/* Starts the thread, which takes none of the program's signals. The lock is held. */
static int start(struct zram_cache *cache)
{
	sigset_t all, old;
	int err;

	if (new_thread_is_fatal())
		return -ENOMEM;
	sigfillset(&all);
	sigdelset(&all, SIGSEGV); /* but a fault is the thread's own */
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&cache->shrinker.thread, NULL, shrinker_run, cache);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	cache->shrinker.running = !err;
	return err ? -ENOMEM : 0;
}

/* Returns 0 or -ENOMEM. */
int shrinker_start(struct zram_cache *cache)
{
	int err;

	pthread_mutex_lock(&cache->shrinker.lock);
	err = cache->shrinker.running ? 0 : start(cache); /* pressure may have come before */
	/* What the libc calls in a new thread, a filter may refuse that comes next. */
	while (!err && !cache->shrinker.begun)
		pthread_cond_wait(&cache->shrinker.asked, &cache->shrinker.lock);
	pthread_mutex_unlock(&cache->shrinker.lock);
	return err;
}

/* Ends the thread, if there is one. None starts later. */
void shrinker_stop(struct zram_cache *cache)
{
	struct shrinker *shrinker = &cache->shrinker;
	bool running;

	pthread_mutex_lock(&shrinker->lock);
	atomic_store(&shrinker->stopping, true);
	running = shrinker->running;
	shrinker->running = false;
	pthread_cond_signal(&shrinker->asked);
	pthread_mutex_unlock(&shrinker->lock);
	if (running)
		pthread_join(shrinker->thread, NULL);
}

/* Wakes the thread to do what the flag says. Without memory for one, the next call tries again. */
static void ask(struct zram_cache *cache, _Atomic bool *flag)
{
	struct shrinker *shrinker = &cache->shrinker;

	if (atomic_load(flag))
		return;
	pthread_mutex_lock(&shrinker->lock);
	if (!atomic_load(&shrinker->stopping) && (shrinker->running || start(cache) == 0)) {
		atomic_store(flag, true);
		pthread_cond_signal(&shrinker->asked);
	}
	pthread_mutex_unlock(&shrinker->lock);
}

void shrinker_limit(struct zram_cache *cache)
{
	ask(cache, &cache->shrinker.limit_asks);
}

/* What the pool's watcher of memory pressure calls. */
void shrinker_pressure(void *cache)
{
	ask(cache, &((struct zram_cache *)cache)->shrinker.pressure_asks);
}
