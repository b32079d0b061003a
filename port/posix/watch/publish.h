/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Showing pools to other programs, `zsmalloc top` for one: see include/zsmalloc_published.h.
 */
#ifndef ZS_PORT_PUBLISH_H
#define ZS_PORT_PUBLISH_H

#include "port.h"

struct zs_pool;
struct zs_pool_options;

/* Whether the environment asks for all pools to be published. */
bool publish_wanted(void);

/*
 * Publish a pool from now on, and what @wish has counted beside it, if that can be done: it is
 * never an error. If @wish does not ask for it, one line on stderr says why it can't.
 */
void publish_add(struct zs_pool *pool, const struct zs_pool_options *wish);

/* The pool is about to go: waits for the publisher if it counts the pool just now. */
void publish_remove(struct zs_pool *pool);

/* In a child of fork(): the publisher is not there, and no pool is published any more. */
void publish_forked(void);

#endif /* ZS_PORT_PUBLISH_H */
