/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * lz4, the fast one, whose level is its acceleration; and lz4hc, which takes longer to find a
 * smaller result in the same format.
 */
#include <errno.h>
#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>

#include "codec.h"

struct lz4_context {
	int level;
	_Alignas(16) char state[];
};

static struct lz4_context *create(int level, int state_size)
{
	struct lz4_context *context = malloc(sizeof(*context) + (size_t)state_size);

	if (context)
		context->level = level;
	return context;
}

static void *lz4_create(int level, size_t page_size)
{
	(void)page_size;
	return create(level, LZ4_sizeofState());
}

static void *lz4hc_create(int level, size_t page_size)
{
	(void)page_size;
	return create(level, LZ4_sizeofStateHC());
}

static ssize_t lz4_compress(void *arg, const void *page, size_t page_size, void *dst,
			    size_t capacity)
{
	struct lz4_context *context = arg;

	return LZ4_compress_fast_extState(context->state, page, dst, (int)page_size, (int)capacity,
					  context->level);
}

static ssize_t lz4hc_compress(void *arg, const void *page, size_t page_size, void *dst,
			      size_t capacity)
{
	struct lz4_context *context = arg;

	return LZ4_compress_HC_extStateHC(context->state, page, dst, (int)page_size, (int)capacity,
					  context->level);
}

static int lz4_decompress(void *arg, const void *src, size_t size, void *page, size_t page_size)
{
	int len = LZ4_decompress_safe(src, page, (int)size, (int)page_size);

	(void)arg;
	return len == (int)page_size ? 0 : -EIO;
}

const struct codec codec_lz4 = {
	.name = "lz4",
	.min_level = 1,
	.max_level = 65537, /* lz4.h: more is taken for this */
	.default_level = 1,
	.create = lz4_create,
	.destroy = free,
	.compress = lz4_compress,
	.decompress = lz4_decompress,
};

const struct codec codec_lz4hc = {
	.name = "lz4hc",
	.min_level = 1,
	.max_level = LZ4HC_CLEVEL_MAX,
	.default_level = LZ4HC_CLEVEL_DEFAULT,
	.create = lz4hc_create,
	.destroy = free,
	.compress = lz4hc_compress,
	.decompress = lz4_decompress,
};
