/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Streams: what a thread needs while it compresses or decompresses one page. A store has one for
 * each CPU, all made with the store, so that reading and writing pages allocates nothing but
 * the object.
 *
 * A store has up to four compressors: the one that writes use, and those that recompression tries.
 * A stream has a context of each.
 *
 * A thread takes its CPU's stream, or one that is free, or else waits for its CPU's. The
 * holder of a stream may take a slot's lock, never the other way round.
 */
#ifndef ZRAM_STREAM_H
#define ZRAM_STREAM_H

#include <pthread.h>

#include "codec.h"
#include "zram.h"

#define COMPRESSORS (1 + ZRAM_SECONDARY_MAX)

/* What a stream's contexts are made of. The dictionary is the caller's, and not used later. */
struct compressor {
	const struct codec *codec;
	int level;
	const void *dictionary;
	size_t dictionary_size;
};

struct stream {
	_Alignas(64) pthread_mutex_t lock;
	void *context[COMPRESSORS]; /* the codecs' */
	void *buffer; /* CODEC_BUFFER_PAGES pages */
};

struct streams {
	struct compressor compressor[COMPRESSORS]; /* 0 is the one that writes use */
	unsigned int nr_compressors;
	unsigned int count;
	struct stream *stream;
};

int compressor_init(struct compressor *compressor, const struct zram_compressor *options);
int streams_create(struct streams *streams, size_t page_size);
void streams_destroy(struct streams *streams);

struct stream *stream_get(struct streams *streams);
void stream_put(struct stream *stream);

#endif /* ZRAM_STREAM_H */
