/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The invariants of a pool, checked from inside. The core's own checker (src/check.c) does most of
 * it in a debug build.
 */
#ifndef TEST_INVARIANTS_H
#define TEST_INVARIANTS_H

#include <stddef.h>
#include <stdint.h>

struct zs_pool;

/*
 * Checks a pool that no other thread uses. It holds this number of objects; those in the deferred
 * queue, which is flushed first, do not count. As many reads have begun and not ended.
 */
void check_invariants(struct zs_pool *pool, uint64_t objects, uint64_t reads);

/* Checks that a pool gains nothing by the compaction that has just been done. */
void check_compacted(struct zs_pool *pool);

/* Checks that a pool without objects has given all its pages back, once it is compacted. */
void check_empty(struct zs_pool *pool);

/* Stops the worker, which may change the pool at any time; and lets it go on. */
void pool_pause(struct zs_pool *pool);
void pool_resume(struct zs_pool *pool);

#endif /* TEST_INVARIANTS_H */
