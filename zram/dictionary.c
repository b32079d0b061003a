/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Dictionaries: what pages have in common, so that a compressor need not find it in each of them.
 * zstd's own trainer makes them.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zdict.h>
#include <zstd_errors.h>

#include "zram.h"

static int trainer_error(size_t result)
{
	return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? -ENOMEM : -EINVAL;
}

/**
 * zram_train_dictionary() - make a dictionary of sample pages.
 * @pages: the samples, one page after the other
 * @count: how many; some hundred are good
 * @dictionary: where it goes
 * @capacity: bytes of room there, at least 256; a hundredth of the samples is a good size
 *
 * A store takes the dictionary as an option of "zstd". Pages like the samples become smaller by it.
 *
 * Context: Any thread. May sleep, and takes seconds for thousands of pages.
 * Return: the dictionary's size in bytes. -EINVAL: a pointer is NULL, or the trainer can make no
 * dictionary: there are too few samples, or @capacity is too small. -ENOMEM: there is no memory.
 */
int64_t zram_train_dictionary(const void *pages, size_t count, void *dictionary, size_t capacity)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	size_t *sizes;
	size_t result;

	if (!pages || !dictionary || count == 0 || count > UINT32_MAX / page_size)
		return -EINVAL;
	sizes = malloc(count * sizeof(*sizes));
	if (!sizes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sizes[i] = page_size;
	result = ZDICT_trainFromBuffer(dictionary, capacity, pages, sizes, (unsigned int)count);
	free(sizes);
	return ZDICT_isError(result) ? trainer_error(result) : (int64_t)result;
}
