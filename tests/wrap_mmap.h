/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * mmap() of the libraries, which a test has fail from some length on. For a program that wraps mmap
 * and mmap64, which is mmap() under the name that it has with 64-bit offsets.
 */
#ifndef TEST_WRAP_MMAP_H
#define TEST_WRAP_MMAP_H

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

static atomic_size_t map_most = SIZE_MAX; /* bytes that one mapping can have */
static atomic_uint maps; /* calls so far */

#define WRAP_MAP(name)                                                                             \
	void *__real_##name(void *addr, size_t length, int prot, int flags, int fd, off_t offset); \
	void *__wrap_##name(void *addr, size_t length, int prot, int flags, int fd, off_t offset); \
                                                                                                   \
	void *__wrap_##name(void *addr, size_t length, int prot, int flags, int fd, off_t offset)  \
	{                                                                                          \
		atomic_fetch_add(&maps, 1);                                                        \
		if (length > atomic_load(&map_most)) {                                             \
			errno = ENOMEM;                                                            \
			return MAP_FAILED;                                                         \
		}                                                                                  \
		return __real_##name(addr, length, prot, flags, fd, offset);                       \
	}

WRAP_MAP(mmap)
WRAP_MAP(mmap64)

#endif /* TEST_WRAP_MMAP_H */
