/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A table: an array that grows and never moves, addressed by a 32-bit index.
 *
 *   dir ─> [ chunk 0 | chunk 1 | ... ]      a larger directory replaces a full one
 *               └─> [ element | element | ... ]      PORT_CHUNK_SIZE bytes
 *
 * A lookup takes no lock. A late one meets valid memory: chunks and old directories stay until the
 * table goes.
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
	u32 chunks; /* the number of chunks in the directory */
	u32 most; /* the number of chunks that an index can address */
	struct port_lock lock; /* serialises growth */
};

int table_init(struct table *table, size_t element, unsigned int index_bits);
void table_destroy(struct table *table);
int table_grow(struct table *table, gfp_t flags);

/*
 * Returns the address of element @index. The caller learned the index by an acquire of what was
 * released after the table had grown.
 */
static inline void *table_at(const struct table *table, u32 index, size_t element)
{
	const struct table_dir *dir = smp_load_acquire(&table->dir); /* pairs with dir_replace() */
	u32 per_chunk = (u32)(PORT_CHUNK_SIZE / element);

	return (char *)dir->chunk[index / per_chunk] + index % per_chunk * element;
}

/* Returns the number of elements, all of which may be looked up. */
static inline u64 table_size(const struct table *table, size_t element)
{
	/* Pairs with the release in table_grow(): the chunk's pointer is there. */
	return smp_load_acquire(&table->chunks) * (u64)(PORT_CHUNK_SIZE / element);
}

#endif /* ZS_TABLE_H */
