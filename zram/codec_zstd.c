/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * zstd.
 *
 * Its compressor allocates the tables that it works in when it first compresses, by level and size
 * of the input. All pages have one size, so compressing one page in create() allocates all.
 *
 * A dictionary is digested once for compressing and once for decompressing, in each context.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "codec.h"

struct zstd_context {
	int level;
	ZSTD_CCtx *compressor;
	ZSTD_DCtx *decompressor;
	ZSTD_CDict *compress_with; /* NULL: no dictionary */
	ZSTD_DDict *decompress_with;
};

static ssize_t zstd_compress(void *arg, const void *page, size_t page_size, void *dst,
			     size_t capacity)
{
	struct zstd_context *context = arg;
	size_t len;

	if (context->compress_with)
		len = ZSTD_compress_usingCDict(context->compressor, dst, capacity, page, page_size,
					       context->compress_with);
	else
		len = ZSTD_compressCCtx(context->compressor, dst, capacity, page, page_size,
					context->level);

	switch (ZSTD_getErrorCode(len)) {
	case ZSTD_error_no_error:
		return (ssize_t)len;
	case ZSTD_error_dstSize_tooSmall:
		return 0;
	case ZSTD_error_memory_allocation:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int zstd_decompress(void *arg, const void *src, size_t size, void *page, size_t page_size)
{
	struct zstd_context *context = arg;
	size_t len;

	if (context->decompress_with)
		len = ZSTD_decompress_usingDDict(context->decompressor, page, page_size, src, size,
						 context->decompress_with);
	else
		len = ZSTD_decompressDCtx(context->decompressor, page, page_size, src, size);
	return len == page_size ? 0 : -EIO;
}

/* Compress an empty page, for the memory that it makes zstd allocate. */
static int compress_once(struct zstd_context *context, size_t page_size)
{
	char *page = calloc(1 + CODEC_BUFFER_PAGES, page_size);
	ssize_t len;

	if (!page)
		return -ENOMEM;
	len = zstd_compress(context, page, page_size, page + page_size,
			    CODEC_BUFFER_PAGES * page_size);
	free(page);
	return len > 0 ? 0 : -ENOMEM;
}

static void zstd_destroy(void *arg)
{
	struct zstd_context *context = arg;

	if (!context)
		return;
	ZSTD_freeDDict(context->decompress_with);
	ZSTD_freeCDict(context->compress_with);
	ZSTD_freeDCtx(context->decompressor);
	ZSTD_freeCCtx(context->compressor);
	free(context);
}

static void *zstd_create_with_dictionary(int level, size_t page_size, const void *dictionary,
					 size_t dictionary_size)
{
	struct zstd_context *context = calloc(1, sizeof(*context));
	bool whole;

	if (!context)
		return NULL;
	context->level = level;
	context->compressor = ZSTD_createCCtx();
	context->decompressor = ZSTD_createDCtx();
	whole = context->compressor && context->decompressor;
	if (whole && dictionary) {
		context->compress_with = ZSTD_createCDict(dictionary, dictionary_size, level);
		context->decompress_with = ZSTD_createDDict(dictionary, dictionary_size);
		whole = context->compress_with && context->decompress_with;
	}
	if (!whole || compress_once(context, page_size) != 0) {
		zstd_destroy(context);
		return NULL;
	}
	return context;
}

static void *zstd_create(int level, size_t page_size)
{
	return zstd_create_with_dictionary(level, page_size, NULL, 0);
}

const struct codec codec_zstd = {
	.name = "zstd",
	.min_level = -(1 << 17), /* ZSTD_minCLevel() */
	.max_level = 22, /* ZSTD_maxCLevel() */
	.default_level = ZSTD_CLEVEL_DEFAULT,
	.create = zstd_create,
	.create_with_dictionary = zstd_create_with_dictionary,
	.destroy = zstd_destroy,
	.compress = zstd_compress,
	.decompress = zstd_decompress,
};
