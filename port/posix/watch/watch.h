/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Watchers of pools, which the build option "watch" brings along: of memory pressure, and of
 * programs that look at published counters. None starts unless an option of a pool asks for it.
 */
#ifndef ZS_WATCH_H
#define ZS_WATCH_H

#include "zsmalloc.h"

#ifdef ZS_WATCH

#include "pressure.h"
#include "publish.h"

static inline bool watch_can(const struct zs_pool_options *wish)
{
	(void)wish;
	return true;
}

static inline void watch_add(struct zs_pool *pool, const struct zs_pool_options *wish)
{
	if (wish->pressure)
		pressure_add(pool, wish->on_pressure, wish->on_pressure_arg);
	if (wish->publish || publish_wanted())
		publish_add(pool, wish);
}

static inline void watch_remove(struct zs_pool *pool)
{
	publish_remove(pool);
	pressure_remove(pool);
}

static inline void watch_forked(void)
{
	publish_forked();
	pressure_forked();
}

#else

static inline bool watch_can(const struct zs_pool_options *wish)
{
	return !wish->pressure && !wish->publish;
}

static inline void watch_add(struct zs_pool *pool, const struct zs_pool_options *wish)
{
	(void)pool;
	(void)wish;
}

static inline void watch_remove(struct zs_pool *pool)
{
	(void)pool;
}

static inline void watch_forked(void)
{
}

#endif

#endif /* ZS_WATCH_H */
