/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Reading and writing an object; pins.
 *
 * A reader takes no lock. It reads in the handle's entry where the object is, pins that zspage, and
 * looks at the entry again: if it is unchanged, the object can't have been moved since, and won't be
 * until the pin is gone. Else the reader takes its pin back, which it may do to a descriptor that
 * has died meanwhile, and looks anew. Only if the entry is folded does each look take a page lock, for a
 * moment: fold.c.
 */
#include "pool.h"

/* Pin the zspage of a live object; *@pinned is what the entry of its handle is. NULL if the handle names none. */
static struct zspage *object_pin(struct zs_pool *pool, unsigned long handle, u64 *pinned)
{
	struct handles *handles = &pool->handles;
	const atomic64_t *entry = handle_entry(handles, handle);

	if (unlikely(!entry))
		return NULL;
	for (;;) {
		u64 word = entry_word(handles, entry, (u32)handle); /* pairs with handle_open() */
		struct zspage *zspage;

		if (unlikely(!entry_is(word, handle)))
			return NULL;
		zspage = zspage_at(&pool->zspages, entry_zspage(word));
		if (unlikely(!zspage_pin(zspage))) {
			/* It, or the object, is being moved under the lock; or it is dead, and the entry another. */
			class_await(entry_size_class(pool, word));
			continue;
		}
		/* Pairs with the exchange in handle_move(), which may have brought it back here. */
		if (likely((u64)atomic64_read_acquire(entry) == word) ||
		    entry_word(handles, entry, (u32)handle) == word) {
			*pinned = word;
			return zspage;
		}
		zspage_unpin(zspage);
	}
}

/**
 * object_get() - pin an object, telling what is wrong if that can't be.
 * @pool: the pool
 * @handle: the object
 * @len: how many bytes of it are wanted
 * @offset: set to where it begins in the zspage's chain
 *
 * Context: Any. Takes no lock, unless it meets compaction at work on the object's zspage, or the object's
 * entry is folded.
 * Return: the object's zspage, pinned, or NULL after a misuse.
 */
struct zspage *object_get(struct zs_pool *pool, unsigned long handle, size_t len, size_t *offset)
{
	const struct size_class *class;
	struct zspage *zspage;
	u64 word;

	zspage = object_pin(pool, handle, &word);
	if (unlikely(!zspage)) {
		pool_bad_handle(pool, handle);
		return NULL;
	}
	class = entry_size_class(pool, word);
	if (unlikely(len > class->size)) {
		zspage_unpin(zspage);
		pool_misuse(pool, "an access beyond the end of the slot of an object", handle);
		return NULL;
	}
	*offset = (size_t)entry_slot(word) * class->size;
	return zspage;
}

/**
 * zs_obj_read_begin() - begin to read an object.
 * @pool: the pool
 * @handle: the object
 * @mem_len: how many bytes of it will be read
 * @local_copy: memory for @mem_len bytes, used where an object is not contiguous; a program, whose
 *	zspages are, may pass NULL
 *
 * Until zs_obj_read_end() the object stays where it is. Any number of threads may read it.
 *
 * Context: Any. Takes no lock, unless it meets compaction at work on the object's zspage, or the object's
 * entry is folded.
 * Return: where the object is, valid until zs_obj_read_end(), or NULL after a misuse.
 */
void *zs_obj_read_begin(struct zs_pool *pool, unsigned long handle, size_t mem_len,
			void *local_copy)
{
	struct zspage *zspage;
	size_t offset;
	void *memory;

	if (!pool_check(pool, "zs_obj_read_begin() of no pool"))
		return NULL;
	zspage = object_get(pool, handle, mem_len, &offset);
	if (!zspage)
		return NULL;
	memory = port_chain_at(&zspage->chain, offset, mem_len);
	if (memory)
		return memory;
	if (!local_copy) {
		zspage_unpin(zspage);
		pool_misuse(pool, "zs_obj_read_begin() with a null buffer, of an object", handle);
		return NULL;
	}
	port_chain_read(&zspage->chain, offset, local_copy, mem_len);
	return local_copy;
}

/**
 * object_pinned() - find an object again that was pinned before.
 * @pool: the pool
 * @handle: the object
 * @offset: set to where it begins in the zspage's chain
 *
 * Context: Any.
 * Return: the object's zspage, or NULL after a misuse.
 */
struct zspage *object_pinned(struct zs_pool *pool, unsigned long handle, size_t *offset)
{
	const atomic64_t *entry = handle_entry(&pool->handles, handle);
	/* The pin keeps the entry as it was. */
	u64 word = entry ? entry_word(&pool->handles, entry, (u32)handle) : 0;
	struct zspage *zspage;

	if (unlikely(!entry_is(word, handle))) {
		pool_bad_handle(pool, handle);
		return NULL;
	}
	zspage = zspage_at(&pool->zspages, entry_zspage(word));
	if (unlikely(!zspage_pins(zspage))) {
		pool_misuse(pool, "zs_obj_read_end() without a begin, of an object", handle);
		return NULL;
	}
	*offset = (size_t)entry_slot(word) * entry_size_class(pool, word)->size;
	return zspage;
}

/**
 * zs_obj_read_end() - end what zs_obj_read_begin() began.
 * @pool: the pool
 * @handle: the object
 * @mem_len: as given to zs_obj_read_begin()
 * @handle_mem: what zs_obj_read_begin() returned
 *
 * One end too many is noticed only if nobody else is reading the object's zspage.
 *
 * Context: Any. Takes no lock, unless the object's entry is folded.
 */
void zs_obj_read_end(struct zs_pool *pool, unsigned long handle, size_t mem_len, void *handle_mem)
{
	struct zspage *zspage;
	const void *memory;
	size_t offset;

	if (!pool_check(pool, "zs_obj_read_end() of no pool"))
		return;
	if (unlikely(!handle_mem)) {
		pool_misuse(pool, "zs_obj_read_end() with a null buffer, of an object", handle);
		return;
	}
	zspage = object_pinned(pool, handle, &offset);
	if (unlikely(!zspage))
		return;
	memory = port_chain_at(&zspage->chain, offset, mem_len);
	if (unlikely(memory && memory != handle_mem))
		pool_misuse(pool,
			    "zs_obj_read_end() with a pointer to something else, of an object",
			    handle);
	else
		zspage_unpin(zspage);
}

/**
 * zs_obj_write() - write an object.
 * @pool: the pool
 * @handle: the object
 * @handle_mem: what to write
 * @mem_len: how many bytes
 *
 * Context: Any. Takes no lock, unless it meets compaction at work on the object's zspage, or the object's
 * entry is folded. Writers and readers of one object keep out of each other's way by themselves.
 */
void zs_obj_write(struct zs_pool *pool, unsigned long handle, void *handle_mem, size_t mem_len)
{
	struct zspage *zspage;
	size_t offset;
	void *memory;

	if (!pool_check(pool, "zs_obj_write() of no pool"))
		return;
	if (unlikely(!handle_mem)) {
		pool_misuse(pool, "zs_obj_write() with a null buffer, of an object", handle);
		return;
	}
	zspage = object_get(pool, handle, mem_len, &offset);
	if (!zspage)
		return;
	memory = port_chain_at(&zspage->chain, offset, mem_len);
	if (memory)
		memcpy(memory, handle_mem, mem_len);
	else
		port_chain_write(&zspage->chain, offset, handle_mem, mem_len);
	zspage_unpin(zspage);
}
