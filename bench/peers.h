/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The peers as contenders: the same program with the library of Debian's package preloaded. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "bench.h"

#define PEER_GLIBC                                                                                 \
	{                                                                                          \
		.name = "glibc", .subject = "glibc", .peer = true                                  \
	}
#define PEER_JEMALLOC                                                                              \
	{                                                                                          \
		.name = "jemalloc", .subject = "jemalloc", .preload = "libjemalloc.so.2",          \
		.peer = true                                                                       \
	}
#define PEER_MIMALLOC                                                                              \
	{                                                                                          \
		.name = "mimalloc", .subject = "mimalloc", .preload = "libmimalloc.so.2",          \
		.peer = true                                                                       \
	}
#define PEER_TCMALLOC                                                                              \
	{                                                                                          \
		.name = "tcmalloc", .subject = "tcmalloc", .preload = "libtcmalloc_minimal.so.4",  \
		.peer = true                                                                       \
	}

#endif /* BENCH_PEERS_H */
