/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A pool: its size classes, zspages, handles and deferred queue, and what the core's files and the
 * hosts need of each other.
 */
#ifndef ZS_POOL_H
#define ZS_POOL_H

#include "class.h"
#include "deferred.h"
#include "handle.h"
#include "zspage.h"

#define POOL_NAME_MAX 64 /* longer names are cut */
#define POOL_DEFERRED_BUDGET (16UL << 30) /* no less than 128 MiB is promised */
#define POOL_DEFERRED_DELAY_MS 10
#define POOL_COMPACT_SHARE 10 /* per cent of a CPU */
#define POOL_DRAIN_WORKERS 64 /* more is out of range */

struct pool_config {
	u64 capacity; /* handles that the deferred queue takes */
	unsigned int delay_ms;
	unsigned int max_chain;
	unsigned int compact_share; /* per cent of a CPU; 0: never by itself */
	unsigned int drain_workers; /* threads that drain at a time, at most; at least 1 */
	bool misuse_is_fatal;
};

/* What a batch of frees needs: too large for a kernel's stack. */
struct free_batch {
	u32 classes;
	atomic64_t *entry[DEFERRED_BATCH]; /* by object */
	u64 word[DEFERRED_BATCH]; /* by object: its entry's; 0 if it is none, or is not to be freed */
	u16 next[DEFERRED_BATCH]; /* object in the same list, plus 1; 0 ends */
	u16 first[ZS_SIZE_STEPS]; /* by class: its first object plus 1; else 0 */
	u16 astray; /* the first object that is not where it was, plus 1; else 0 */
	u16 touched[ZS_SIZE_STEPS]; /* the classes that have objects */
	u32 emptied[DEFERRED_BATCH]; /* zspages of the class at hand that are to be released, */
	u32 empty; /* how many */
	bool half; /* one of its zspages is half empty */
};

struct zs_pool {
	char name[POOL_NAME_MAX];
	bool misuse_is_fatal;
	struct classes classes;
	struct handles handles;
	struct zspages zspages;
	struct deferred deferred;
	struct port_worker worker;
	unsigned int compact_share;
	u32 compact_next; /* the class with which the worker goes on compacting */
	atomic_t starved; /* a class that GFP_NOWAIT found empty, by index plus 1; 0: none */
	atomic64_t pages_compacted;
	atomic64_t misuses;
};

struct zs_pool *pool_create(const char *name, const struct pool_config *config);
void pool_destroy(struct zs_pool *pool);
void pool_misuse(struct zs_pool *pool, const char *what, unsigned long handle);
bool pool_check(struct zs_pool *pool, const char *what);
void pool_free_batch(struct zs_pool *pool, struct free_batch *batch, const unsigned long *handles,
		     unsigned int count);
void pool_trim(struct zs_pool *pool, bool all);
void pool_release(struct zs_pool *pool, const struct size_class *class, u32 zspage);
void pool_bad_handle(struct zs_pool *pool, unsigned long handle);
struct zspage *object_get(struct zs_pool *pool, unsigned long handle, size_t len, size_t *offset);
struct zspage *object_pinned(struct zs_pool *pool, unsigned long handle, size_t *offset);
int pool_compact_some(struct zs_pool *pool);
u64 pool_reclaimable(const struct zs_pool *pool);

/* What is counted of one class: zspages that are at most 10, 20, ... 99 and exactly 100 % full. */
#define POOL_TENTHS 11
struct class_count {
	u32 zspages[POOL_TENTHS];
	u64 objects;
	u64 pages; /* that the zspages hold */
};

void pool_count(const struct zs_pool *pool, struct class_count *count);
void pool_show_classes(const struct zs_pool *pool, struct port_out *out);
void pool_show_deferred(const struct zs_pool *pool, struct port_out *out);

/* The class of the object that an entry says is there. */
static inline struct size_class *entry_size_class(const struct zs_pool *pool, u64 entry)
{
	return &pool->classes.class[entry_class(entry)];
}

static inline u64 pool_capacity(size_t budget)
{
	return (budget >> PORT_PAGE_SHIFT) ? budget >> PORT_PAGE_SHIFT : 1;
}

/* By default half the CPUs: those whose exit fills the queue need some as well. */
static inline unsigned int pool_drain_workers(unsigned int wish)
{
	unsigned int workers = wish ? wish : port_cpus() / 2;

	if (workers > POOL_DRAIN_WORKERS)
		return POOL_DRAIN_WORKERS;
	return workers ? workers : 1;
}

#endif /* ZS_POOL_H */
