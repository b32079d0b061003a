/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Reading: see read.h.
 */
#include "read.h"

#define READING_BITS 12 /* of the hash; and more with many CPUs */
#define READING_BITS_MOST 16
#define READING_CPUS 16 /* that the least is enough for */

static unsigned int reading_bits(void)
{
	unsigned int bits = READING_BITS;

	for (unsigned int cpus = port_cpus(); cpus > READING_CPUS && bits < READING_BITS_MOST;
	     cpus /= 2)
		bits++;
	return bits;
}

int readers_init(void)
{
	unsigned int bits = reading_bits();

	runtime.reading_shift = 32 - bits;
	runtime.reading = port_alloc(sizeof(atomic_t) << bits, GFP_KERNEL);
	return runtime.reading ? 0 : -ENOMEM;
}

void readers_destroy(void)
{
	port_free(runtime.reading, sizeof(atomic_t) << (32 - runtime.reading_shift));
}

/* Finds a live entry's zspage. Returns false if that is dead, or the entry is not @word now. */
static inline bool object_find(const atomic64_t *entry, u64 word, struct object *object)
{
	object->ref = zspage_ref(&runtime.zspages, entry_zspage(word));
	/* Pairs with zspage_add() and zspage_thaw(). */
	object->where = smp_load_acquire(&object->ref->where);
	return (object->where & WHERE_LIVE) && (u64)atomic64_read(entry) == word;
}

/* Says which part of its chain an object is, whose zspage was found. */
static inline void object_place(const struct zs_pool *pool, u64 word, struct object *object)
{
	object->size = pool->class[where_class(object->where)].geometry.size;
	object->offset = (size_t)entry_slot(word) * object->size;
}

/*
 * Keeps an object where it is, for read_end(). Returns false if the handle is not that of a live
 * object of the pool.
 * - Any context, but under no class lock: takes one when it meets a mover.
 */
bool read_begin(struct zs_pool *pool, unsigned long handle, struct object *object)
{
	const atomic64_t *entry = handle_entry(&runtime.handles, handle_name(handle));

	if (unlikely(!pool_has_handle(pool, handle) || !entry))
		return false;
	prefetchw(entry);
	object->count = reading_count((u32)handle);
	for (;;) {
		u64 word;

		atomic_inc(object->count);
		smp_mb__after_atomic(); /* pairs with the one in zspage_freeze() */
		word = (u64)atomic64_read_acquire(entry); /* pairs with handle_open() */
		if (unlikely(!entry_is(word, handle_name(handle)))) {
			read_end(object);
			return false;
		}
		if (likely(object_find(entry, word, object) && !(object->where & WHERE_FROZEN))) {
			object_place(pool, word, object);
			return true;
		}
		read_end(object);
		port_lock(class_lock_at(entry_lock(word)));
		port_unlock(class_lock_at(entry_lock(word)));
	}
}

/*
 * Finds an object that the caller keeps where it is, for read_end(). Returns false if the handle is
 * not that of a live object of the pool, or has no reader.
 */
bool read_again(struct zs_pool *pool, unsigned long handle, struct object *object)
{
	const atomic64_t *entry = handle_entry(&runtime.handles, handle_name(handle));
	u64 word = entry ? (u64)atomic64_read_acquire(entry) : 0;

	if (unlikely(!pool_has_handle(pool, handle) || !entry_is(word, handle_name(handle))))
		return false;
	object->count = reading_count((u32)handle);
	if (unlikely(!atomic_read(object->count) || !object_find(entry, word, object)))
		return false;
	object_place(pool, word, object);
	return true;
}
