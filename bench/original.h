/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The deferred queue as it was first proposed for the kernel, to measure ours beside: one array of
 * handles a pool, made with it. A call tries the lock and, if it gets it and there is room, puts
 * the handle into the array; otherwise it is a zs_free(). At half of the capacity the call starts a
 * worker. The worker takes one handle at a time out, under the lock, and zs_free()s it, until
 * there are none. Below half of the capacity nothing is drained.
 */
#ifndef BENCH_ORIGINAL_H
#define BENCH_ORIGINAL_H

#include <stdint.h>

#include "zsmalloc.h"

struct original *original_start(struct zs_pool *pool);
void original_free(struct original *queue, unsigned long handle);
uint64_t original_pending(struct original *queue);
uint64_t original_fallbacks(struct original *queue);

/* Free what waits, and end the worker. */
void original_stop(struct original *queue);

#endif /* BENCH_ORIGINAL_H */
