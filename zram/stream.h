/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Streams: what a thread needs while it compresses or decompresses one page. A store has one for
 * each CPU, all made with the store, so that reading and writing pages allocates nothing but
 * the object.
 *
 * A thread takes its CPU's stream, or one that is free, or else waits for its CPU's. The
 * holder of a stream may take a slot's lock, never the other way round.
 */
#ifndef ZRAM_STREAM_H
#define ZRAM_STREAM_H

#include <pthread.h>

#include "codec.h"

struct stream {
	_Alignas(64) pthread_mutex_t lock;
	void *context; /* the codec's */
	void *buffer; /* CODEC_BUFFER_PAGES pages */
};

struct streams {
	const struct codec *codec;
	unsigned int count;
	struct stream *stream;
};

int streams_create(struct streams *streams, const struct codec *codec, int level, size_t page_size);
void streams_destroy(struct streams *streams);

struct stream *stream_get(struct streams *streams);
void stream_put(struct stream *stream);

#endif /* ZRAM_STREAM_H */
