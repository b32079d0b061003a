/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The core's API under names of its own (port_linux.h gives them to it): the kernel's names are
 * those of what the module exports (exports.c), which differs from kernel to kernel.
 */
#ifndef ZS_CORE_H
#define ZS_CORE_H

#include <linux/types.h>

struct zs_pool;

unsigned long core_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid);
void core_free(struct zs_pool *pool, unsigned long handle);
void core_free_deferred(struct zs_pool *pool, unsigned long handle);
void core_free_deferred_flush(struct zs_pool *pool);
void *core_obj_read_begin(struct zs_pool *pool, unsigned long handle, size_t mem_len,
			  void *local_copy);
void core_obj_read_end(struct zs_pool *pool, unsigned long handle, size_t mem_len,
		       void *handle_mem);
void core_obj_write(struct zs_pool *pool, unsigned long handle, void *handle_mem, size_t mem_len);
size_t core_huge_class_size(struct zs_pool *pool);
unsigned long core_get_total_pages(struct zs_pool *pool);
unsigned long core_compact(struct zs_pool *pool);
unsigned int core_lookup_class_index(struct zs_pool *pool, unsigned int size);

#endif /* ZS_CORE_H */
