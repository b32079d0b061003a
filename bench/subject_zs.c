/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Ours: a pool, and each of its ways to free. The deferred way is measured
 *   parked   budget lifted and a long delay, and the worker runs only when the caller's CPU has
 *            nothing else to do: the caller's cost stands alone, and the flush is the drain's
 *   running  budget lifted, shortest delay: the worker drains beside the caller
 *   default  a pool as zs_create_pool() makes it: the budget may be used up, and then the call falls
 *            back to zs_free()
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

#include "subject.h"
#include "zsmalloc.h"

static struct zs_pool *pool;

static const char *zs_open(const struct subject *subject)
{
	pool = zs_create_pool_with("bench", subject->options);
	if (!pool)
		err(2, "zs_create_pool_with()");
	return ZS_VERSION;
}

static void *create_idle(void *subject)
{
	if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 }) != 0)
		err(2, "sched_setscheduler()");
	zs_open(subject);
	return NULL;
}

/*
 * Delay and budget alone do not park the worker: a call that finds no memory for the queue wakes it.
 * It inherits how it is scheduled, and where, from the thread that makes the pool.
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
	zs_obj_write(pool, handle, (void *)data, size);
	return handle;
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

static void free_bulk(const unsigned long *objects, size_t count)
{
	zs_free_bulk(pool, objects, count);
}

static void zs_stored(json_t *figures)
{
	figure_set(figures, "pool_bytes",
		   (uint64_t)zs_get_total_pages(pool) * (uint64_t)sysconf(_SC_PAGESIZE));
}

/* The figure that the deferred queue shows under that name. */
static uint64_t deferred_figure(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	uint64_t value;

	if (!at || sscanf(at + strlen(name), ": %" SCNu64, &value) != 1)
		errx(2, "zs_stats_deferred() does not tell %s", name);
	return value;
}

static void deferred_freed(json_t *figures)
{
	uint64_t pending, fallbacks;
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	if (!file || zs_stats_deferred(pool, file) != 0 || fclose(file) != 0)
		err(2, "zs_stats_deferred()");
	pending = deferred_figure(text, "pending");
	fallbacks = deferred_figure(text, "fallbacks_full") +
		    deferred_figure(text, "fallbacks_contended") +
		    deferred_figure(text, "fallbacks_no_memory");
	free(text);
	figure_set(figures, "pending", pending);
	figure_set(figures, "fallbacks", fallbacks);
}

static void zs_settle(void)
{
	zs_free_deferred_flush(pool);
	if (zs_get_total_pages(pool) != 0)
		errx(2, "%lu pages are left in the pool after all was freed",
		     zs_get_total_pages(pool));
}

static void zs_give_back(void)
{
	zs_compact(pool); /* nothing is left to move: it only gives the pages back */
}

static const struct zs_pool_options parked = {
	.size = sizeof(parked),
	.deferred_budget = SIZE_MAX,
	.deferred_delay_ms = 3600000,
};

static const struct zs_pool_options running = {
	.size = sizeof(running),
	.deferred_budget = SIZE_MAX,
	.deferred_delay_ms = 1,
};

#define ZS_SUBJECT                                                                                 \
	.store = zs_store, .stored = zs_stored, .settle = zs_settle, .give_back = zs_give_back

static const struct subject subjects[] = {
	{ ZS_SUBJECT, .open = zs_open, .name = "free", .free_all = free_now },
	{ ZS_SUBJECT, .open = zs_open, .name = "bulk", .free_all = free_bulk },
	{ ZS_SUBJECT, .open = zs_open_parked, .name = "parked", .free_all = free_deferred,
	  .freed = deferred_freed, .options = &parked },
	{ ZS_SUBJECT, .open = zs_open, .name = "running", .free_all = free_deferred,
	  .freed = deferred_freed, .options = &running },
	{ ZS_SUBJECT, .open = zs_open, .name = "default", .free_all = free_deferred,
	  .freed = deferred_freed },
};

const struct subject *subject_zs(const char *name)
{
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		if (strcmp(subjects[i].name, name) == 0)
			return &subjects[i];
	return NULL;
}
