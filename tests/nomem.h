/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Having no memory. In all that is linked statically, the libraries and the test, the linker wraps
 * the functions that get memory. So the test can have any call of them fail. It wraps those that
 * give memory back, too, to count both. A test includes this once, and its entry in meson.build
 * names the wrapped functions.
 */
#ifndef TEST_NOMEM_H
#define TEST_NOMEM_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

static atomic_long to_go = -1; /* allocations till the one that fails; below 0, none does */
static atomic_bool all_that_follow;
static atomic_long nr_failed;
static atomic_long blocks; /* allocated and not freed */
static atomic_long mapped; /* bytes */

static bool fails(void)
{
	long left = atomic_fetch_sub(&to_go, 1);

	if (left != 0 && !(left < 0 && atomic_load(&all_that_follow)))
		return false;
	atomic_fetch_add(&nr_failed, 1);
	return true;
}

static void fail_from(long first, bool and_all_that_follow)
{
	atomic_store(&nr_failed, 0);
	atomic_store(&to_go, first);
	atomic_store(&all_that_follow, and_all_that_follow);
}

static void fail_no_more(void)
{
	atomic_store(&all_that_follow, false);
	atomic_store(&to_go, -1);
}

static void *counted(void *block)
{
	if (block)
		atomic_fetch_add(&blocks, 1);
	return block;
}

/* What gets a block, and what gives it back. */
#define WRAP_ALLOC(type, name, parameters, arguments)                                              \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		return fails() ? NULL : counted(__real_##name arguments);                          \
	}

#define WRAP_FREE(result, name, type)                                                              \
	result __real_##name(type block);                                                          \
	result __wrap_##name(type block);                                                          \
	result __wrap_##name(type block)                                                           \
	{                                                                                          \
		if (block)                                                                         \
			atomic_fetch_sub(&blocks, 1);                                              \
		return __real_##name(block);                                                       \
	}

/* What returns 0, or @error. */
#define WRAP_INIT(name, error, parameters, arguments)                                              \
	int __real_##name parameters;                                                              \
	int __wrap_##name parameters;                                                              \
	int __wrap_##name parameters                                                               \
	{                                                                                          \
		return fails() ? (error) : __real_##name arguments;                                \
	}

/* The same function under its two names. */
#define WRAP_MAP(name)                                                                             \
	void *__real_##name(void *at, size_t len, int prot, int flags, int fd, long offset);       \
	void *__wrap_##name(void *at, size_t len, int prot, int flags, int fd, long offset);       \
	void *__wrap_##name(void *at, size_t len, int prot, int flags, int fd, long offset)        \
	{                                                                                          \
		void *map;                                                                         \
                                                                                                   \
		if (fails()) {                                                                     \
			errno = ENOMEM;                                                            \
			return MAP_FAILED;                                                         \
		}                                                                                  \
		map = __real_##name(at, len, prot, flags, fd, offset);                             \
		if (map != MAP_FAILED)                                                             \
			atomic_fetch_add(&mapped, (long)len);                                      \
		return map;                                                                        \
	}

WRAP_ALLOC(void *, malloc, (size_t size), (size))
WRAP_ALLOC(void *, calloc, (size_t count, size_t size), (count, size))
WRAP_ALLOC(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
WRAP_FREE(void, free, void *)
WRAP_MAP(mmap)
WRAP_MAP(mmap64)
WRAP_INIT(pthread_create, EAGAIN,
	  (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *arg), void *arg),
	  (thread, attr, run, arg))
int __real_munmap(void *map, size_t len);
int __wrap_munmap(void *map, size_t len);

int __wrap_munmap(void *map, size_t len)
{
	int err = __real_munmap(map, len);

	if (!err)
		atomic_fetch_sub(&mapped, (long)len);
	return err;
}

/*
 * Calls @use(@arg) with every allocation failing in turn, alone or with @and_all_that_follow, until
 * none is left to fail. What it got it must have given back. Returns how many failed in turn.
 */
static inline long fail_each(void (*use)(void *arg), void *arg, bool and_all_that_follow)
{
	long first, failed, blocks_before, mapped_before;

	/* Once without, so that what libraries allocate once and keep is there. */
	fail_no_more();
	use(arg);
	blocks_before = atomic_load(&blocks);
	mapped_before = atomic_load(&mapped);
	for (first = 0, failed = 1; failed; first++) {
		fail_from(first, and_all_that_follow);
		use(arg);
		failed = atomic_load(&nr_failed);
		fail_no_more();
		assert_int_equal(atomic_load(&blocks), blocks_before);
		assert_int_equal(atomic_load(&mapped), mapped_before);
	}
	return first - 1;
}

#endif /* TEST_NOMEM_H */
