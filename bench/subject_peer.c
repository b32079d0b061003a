/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The peers: general-purpose allocators behind malloc() and free(). The process starts with the
 * peer preloaded; a function that only the peer has proves it. The subject "empty" calls a function
 * that does nothing for each object, and glibc keeps the objects.
 */
#include <dlfcn.h>
#include <err.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "empty.h"
#include "subject.h"

static void *witness(const char *function)
{
	void *address = dlsym(RTLD_DEFAULT, function);

	if (!address)
		errx(2, "the peer that has %s() is not preloaded", function);
	return address;
}

static const char *glibc_open(const struct subject *subject)
{
	(void)subject;
	for (const char *const *other =
		     (const char *const[]){ "mallctl", "mi_version", "tc_version", NULL };
	     *other; other++)
		if (dlsym(RTLD_DEFAULT, *other))
			errx(2, "the peer that has %s() is preloaded", *other);
	return gnu_get_libc_version();
}

static const char *jemalloc_open(const struct subject *subject)
{
	int (*mallctl)(const char *, void *, size_t *, void *, size_t) =
		(int (*)(const char *, void *, size_t *, void *, size_t))witness("mallctl");
	static char text[16];
	const char *version = NULL;
	size_t size = sizeof(version);

	(void)subject;
	if (mallctl("version", &version, &size, NULL, 0) != 0)
		errx(2, "jemalloc does not tell its version");
	/* "5.3.0-0-g", and a hash of the source */
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(version, "-"), version);
	return text;
}

static const char *mimalloc_open(const struct subject *subject)
{
	int (*mi_version)(void) = (int (*)(void))witness("mi_version");
	static char text[16];
	int version = mi_version(); /* 209 is 2.0.9 */

	(void)subject;
	snprintf(text, sizeof(text), "%d.%d.%d", version / 100, version / 10 % 10, version % 10);
	return text;
}

static const char *tcmalloc_open(const struct subject *subject)
{
	const char *(*tc_version)(int *, int *, const char **) =
		(const char *(*)(int *, int *, const char **))witness("tc_version");

	(void)subject;
	return strrchr(tc_version(NULL, NULL, NULL), ' ') + 1; /* "gperftools 2.10" */
}

static unsigned long peer_store(const void *data, size_t size)
{
	void *object = malloc(size);

	if (!object)
		err(2, "malloc() of %zu bytes", size);
	memcpy(object, data, size);
	return (unsigned long)object;
}

static void peer_free_all(const unsigned long *objects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((void *)objects[i]);
}

static void peer_read(unsigned long object, void *buffer, size_t size)
{
	memcpy(buffer, (const void *)object, size);
}

static void empty_free_all(const unsigned long *objects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		empty(objects[i]);
}

#define PEER_CALLS .store = peer_store, .read = peer_read, .free_all = peer_free_all

static const struct subject peers[] = {
	{ .name = "glibc", .open = glibc_open, PEER_CALLS },
	{ .name = "jemalloc", .open = jemalloc_open, PEER_CALLS },
	{ .name = "mimalloc", .open = mimalloc_open, PEER_CALLS },
	{ .name = "tcmalloc", .open = tcmalloc_open, PEER_CALLS },
	{ .name = "empty", .open = glibc_open, .store = peer_store, .free_all = empty_free_all },
};

const struct subject *subject_peer(const char *name)
{
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
		if (strcmp(peers[i].name, name) == 0)
			return &peers[i];
	return NULL;
}
