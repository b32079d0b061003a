/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Reading and writing an object.
 */
#include "read.h"

/* Begins to read an object, telling what is wrong if that cannot be. */
static bool object_begin(struct zs_pool *pool, const char *function, unsigned long handle,
			 size_t len, struct object *object)
{
	if (unlikely(!read_begin(pool, handle, object))) {
		misuse_handle(pool, function, handle);
		return false;
	}
	if (unlikely(len > object->size)) {
		read_end(object);
		misuse_pool(pool, function, "access beyond the end of the slot of handle", handle);
		return false;
	}
	return true;
}

/**
 * pool_read_begin() - begin to read an object.
 * @pool: the pool
 * @handle: the object
 * @len: bytes of it that will be read
 * @local_copy: memory for @len bytes, used where an object is not contiguous; a program, whose
 *	zspages are, may pass NULL
 *
 * Until pool_read_end() the object stays where it is. Any number of threads may read it.
 *
 * Context: Any. Takes no lock, unless it meets compaction at work on the object's zspage.
 * Return: the object's address, valid until pool_read_end(), or NULL after a misuse.
 */
void *pool_read_begin(struct zs_pool *pool, unsigned long handle, size_t len, void *local_copy)
{
	struct object object;
	void *memory;

	if (!pool_given(pool, "zs_obj_read_begin") ||
	    !object_begin(pool, "zs_obj_read_begin", handle, len, &object))
		return NULL;
	memory = object_at(&object, len);
	if (likely(memory))
		return memory;
	if (!local_copy) {
		read_end(&object);
		misuse_pool(pool, "zs_obj_read_begin", "null buffer for handle", handle);
		return NULL;
	}
	port_chain_read(&object.ref->zspage->chain, object.offset, local_copy, len);
	return local_copy;
}

/**
 * pool_read_end() - end what pool_read_begin() began.
 * @pool: the pool
 * @handle: the object
 * @len: as given to pool_read_begin()
 * @memory: what pool_read_begin() returned
 *
 * One end too many is noticed only if no other reader has the same hash.
 *
 * Context: Any.
 */
void pool_read_end(struct zs_pool *pool, unsigned long handle, size_t len, const void *memory)
{
	struct object object;
	const void *expected;

	if (!pool_given(pool, "zs_obj_read_end"))
		return;
	if (unlikely(!read_again(pool, handle, &object))) {
		misuse_handle(pool, "zs_obj_read_end", handle);
		return;
	}
	expected = object_at(&object, len);
	if (likely(memory && (!expected || memory == expected)))
		read_end(&object);
	else
		misuse_pool(pool, "zs_obj_read_end",
			    memory ? "pointer to something else for handle" :
				     "null buffer for handle",
			    handle);
}

/**
 * pool_write() - write an object.
 * @pool: the pool
 * @handle: the object
 * @from: what to write
 * @len: bytes
 *
 * Nothing keeps a writer and a reader of one object apart: the caller does.
 *
 * Context: Any. Takes no lock, unless it meets compaction at work on the object's zspage.
 */
void pool_write(struct zs_pool *pool, unsigned long handle, const void *from, size_t len)
{
	struct object object;
	void *memory;

	if (!pool_given(pool, "zs_obj_write"))
		return;
	if (unlikely(!from)) {
		misuse_pool(pool, "zs_obj_write", "null buffer for handle", handle);
		return;
	}
	if (unlikely(!object_begin(pool, "zs_obj_write", handle, len, &object)))
		return;
	memory = object_at(&object, len);
	if (likely(memory))
		memcpy(memory, from, len);
	else
		port_chain_write(&object.ref->zspage->chain, object.offset, from, len);
	read_end(&object);
}
