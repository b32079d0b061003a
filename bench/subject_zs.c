/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Ours: a pool, and each of its ways to free.
 *
 * By zs_free():
 *   compacting   a pool as zs_create_pool() makes it
 *   free         the same, but it does not compact by itself
 *   free_parked  the same, and the worker is parked (see below)
 *   chainN, chainN_free  as compacting and free, with chains of at most N pages
 * By zs_free_bulk():
 *   bulk         as free
 * By zs_free_deferred():
 *   default      a pool as zs_create_pool() makes it
 *   deferred     the same, but it does not compact by itself
 *   lifted       as default, without a budget
 *   small        as default, with a budget of 128 MiB: when it is used up, the call is a zs_free()
 *   running      no budget, no compaction, the shortest delay: the worker drains beside the caller
 *   late         no budget, no compaction, a delay in which the caller queues everything
 *   parked       no budget, no compaction, and a long delay. The worker runs only when the caller's
 *                CPU has nothing else to do, so the caller's cost stands alone
 * And original: the queue as it was first proposed (original.h), on zs_free().
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "original.h"
#include "subject.h"
#include "zsmalloc.h"

static struct zs_pool *pool;
static struct original *original;
static uint64_t resident; /* once all is stored */

static const char *zs_open(const struct subject *subject)
{
	pool = zs_create_pool_with("bench", subject->options);
	if (!pool)
		err(2, "zs_create_pool_with()");
	return ZS_VERSION;
}

static const char *original_open(const struct subject *subject)
{
	const char *version = zs_open(subject);

	original = original_start(pool);
	return version;
}

static void *create_idle(void *subject)
{
	if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 }) != 0)
		err(2, "sched_setscheduler()");
	zs_open(subject);
	return NULL;
}

/*
 * Delay and budget alone do not park the worker: a call that finds no memory for the queue wakes
 * it. It inherits how it is scheduled, and where, from the thread that makes the pool.
 */
static const char *zs_open_parked(const struct subject *subject)
{
	pthread_t thread;
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET((size_t)sched_getcpu(), &here);
	if (sched_setaffinity(0, sizeof(here), &here) != 0)
		err(2, "sched_setaffinity()");
	errno = pthread_create(&thread, NULL, create_idle, (void *)subject);
	if (errno != 0 || pthread_join(thread, NULL) != 0)
		err(2, "pthread_create()");
	return ZS_VERSION;
}

static unsigned long zs_store(const void *data, size_t size)
{
	unsigned long handle = zs_malloc(pool, size, GFP_KERNEL, NUMA_NO_NODE);

	if (zs_is_err(handle))
		errx(2, "zs_malloc() of %zu bytes: %s", size, strerror(-zs_err(handle)));
	if (data)
		zs_obj_write(pool, handle, (void *)data, size);
	return handle;
}

static void zs_read(unsigned long handle, void *buffer, size_t size)
{
	void *object = zs_obj_read_begin(pool, handle, size, buffer);

	if (object != buffer)
		memcpy(buffer, object, size);
	zs_obj_read_end(pool, handle, size, object);
}

static void free_one(unsigned long handle)
{
	zs_free(pool, handle);
}

static void free_now(const unsigned long *objects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		zs_free(pool, objects[i]);
}

static void free_deferred(const unsigned long *objects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		zs_free_deferred(pool, objects[i]);
}

static void free_original(const unsigned long *objects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		original_free(original, objects[i]);
}

static void free_bulk(const unsigned long *objects, size_t count)
{
	zs_free_bulk(pool, objects, count);
}

