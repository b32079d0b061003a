/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The runtime: what all pools share, one a process and one in the module.
 *
 * Entries, zspage numbers, the page store, lanes, the queue, the counts of readers, class locks and
 * the worker are the runtime's. A pool is a tag, size classes and figures. So a thread has one
 * lane, not one for each pool, and a pool costs little.
 */
#ifndef ZS_RUNTIME_H
#define ZS_RUNTIME_H

#include "class.h"
#include "handle.h"
#include "queue.h"
#include "zspage.h"

#define FREE_BATCH 4096 /* names that a drain takes at a time, at most */

struct zs_pool;

struct class_lock {
	struct port_lock lock;
} __attribute__((aligned(PORT_CACHELINE)));

/* What a batch of frees works with: see free.c. */
struct free_batch {
	u64 name[FREE_BATCH]; /* what is freed */
	atomic64_t *entry[FREE_BATCH]; /* of the name */
	u64 word[FREE_BATCH]; /* the entry's; 0 if it was not live */
	u16 next[FREE_BATCH]; /* name of the same list, plus 1; 0 ends */
	u16 first[ZS_LOCKS]; /* by class lock: the first name, plus 1; else 0 */
	u8 touched[ZS_LOCKS]; /* the locks that have names */
	u32 locks; /* how many */
	u16 astray; /* the first name whose entry changed meanwhile, plus 1; else 0 */
	struct zspage *empty; /* zspages to release, by their next */
};

struct runtime {
	struct handles handles;
	struct zspages zspages;
	atomic_t *reading; /* readers, by the hash of the handle: see read.h */
	unsigned int reading_shift; /* constant: 32 less the bits of the hash */
	struct class_lock class_lock[ZS_LOCKS];
	struct queue queue;
	struct port_worker worker;
	struct free_batch *batch; /* the drain's, under the drain mutex */
	struct port_mutex registry; /* protects what follows */
	struct table pools; /* of struct zs_pool *, by tag; read under the drain mutex, too */
	u32 last_tag;
	/* By the longest chain; NULL until used. */
	struct class_table *class_table[ZS_MAX_CHAIN + 1];
	atomic64_t sparse[HANDLE_TAGS / 64]; /* pools to compact, a bit each; atomic: no lock */
};

extern struct runtime runtime;

/* Has the worker run within this number of milliseconds; -1 is never. */
static inline void runtime_work_in(int delay_ms)
{
	if (delay_ms >= 0)
		port_worker_kick(&runtime.worker, (unsigned int)delay_ms);
}

#endif /* ZS_RUNTIME_H */
