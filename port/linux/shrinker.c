/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A pool under memory pressure: free pages go back at once, waiting frees are done, and objects are
 * moved together if that frees pages.
 */
#include "host_pool.h"

/* What waits to be freed counts with the others, as long as it does: some two objects to a page. */
static unsigned long count_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	struct zs_pool *pool = compat_shrinker_owner(shrinker);
	u64 pages = pool_reclaimable(pool) + READ_ONCE(pool->zspages.store.pages);

	pages += DIV_ROUND_UP_ULL(deferred_pending(&pool->deferred), 2);
	return pages ? (unsigned long)pages : SHRINK_EMPTY;
}

static unsigned long scan_objects(struct shrinker *shrinker, struct shrink_control *control)
{
	struct zs_pool *pool = compat_shrinker_owner(shrinker);
	unsigned long waiting = READ_ONCE(pool->zspages.store.pages);
	unsigned long pages = core_get_total_pages(pool);
	unsigned long now;

	core_compact(pool);
	now = core_get_total_pages(pool);
	pages = waiting + (pages > now ? pages - now : 0);
	return pages ? pages : SHRINK_STOP;
}

void shrinker_add_pool(struct compat_shrinker *shrinker, struct zs_pool *pool)
{
	shrinker->owner = pool;
	compat_shrinker_register(shrinker, pool->name, count_objects, scan_objects);
}
