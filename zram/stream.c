/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * One stream a CPU, see stream.h.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

static void stream_end(struct stream *stream, const struct streams *streams)
{
	for (unsigned int i = 0; i < streams->nr_compressors; i++)
		streams->compressor[i].codec->destroy(stream->context[i]);
	free(stream->buffer);
}

static void *create_context(const struct compressor *compressor, size_t page_size)
{
	if (compressor->dictionary)
		return compressor->codec->create_with_dictionary(compressor->level, page_size,
								 compressor->dictionary,
								 compressor->dictionary_size);
	return compressor->codec->create(compressor->level, page_size);
}

static int stream_init(struct stream *stream, const struct streams *streams, size_t page_size)
{
	bool whole;

	memset(stream, 0, sizeof(*stream));
	stream->buffer = malloc(CODEC_BUFFER_PAGES * page_size);
	whole = stream->buffer != NULL;
	for (unsigned int i = 0; whole && i < streams->nr_compressors; i++) {
		stream->context[i] = create_context(&streams->compressor[i], page_size);
		whole = stream->context[i] != NULL;
	}
	if (!whole || pthread_mutex_init(&stream->lock, NULL) != 0) {
		stream_end(stream, streams);
		return -ENOMEM;
	}
	return 0;
}

/* Reads what @options ask for. Returns 0, or -EINVAL if that is not possible. */
int compressor_init(struct compressor *compressor, const struct zram_compressor *options)
{
	const struct codec *codec = codec_find(options->algorithm);
	int level;

	if (!codec)
		return -EINVAL;
	level = options->level ? options->level : codec->default_level;
	if (level < codec->min_level || level > codec->max_level)
		return -EINVAL;
	if (!options->dictionary != !options->dictionary_size ||
	    (options->dictionary && !codec->create_with_dictionary))
		return -EINVAL;
	*compressor = (struct compressor){
		.codec = codec,
		.level = level,
		.dictionary = options->dictionary,
		.dictionary_size = options->dictionary_size,
	};
	return 0;
}

/* Returns how many CPUs the process may run on. */
static size_t cpus_allowed(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (size_t)CPU_COUNT(&set);
	return (size_t)sysconf(_SC_NPROCESSORS_ONLN); /* more than a set holds */
}

/* Makes the streams of the compressors. Returns 0 or -ENOMEM, with nothing left behind. */
int streams_create(struct streams *streams, size_t page_size)
{
	size_t wanted = cpus_allowed();

	streams->count = 0;
	streams->stream = aligned_alloc(_Alignof(struct stream), wanted * sizeof(struct stream));
	if (!streams->stream)
		return -ENOMEM;
	while (streams->count < wanted) {
		if (stream_init(&streams->stream[streams->count], streams, page_size) != 0) {
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
	while (streams->count > 0) {
		struct stream *stream = &streams->stream[--streams->count];

		pthread_mutex_destroy(&stream->lock);
		stream_end(stream, streams);
	}
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
