/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What a store is made of. First comes what the exit path reads to free a page's slot. What writers
 * of pages change has cache lines of its own.
 */
#ifndef ZRAM_ZRAM_STORE_H
#define ZRAM_ZRAM_STORE_H

#include "counters.h"
#include "slot.h"
#include "stream.h"
#include "zram.h"

struct zram {
	struct slot *slots;
	uint64_t nr_slots;
	struct zs_pool *pool;
	size_t page_size;
	unsigned int free_policy;
	size_t max_compressed; /* a page that does not get so small is stored as it is */
	uint64_t limit_pages; /* 0: no limit */
	struct streams streams;
	struct zram *next; /* of all stores: see stores.c */
	struct zram *prev;
	_Atomic bool walking; /* see walk.h */
	_Alignas(64) _Atomic uint64_t max_used_pages;
	struct counters counters;
};

#endif /* ZRAM_ZRAM_STORE_H */
