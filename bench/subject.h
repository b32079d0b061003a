/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What is measured: a way to store objects and to free them. Ours and the peers' look the same from
 * here, and each runs the loop over its own calls, so that nothing stands between.
 */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <err.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct subject {
	const char *name;
	/* Get ready. Returns the version of what is measured; a missing peer is an error. */
	const char *(*open)(const struct subject *subject);
	/* Store an object. Returns its handle or address. @data NULL: ours, left unwritten. */
	unsigned long (*store)(const void *data, size_t size);
	/* Read an object into a buffer. */
	void (*read)(unsigned long object, void *buffer, size_t size);
	/* Free all objects, in the order of the array: what is timed. From any thread. */
	void (*free_all)(const unsigned long *objects, size_t count);

	/* What follows has no counterpart in the peers: NULL there. */
	const struct zs_pool_options *options;
	/* After the objects were stored, and after free_all(): add own figures to the round's. */
	void (*stored)(json_t *figures);
	void (*freed)(json_t *figures);
	/* Free an object at once. */
	void (*free_one)(unsigned long object);
	/* How many freed objects wait. NULL: none ever does. */
	uint64_t (*pending)(void);
	/* What the pool says that it holds. */
	uint64_t (*pool_bytes)(void);
	/* Free what waits, and expect an empty pool; then give all memory back to the system. */
	void (*settle)(void);
	void (*give_back)(void);
};

/* The subject of that name, or NULL. */
const struct subject *subject_zs(const char *name);
const struct subject *subject_peer(const char *name);

static inline const struct subject *subject_find(const char *name)
{
	const struct subject *subject = subject_zs(name);

	if (!subject)
		subject = subject_peer(name);
	if (!subject)
		errx(2, "there is no subject '%s'", name);
	return subject;
}

static inline void figure_set(json_t *figures, const char *name, uint64_t value)
{
	if (json_object_set_new(figures, name, json_integer((json_int_t)value)) != 0)
		errx(2, "no memory for the figures");
}

/* How a round's program ends. */
static inline int round_print(json_t *figures)
{
	if (json_dumpf(figures, stdout, JSON_INDENT(2)) != 0)
		errx(2, "cannot write the figures");
	return 0;
}

#endif /* BENCH_SUBJECT_H */
