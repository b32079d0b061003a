/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A codec: one compression algorithm, as the store sees it. What differs between algorithms stands
 * in codec_NAME.c; the packaged libraries compress.
 *
 * A context is the memory that an algorithm works in. All of it is allocated by create(), so that
 * compressing and decompressing cannot run out of memory. One thread at a time uses a context.
 */
#ifndef ZRAM_CODEC_H
#define ZRAM_CODEC_H

#include <stddef.h>
#include <sys/types.h>

/**
 * struct codec - the functions and facts of one algorithm.
 * @name: what struct zram_options calls it
 * @min_level: the lowest level that it takes
 * @max_level: the highest
 * @default_level: what level 0 stands for
 * @create: make a context for pages of @page_size bytes; NULL if there is no memory
 * @create_with_dictionary: likewise, with a dictionary, which it copies; NULL if the algorithm
 *	takes none
 * @destroy: end a context; NULL is ignored
 * @compress: compress a page to at most @capacity bytes at @dst, which has CODEC_BUFFER_PAGES pages
 *	of room. Returns the bytes written, 0 if they would be more than @capacity, or a negative
 *	errno
 * @decompress: undo it. Returns 0, or -EIO if @src is not exactly one compressed page
 */
struct codec {
	const char *name;
	int min_level;
	int max_level;
	int default_level;
	void *(*create)(int level, size_t page_size);
	void *(*create_with_dictionary)(int level, size_t page_size, const void *dictionary,
					size_t dictionary_size);
	void (*destroy)(void *context);
	ssize_t (*compress)(void *context, const void *page, size_t page_size, void *dst,
			    size_t capacity);
	int (*decompress)(void *context, const void *src, size_t size, void *page,
			  size_t page_size);
};

/* Some algorithms cannot be told to stop: a page may grow, but never to twice its size. */
#define CODEC_BUFFER_PAGES 2

extern const struct codec codec_lz4;
extern const struct codec codec_lz4hc;
extern const struct codec codec_zstd;
extern const struct codec codec_deflate;
extern const struct codec codec_lzo;

/* The codec of that name, NULL for the default one. Returns NULL if there is none. */
const struct codec *codec_find(const char *name);

#endif /* ZRAM_CODEC_H */
