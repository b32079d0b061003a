/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The invariants of a pool, checked from inside: what the bitmaps, the reverse maps, the handles'
 * entries and the counts say of the same objects must agree.
 */
#ifndef TEST_INVARIANTS_H
#define TEST_INVARIANTS_H

#include <stddef.h>
#include <stdint.h>

struct zs_pool;

/*
 * Check a pool that no other thread uses, which holds so many objects (those in the deferred queue,
 * which is flushed first, not counted) and so many pins.
 */
void check_invariants(struct zs_pool *pool, uint64_t objects, uint64_t pins);

/* Check that a pool without pins gains nothing by compaction, which has just been done. */
void check_compacted(struct zs_pool *pool);

/* Check that a pool without objects has given all its pages back, once it is compacted. */
void check_empty(struct zs_pool *pool);

/* Make an object as object_make() does, one that may host a chunk of the deferred queue whatever its size. */
unsigned long host_make(struct zs_pool *pool, size_t size, uint64_t key);

/* Stop the pool's worker, which may change the pool at any time; and let it go on. */
void pool_pause(struct zs_pool *pool);
void pool_resume(struct zs_pool *pool);

#endif /* TEST_INVARIANTS_H */
