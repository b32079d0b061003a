/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Tables: see table.h. Here is how one grows beside lookups that take no lock.
 */
#include "table.h"

#define TABLE_FIRST_ROOM 56

static size_t dir_bytes(u32 room)
{
	return offsetof(struct table_dir, chunk) + room * sizeof(void *);
}

static struct table_dir *dir_alloc(u32 room, gfp_t flags)
{
	struct table_dir *dir = port_alloc(dir_bytes(room), flags);

	if (dir)
		dir->room = room;
	return dir;
}

/*
 * Makes an empty table of elements of a size that divides PORT_CHUNK_SIZE, with an index of at most
 * 32 bits, of zeroed memory. Returns 0 or -ENOMEM.
 */
int table_init(struct table *table, size_t element, unsigned int index_bits)
{
	table->most = (u32)((1ULL << index_bits) / (PORT_CHUNK_SIZE / element));
	table->dir = dir_alloc(TABLE_FIRST_ROOM, GFP_KERNEL);
	if (!table->dir)
		return -ENOMEM;
	port_lock_init(&table->lock, PORT_RANK_TABLE);
	return 0;
}

/* Frees a table, also one of zeroed memory that was never made. */
void table_destroy(struct table *table)
{
	struct table_dir *dir = table->dir;

	for (u32 i = 0; i < table->chunks; i++)
		port_free(dir->chunk[i], PORT_CHUNK_SIZE);
	while (dir) {
		struct table_dir *older = dir->older;

		port_free(dir, dir_bytes(dir->room));
		dir = older;
	}
	table->dir = NULL;
	table->chunks = 0;
}

/* Puts a larger directory in place. The old one stays for the lookups that have just read it. */
static void dir_replace(struct table *table, struct table_dir *bigger)
{
	port_assert_held(&table->lock);
	bigger->older = table->dir;
	memcpy(bigger->chunk, table->dir->chunk, table->chunks * sizeof(void *));
	smp_store_release(&table->dir, bigger); /* pairs with table_at() */
}

/*
 * Adds a chunk to a table. Returns 0 or -ENOMEM.
 * - Sleeps if @flags allow it; no lock of PORT_RANK_TABLE or behind is held.
 */
int table_grow(struct table *table, gfp_t flags)
{
	struct table_dir *bigger = NULL;
	void *chunk = port_alloc(PORT_CHUNK_SIZE, flags);

	if (!chunk)
		return -ENOMEM;
	for (;;) {
		u32 room;

		port_lock(&table->lock);
		room = table->dir->room;
		if (table->chunks < table->most &&
		    (table->chunks < room || (bigger && bigger->room > room)))
			break;
		port_unlock(&table->lock);
		if (bigger)
			port_free(bigger, dir_bytes(bigger->room));
		if (room >= table->most)
			goto no_memory;
		bigger = dir_alloc(2 * room, flags);
		if (!bigger)
			goto no_memory;
	}
	if (table->chunks == table->dir->room) {
		dir_replace(table, bigger);
		bigger = NULL;
	}
	table->dir->chunk[table->chunks] = chunk;
	smp_store_release(&table->chunks, table->chunks + 1); /* pairs with table_size() */
	port_unlock(&table->lock);
	if (bigger)
		port_free(bigger, dir_bytes(bigger->room));
	return 0;

no_memory:
	port_free(chunk, PORT_CHUNK_SIZE);
	return -ENOMEM;
}
