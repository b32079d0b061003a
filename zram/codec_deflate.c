/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * deflate: zlib's format without its frame, through libdeflate.
 */
#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>

#include "codec.h"

struct deflate_context {
	struct libdeflate_compressor *compressor;
	struct libdeflate_decompressor *decompressor;
};

static void deflate_destroy(void *arg)
{
	struct deflate_context *context = arg;

	if (!context)
		return;
	libdeflate_free_decompressor(context->decompressor);
	libdeflate_free_compressor(context->compressor);
	free(context);
}

static void *deflate_create(int level, size_t page_size)
{
	struct deflate_context *context = calloc(1, sizeof(*context));

	(void)page_size;
	if (!context)
		return NULL;
	context->compressor = libdeflate_alloc_compressor(level);
	context->decompressor = libdeflate_alloc_decompressor();
	if (!context->compressor || !context->decompressor) {
		deflate_destroy(context);
		return NULL;
	}
	return context;
}

static ssize_t deflate_compress(void *arg, const void *page, size_t page_size, void *dst,
				size_t capacity)
{
	struct deflate_context *context = arg;

	return (ssize_t)libdeflate_deflate_compress(context->compressor, page, page_size, dst,
						    capacity);
}

/* Without a place for the length, libdeflate demands that the page be filled exactly. */
static int deflate_decompress(void *arg, const void *src, size_t size, void *page, size_t page_size)
{
	struct deflate_context *context = arg;
	enum libdeflate_result result = libdeflate_deflate_decompress(context->decompressor, src,
								      size, page, page_size, NULL);

	return result == LIBDEFLATE_SUCCESS ? 0 : -EIO;
}

const struct codec codec_deflate = {
	.name = "deflate",
	.min_level = 1,
	.max_level = 12,
	.default_level = 6,
	.create = deflate_create,
	.destroy = deflate_destroy,
	.compress = deflate_compress,
	.decompress = deflate_decompress,
};
