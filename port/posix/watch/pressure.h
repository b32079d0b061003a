/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Memory pressure: pools give back at once what they can do without.
 */
#ifndef ZS_PORT_PRESSURE_H
#define ZS_PORT_PRESSURE_H

struct zs_pool;

/*
 * Have a pool give memory back under pressure from now on, where the system tells of that. The
 * watcher then calls @call, if not NULL.
 */
void pressure_add(struct zs_pool *pool, void (*call)(void *arg), void *arg);

/* The pool is about to go: wait until it has given back what it is just giving back. */
void pressure_remove(const struct zs_pool *pool);

/* In a child of fork(): the watcher is not there, and no pool is watched any more. */
void pressure_forked(void);

#endif /* ZS_PORT_PRESSURE_H */
