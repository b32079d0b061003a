/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * One stream a CPU, see stream.h.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "stream.h"

static int stream_init(struct stream *stream, const struct codec *codec, int level,
		       size_t page_size)
{
	stream->context = codec->create(level, page_size);
	stream->buffer = malloc(CODEC_BUFFER_PAGES * page_size);
	if (!stream->context || !stream->buffer || pthread_mutex_init(&stream->lock, NULL) != 0) {
		free(stream->buffer);
		codec->destroy(stream->context);
		return -ENOMEM;
	}
	return 0;
}

static void stream_end(struct stream *stream, const struct codec *codec)
{
	pthread_mutex_destroy(&stream->lock);
	free(stream->buffer);
	codec->destroy(stream->context);
}

/* Returns how many CPUs the process may run on. */
static size_t cpus_allowed(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (size_t)CPU_COUNT(&set);
	return (size_t)sysconf(_SC_NPROCESSORS_ONLN); /* more than a set holds */
}

/* Returns 0 or -ENOMEM, with nothing left behind. */
int streams_create(struct streams *streams, const struct codec *codec, int level, size_t page_size)
{
	size_t wanted = cpus_allowed();

	streams->codec = codec;
	streams->count = 0;
	streams->stream = aligned_alloc(_Alignof(struct stream), wanted * sizeof(struct stream));
	if (!streams->stream)
		return -ENOMEM;
	while (streams->count < wanted) {
		if (stream_init(&streams->stream[streams->count], codec, level, page_size) != 0) {
			streams_destroy(streams);
			return -ENOMEM;
		}
		streams->count++;
	}
	return 0;
}

/* Frees the streams, which no thread holds any more. */
void streams_destroy(struct streams *streams)
{
	while (streams->count > 0)
		stream_end(&streams->stream[--streams->count], streams->codec);
	free(streams->stream);
}

/* Take a stream; may sleep until one is free. */
struct stream *stream_get(struct streams *streams)
{
	int cpu = sched_getcpu();
	unsigned int own = cpu > 0 ? (unsigned int)cpu % streams->count : 0;

	for (unsigned int i = 0; i < streams->count; i++) {
		struct stream *stream = &streams->stream[(own + i) % streams->count];

		if (pthread_mutex_trylock(&stream->lock) == 0)
			return stream;
	}
	pthread_mutex_lock(&streams->stream[own].lock);
	return &streams->stream[own];
}

void stream_put(struct stream *stream)
{
	pthread_mutex_unlock(&stream->lock);
}
