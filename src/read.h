/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Reading: what keeps an object where it is while it is read.
 *
 * A reader hashes the handle and adds one to the count that this gives. It looks at the entry, at
 * the zspage's where, and at the entry again. If all agree, it reads. A mover freezes a zspage for
 * one hold of the class lock, and leaves each object whose count is not 0 where it is. So a reader
 * that meets a frozen zspage waits for that hold, and a mover never waits for a reader.
 *
 *   reader                             mover, under the class lock
 *   count++                            where |= FROZEN
 *   full fence                         full fence
 *   entry, where, entry again          count of each object: not 0: leave it; 0: move it
 *
 * One of the two sees the other. The second look at the entry finds a mover that has come and gone
 * between the first look and the one at where. A free looks at no count: the caller does not free
 * what it reads.
 */
#ifndef ZS_READ_H
#define ZS_READ_H

#include "pool.h"

/* An object that a reader keeps where it is. */
struct object {
	atomic_t *count;
	const struct zspage_ref *ref;
	u64 where;
	size_t offset; /* of the object in its chain */
	u32 size; /* of its slot */
};

int readers_init(void);
void readers_destroy(void);
bool read_begin(struct zs_pool *pool, unsigned long handle, struct object *object);
bool read_again(struct zs_pool *pool, unsigned long handle, struct object *object);

/* Returns the count of the readers of an object, and of others with the same hash. */
static inline atomic_t *reading_count(u32 index)
{
	return &runtime.reading[(u32)(index * 0x9E3779B1U) >> runtime.reading_shift];
}

/* Pairs with the acquire in object_is_read(): what the reader did is done. */
static inline void read_end(const struct object *object)
{
	atomic_fetch_sub_release(1, object->count);
}

/* Returns whether a reader may be at an object of a frozen zspage. */
static inline bool object_is_read(u32 index)
{
	return atomic_read_acquire(reading_count(index)) != 0;
}

/* Freezes a zspage: no reader begins there from now on. */
static inline void zspage_freeze(struct zspage *zspage)
{
	struct zspage_ref *ref = zspage_ref(&runtime.zspages, zspage->number);

	port_assert_held(zspage->class->lock);
	WRITE_ONCE(ref->where, ref->where | WHERE_FROZEN);
	smp_mb(); /* pairs with the one in read_begin() */
}

/* Pairs with the acquire in object_find(): a reader sees where the objects went. */
static inline void zspage_thaw(struct zspage *zspage)
{
	struct zspage_ref *ref = zspage_ref(&runtime.zspages, zspage->number);

	port_assert_held(zspage->class->lock);
	smp_store_release(&ref->where, ref->where & ~WHERE_FROZEN);
}

/* Returns where @len bytes of a counted object are, or NULL if they are not contiguous. */
static inline void *object_at(const struct object *object, size_t len)
{
	if (PORT_CHAIN_CONTIGUOUS)
		return (char *)(uintptr_t)(object->where & WHERE_BASE) + object->offset;
	return port_chain_at(&object->ref->zspage->chain, object->offset, len);
}

#endif /* ZS_READ_H */