static uint64_t zs_pool_bytes(void)
{
	return (uint64_t)zs_get_total_pages(pool) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void zs_stored(json_t *figures)
{
	resident = memory_resident();
	figure_set(figures, "pool_bytes", zs_pool_bytes());
}

/* The figures that the deferred queue shows under these names, summed. */
static uint64_t deferred_sum(const char *const names[])
{
	char text[4096] = "";
	FILE *file = fmemopen(text, sizeof(text), "w");
	uint64_t sum = 0;

	if (!file || zs_stats_deferred(pool, file) != 0 || fclose(file) != 0)
		err(2, "zs_stats_deferred()");
	for (; *names; names++) {
		const char *at = strstr(text, *names);
		uint64_t value;

		if (!at || sscanf(at + strlen(*names), ": %" SCNu64, &value) != 1)
			errx(2, "zs_stats_deferred() does not tell %s", *names);
		sum += value;
	}
	return sum;
}

static uint64_t deferred_pending(void)
{
	return deferred_sum((const char *const[]){ "pending", NULL });
}

static void deferred_freed(json_t *figures)
{
	static const char *const fallbacks[] = { "fallbacks_full", "fallbacks_contended",
						 "fallbacks_no_memory", NULL };

	figure_set(figures, "pending", deferred_pending());
	figure_set(figures, "fallbacks", deferred_sum(fallbacks));
	figure_set(figures, "contended",
		   deferred_sum((const char *const[]){ "fallbacks_contended", NULL }));
}

/* What came since the stores is the queue's: the worker is parked. */
static void parked_freed(json_t *figures)
{
	uint64_t now = memory_resident();

	deferred_freed(figures);
	figure_set(figures, "queue_bytes", now > resident ? now - resident : 0);
}

static uint64_t original_waiting(void)
{
	return original_pending(original);
}

static void original_freed(json_t *figures)
{
	figure_set(figures, "pending", original_pending(original));
	figure_set(figures, "fallbacks", original_fallbacks(original));
}

static void zs_settle(void)
{
	zs_free_deferred_flush(pool);
	if (zs_get_total_pages(pool) != 0)
		errx(2, "%lu pages are left in the pool after all was freed",
		     zs_get_total_pages(pool));
}

static void original_settle(void)
{
	original_stop(original);
	zs_settle();
}

static void zs_give_back(void)
{
	zs_compact(pool); /* nothing is left to move: it only gives the pages back */
}

static const struct zs_pool_options uncompacted = {
	.size = sizeof(uncompacted),
	.compact_share = ZS_COMPACT_NEVER,
};

static const struct zs_pool_options parked = {
	.size = sizeof(parked),
	.deferred_budget = SIZE_MAX,
	.deferred_delay_ms = 3600000,
	.compact_share = ZS_COMPACT_NEVER,
};

static const struct zs_pool_options running = {
	.size = sizeof(running),
	.deferred_budget = SIZE_MAX,
	.deferred_delay_ms = 1,
	.compact_share = ZS_COMPACT_NEVER,
};

static const struct zs_pool_options late = {
	.size = sizeof(late),
	.deferred_budget = SIZE_MAX,
	.deferred_delay_ms = 200,
	.compact_share = ZS_COMPACT_NEVER,
};

static const struct zs_pool_options lifted = {
	.size = sizeof(lifted),
	.deferred_budget = SIZE_MAX,
};

static const struct zs_pool_options small = {
	.size = sizeof(small),
	.deferred_budget = (size_t)128 << 20,
};

/* A pool with chains of at most @pages pages; it compacts by itself, or it never does. */
#define CHAIN(pages, share)                                                                        \
	(&(const struct zs_pool_options){ .size = sizeof(struct zs_pool_options),                  \
					  .max_chain = (pages),                                    \
					  .compact_share = (share) })
#define COMPACT_DEFAULT 0

#define ZS_CALLS                                                                                   \
	.store = zs_store, .stored = zs_stored, .read = zs_read, .free_one = free_one,             \
	.pool_bytes = zs_pool_bytes, .give_back = zs_give_back
#define ZS_SUBJECT ZS_CALLS, .open = zs_open, .settle = zs_settle
#define ZS_NOW ZS_SUBJECT, .free_all = free_now
#define ZS_PARKED ZS_CALLS, .open = zs_open_parked, .settle = zs_settle, .options = &parked
#define ZS_DEFERRED                                                                                \
	ZS_SUBJECT, .free_all = free_deferred, .freed = deferred_freed, .pending = deferred_pending

static const struct subject subjects[] = {
	{ .name = "free", ZS_NOW, .options = &uncompacted },
	{ .name = "free_parked", ZS_PARKED, .free_all = free_now },
	{ .name = "compacting", ZS_NOW },
	{ .name = "chain8", ZS_NOW, .options = CHAIN(8, COMPACT_DEFAULT) },
	{ .name = "chain16", ZS_NOW, .options = CHAIN(16, COMPACT_DEFAULT) },
	{ .name = "chain32", ZS_NOW, .options = CHAIN(32, COMPACT_DEFAULT) },
	{ .name = "chain8_free", ZS_NOW, .options = CHAIN(8, ZS_COMPACT_NEVER) },
	{ .name = "chain16_free", ZS_NOW, .options = CHAIN(16, ZS_COMPACT_NEVER) },
	{ .name = "chain32_free", ZS_NOW, .options = CHAIN(32, ZS_COMPACT_NEVER) },
	{ .name = "bulk", ZS_SUBJECT, .free_all = free_bulk, .options = &uncompacted },
	{ .name = "running", ZS_DEFERRED, .options = &running },
	{ .name = "late", ZS_DEFERRED, .options = &late },
	{ .name = "lifted", ZS_DEFERRED, .options = &lifted },
	{ .name = "default", ZS_DEFERRED },
	{ .name = "deferred", ZS_DEFERRED, .options = &uncompacted },
	{ .name = "small", ZS_DEFERRED, .options = &small },
	{ .name = "parked",
	  ZS_PARKED,
	  .free_all = free_deferred,
	  .freed = parked_freed,
	  .pending = deferred_pending },
	{ .name = "original",
	  ZS_CALLS,
	  .open = original_open,
	  .free_all = free_original,
	  .freed = original_freed,
	  .pending = original_waiting,
	  .settle = original_settle,
	  .options = &uncompacted },
};

const struct subject *subject_zs(const char *name)
{
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		if (strcmp(subjects[i].name, name) == 0)
			return &subjects[i];
	return NULL;
}
