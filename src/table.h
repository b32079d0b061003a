/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A table: an array that grows and never moves, addressed by a 32-bit index.
 *
 * Its memory comes in chunks of PORT_CHUNK_SIZE; a directory of pointers finds them. A chunk stays
 * where it is until the pool goes, so that a lookup takes no lock and a late one meets valid memory.
 */
#ifndef ZS_TABLE_H
#define ZS_TABLE_H

#include "port.h"

struct table_dir {
	struct table_dir *older; /* smaller directories, which a late lookup may still read */
	u32 room;
	void *chunk[];
};

struct table {
	struct table_dir *dir;
	u32 chunks; /* how many the directory holds */
	u32 most; /* how many there may be, for an index to fit */
	struct port_lock lock; /* serialises growth */
};

int table_init(struct table *table, size_t element, unsigned int index_bits);
void table_destroy(struct table *table);
int table_grow(struct table *table, gfp_t flags, u32 *number);

static inline void *table_chunk(const struct table *table, u32 chunk)
{
	const struct table_dir *dir = smp_load_acquire(&table->dir); /* pairs with table_grow() */

	return dir->chunk[chunk];
}

/*
 * Where element @index is. The caller knows that it exists: it learned the index by an acquire of
 * what was released after the table had grown.
 */
static inline void *table_at(const struct table *table, u32 index, size_t element)
{
	u32 per_chunk = (u32)(PORT_CHUNK_SIZE / element);

	return (char *)table_chunk(table, index / per_chunk) + index % per_chunk * element;
}

/* The number of elements that there are. What lies below may be looked up. */
static inline u64 table_size(const struct table *table, size_t element)
{
	/* Pairs with the release in table_grow(): whoever sees the chunk counted sees its pointer. */
	return smp_load_acquire(&table->chunks) * (u64)(PORT_CHUNK_SIZE / element);
}

#endif /* ZS_TABLE_H */
