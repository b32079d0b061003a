/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * lzo (LZO1X-1), for a build that asks for it: liblzo2 is GPL, and so is a libzram linked with it.
 */
#include <errno.h>
#include <lzo/lzo1x.h>
#include <stdlib.h>

#include "codec.h"

static void *lzo_create(int level, size_t page_size)
{
	(void)level;
	(void)page_size;
	if (lzo_init() != LZO_E_OK)
		return NULL;
	return malloc(LZO1X_1_MEM_COMPRESS);
}

/*
 * Knows no capacity: an incompressible page grows by a sixteenth and 67 bytes, for which the
 * buffer's second page has room.
 */
static ssize_t lzo_compress(void *context, const void *page, size_t page_size, void *dst,
			    size_t capacity)
{
	lzo_uint len = 0;

	if (lzo1x_1_compress(page, page_size, dst, &len, context) != LZO_E_OK)
		return -EIO;
	return len <= capacity ? (ssize_t)len : 0;
}

static int lzo_decompress(void *context, const void *src, size_t size, void *page, size_t page_size)
{
	lzo_uint len = page_size;

	(void)context;
	if (lzo1x_decompress_safe(src, size, page, &len, NULL) != LZO_E_OK || len != page_size)
		return -EIO;
	return 0;
}

const struct codec codec_lzo = {
	.name = "lzo",
	.min_level = 1,
	.max_level = 1,
	.default_level = 1,
	.create = lzo_create,
	.destroy = free,
	.compress = lzo_compress,
	.decompress = lzo_decompress,
};
