/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Each peer has a call that gives back to the system whatever it can. Which peer is preloaded shows
 * by the call that there is; glibc's malloc_trim() is there always, so it comes last.
 */
#include "density_trim.h"

#include <dlfcn.h>
#include <err.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>

#define JEMALLOC_ALL_ARENAS "arena.4096.purge"

static bool trim_jemalloc(void)
{
	int (*mallctl)(const char *, void *, size_t *, void *, size_t) = (int (*)(
		const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT, "mallctl");

	if (!mallctl)
		return false;
	if (mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) != 0 ||
	    mallctl(JEMALLOC_ALL_ARENAS, NULL, NULL, NULL, 0) != 0)
		errx(2, "jemalloc does not purge");
	return true;
}

static bool trim_mimalloc(void)
{
	void (*mi_collect)(bool) = (void (*)(bool))dlsym(RTLD_DEFAULT, "mi_collect");

	if (mi_collect)
		mi_collect(true);
	return mi_collect;
}

static bool trim_tcmalloc(void)
{
	void (*release)(void) =
		(void (*)(void))dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");

	if (release)
		release();
	return release;
}

void density_trim_peer(void)
{
	if (!trim_jemalloc() && !trim_mimalloc() && !trim_tcmalloc())
		malloc_trim(0);
}
