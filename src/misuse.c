/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Misuse: what is told of a wrong call.
 *
 * One line says function, pool, what and handle. Then the process ends, or the pool counts the call
 * and goes on. Nothing that is stored is harmed.
 */
#include "pool.h"

/*
 * Tells of a wrong call: function, what was wrong, and behind that the handle, unless 0. In a
 * process it writes to stderr. Atomic; no lock but the drain mutex is held.
 */
void misuse_pool(struct zs_pool *pool, const char *function, const char *what, unsigned long handle)
{
	atomic64_add(1, &pool->misuses);
	port_misuse(pool->name, pool->misuse_is_fatal, function, what, handle);
}

/* Returns what is wrong with a name that is not that of a live object. */
static const char *name_fault(u64 name)
{
	const atomic64_t *entry = handle_entry(&runtime.handles, name);
	u64 word = entry ? (u64)atomic64_read_acquire(entry) : 0;

	if (!word)
		return "handle that was never given out:";
	if (entry_gen(word) == name_gen(name) && !(word & ENTRY_LIVE))
		return "double free or use after free of handle";
	if (entry_is(word, name))
		return "no begin for handle";
	return "stale handle, whose object is long gone:";
}

/* Tells of a handle that is not a live object's of the pool. Context: as for misuse_pool(). */
void misuse_handle(struct zs_pool *pool, const char *function, unsigned long handle)
{
	misuse_pool(pool, function,
		    pool_has_handle(pool, handle) ? name_fault(handle_name(handle)) :
						    "handle that is not this pool's:",
		    handle);
}

/*
 * Tells of a queued name that is not that of a live object. The pool is the one that the dead entry
 * had last; none is told where another pool has the entry now.
 * - Under the drain mutex, which keeps pools from going.
 */
void misuse_name(u64 name)
{
	const char *function = "zs_free_deferred";
	const atomic64_t *entry = handle_entry(&runtime.handles, name);
	u64 word = entry ? (u64)atomic64_read_acquire(entry) : 0;
	u32 tag = word & ENTRY_LIVE ? 0 : entry_tag(word);
	struct zs_pool *pool = pool_at(tag);

	if (pool)
		misuse_pool(pool, function, name_fault(name), handle_make(tag, name));
	else
		port_misuse(NULL, port_misuse_is_fatal(), function, name_fault(name), name);
}

/* Tells of a call with no pool. */
void misuse_no_pool(const char *function)
{
	port_misuse(NULL, port_misuse_is_fatal(), function, "called with no pool", 0);
}
