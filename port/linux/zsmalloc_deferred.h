/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What the module has beside the API of <linux/zsmalloc.h>, for modules that know of it.
 */
#ifndef ZSMALLOC_DEFERRED_H
#define ZSMALLOC_DEFERRED_H

struct zs_pool;

void zs_free_deferred(struct zs_pool *pool, unsigned long handle);
void zs_free_deferred_flush(struct zs_pool *pool);

#endif /* ZSMALLOC_DEFERRED_H */
