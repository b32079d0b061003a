/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The invariants of a pool: see invariants.h.
 */
#include "invariants.h"

#include "helpers.h"
#include "pool.h"

void pool_pause(struct zs_pool *pool)
{
	(void)pool;
	port_worker_stop(&runtime.worker);
}

void pool_resume(struct zs_pool *pool)
{
	void (*run)(void) = runtime.worker.run;

	(void)pool;
	memset(&runtime.worker, 0, sizeof(runtime.worker));
	assert_int_equal(port_worker_init(&runtime.worker, run), 0);
	port_worker_kick(&runtime.worker, 0);
}

/* Counts the zspages of a pool by what leads to them: the refs of all numbers. */
static uint64_t pages_by_refs(const struct zs_pool *pool, uint64_t *objects)
{
	struct class_count *count = calloc(pool->table->count, sizeof(*count));
	uint64_t pages = 0;

	assert_non_null(count);
	*objects = 0;
	pool_count(pool, count);
	for (u32 i = 0; i < pool->table->count; i++) {
		pages += count[i].pages;
		*objects += count[i].objects;
	}
	free(count);
	return pages;
}

static uint64_t reads_under_way(void)
{
	uint64_t reads = 0;

	for (size_t i = 0; i < 1UL << (32 - runtime.reading_shift); i++)
		reads += (uint64_t)atomic_read(&runtime.reading[i]);
	return reads;
}

void check_invariants(struct zs_pool *pool, uint64_t objects, uint64_t reads)
{
	uint64_t counted;

	zs_free_deferred_flush(pool);
	pool_pause(pool);
	assert_int_equal(pool_objects(pool), objects);
	assert_int_equal(pages_by_refs(pool, &counted), atomic64_read(&pool->pages));
	assert_int_equal(counted, objects);
	assert_int_equal(reads_under_way(), reads);
	assert_int_equal(queue_pending(&runtime.queue), 0);
#ifdef ZS_DEBUG
	assert_null(pool_fault(pool));
#endif
	pool_resume(pool);
}

void check_compacted(struct zs_pool *pool)
{
	assert_int_equal(pool_reclaimable(pool), 0);
}

void check_empty(struct zs_pool *pool)
{
	zs_compact(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	assert_int_equal(pool_objects(pool), 0);
}
