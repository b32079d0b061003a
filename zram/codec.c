/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The codecs that there are, by name.
 */
#include <string.h>

#include "codec.h"
#include "zram.h"

/* The first one is the default. */
static const struct codec *const codecs[] = {
	&codec_lz4, &codec_lz4hc, &codec_zstd, &codec_deflate,
#ifdef ZRAM_LZO
	&codec_lzo,
#endif
};

const struct codec *codec_find(const char *name)
{
	if (!name)
		return codecs[0];
	for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
		if (strcmp(name, codecs[i]->name) == 0)
			return codecs[i];
	}
	return NULL;
}

/**
 * zram_algorithm() - the names of the algorithms that there are.
 * @number: of the algorithm, from 0; the first is the default
 *
 * Context: Any.
 * Return: the name, or NULL for a number behind the last.
 */
const char *zram_algorithm(unsigned int number)
{
	return number < sizeof(codecs) / sizeof(codecs[0]) ? codecs[number]->name : NULL;
}
