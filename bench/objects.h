/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The objects that a round stores: those of the corpus, over and over if it wants more. */
#ifndef BENCH_OBJECTS_H
#define BENCH_OBJECTS_H

#include "corpus.h"
#include "subject.h"

/* Where the next object of a corpus is. Begins as { .corpus = corpus }. */
struct objects {
	const struct corpus *corpus;
	size_t next;
	size_t offset;
};

/* The next object's bytes, and how many. After the last comes the first. */
static inline const void *objects_next(struct objects *objects, size_t *size)
{
	const unsigned char *data;

	if (objects->next == objects->corpus->objects)
		*objects = (struct objects){ .corpus = objects->corpus };
	data = corpus_data(objects->corpus) + objects->offset;
	*size = objects->corpus->size[objects->next++];
	objects->offset += *size;
	return data;
}

/* Passes over @count objects. */
static inline void objects_skip(struct objects *objects, size_t count)
{
	size_t size;

	while (count--)
		objects_next(objects, &size);
}

/* Store @count objects. Returns how many bytes that are. */
static inline uint64_t objects_store(struct objects *objects, const struct subject *subject,
				     unsigned long *stored, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++) {
		size_t size;
		const void *data = objects_next(objects, &size);

		stored[i] = subject->store(data, size);
		bytes += size;
	}
	return bytes;
}

#endif /* BENCH_OBJECTS_H */
