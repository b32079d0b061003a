/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A pool, and what the core's files and the hosts need of each other.
 *
 * Locks, in the order in which they are taken; of each line a thread holds one:
 *
 * - registry mutex: runtime.registry: tags, class tables, the list of pools to compact.
 * - drain mutex: queue.drain: one drain at a time; the drain's side of lanes, the pass, the batch.
 * - class lock: runtime.class_lock[n]: of each class that hashes to it, the lists and counts. Of
 *   their zspages the birth and the death, the bitmap, the reverse map, where. Of their objects the
 *   entries: that they become live, where they point, that they die.
 * - table locks: table.lock, handles.lock, zspages.lock, queue.lock: growth; free blocks of
 *   entries; free numbers, dead descriptors; free segments. For a segment a producer only tries it.
 * - store lock: the host's.
 *
 * No lock, but a protocol: a lane is its owner's (lane.h). A reader's count keeps an object where
 * it is (read.h). The worker goes to sleep (drain.c).
 *
 * Memory is allocated with no lock held but the registry mutex. A drain allocates nothing: the
 * kernel's shrinker waits for it.
 */
#ifndef ZS_POOL_H
#define ZS_POOL_H

#include "runtime.h"

#define POOL_NAME_MAX 64 /* longer names are cut */
#define POOL_DEFERRED_BUDGET (16UL << 30)
#define POOL_DEFERRED_DELAY_MS 10
#define POOL_COMPACT_SHARE 10 /* per cent of a CPU */
#define POOL_RUN 64 /* zspages that a caller empties before it lets others run */
#define POOL_LOOK_MS 100 /* between two looks at a pool that shrinks */

struct pool_config {
	u64 capacity; /* handles that the deferred queue takes */
	unsigned int delay_ms;
	unsigned int max_chain;
	unsigned int compact_share; /* per cent of a CPU; 0: never by itself */
	bool misuse_is_fatal;
};

struct zs_pool {
	char name[POOL_NAME_MAX];
	u32 tag;
	bool misuse_is_fatal;
	atomic64_t pages; /* that the zspages hold */
	atomic64_t pages_compacted;
	atomic64_t misuses;
	const struct class_table *table;
	void *shown; /* the host's: where an operator sees the pool */
	/* Compaction by itself: see compact.c. */
	unsigned int compact_share;
	u32 compact_next; /* the class with which the worker goes on; its own, as is the next */
	u64 compact_seen; /* objects when it looked last; 0: it has not looked */
	struct size_class class[];
};

/* misuse.c */
void misuse_pool(struct zs_pool *pool, const char *function, const char *what,
		 unsigned long handle);
void misuse_handle(struct zs_pool *pool, const char *function, unsigned long handle);
void misuse_name(u64 name);
void misuse_no_pool(const char *function);

/* object.c */
void *pool_read_begin(struct zs_pool *pool, unsigned long handle, size_t len, void *local_copy);
void pool_read_end(struct zs_pool *pool, unsigned long handle, size_t len, const void *memory);
void pool_write(struct zs_pool *pool, unsigned long handle, const void *from, size_t len);

/* free.c */
void pool_free(struct zs_pool *pool, unsigned long handle);
void pool_free_deferred_slow(struct zs_pool *pool, unsigned long handle);
void free_batch(struct free_batch *batch, u32 count, struct zs_pool *pool);
void zspage_give_back(struct zspage *zspage);
void compact_notice(struct zs_pool *pool);

/* drain.c */
u32 drain_batch(u32 most);
u32 drain_some(gfp_t flags);
u64 drain_flush(void);
int drain_work(void);

/* malloc.c */
unsigned long pool_malloc(struct zs_pool *pool, size_t size, gfp_t flags, int nid);

/* compact.c */
u64 pool_compact_pages(struct zs_pool *pool, u64 most);
unsigned long pool_compact(struct zs_pool *pool);
int compact_work(void);
u64 pool_reclaimable(const struct zs_pool *pool);

/* stats.c: what is counted of one class: zspages at most 10, 20, ... 99 and exactly 100 % full. */
#define POOL_TENTHS 11
struct class_count {
	u32 zspages[POOL_TENTHS];
	u64 objects;
	u64 pages; /* that the zspages hold */
};

void pool_count(const struct zs_pool *pool, struct class_count *count);
unsigned long pool_total_pages(const struct zs_pool *pool);
size_t pool_huge_size(const struct zs_pool *pool);
unsigned int pool_class_index(const struct zs_pool *pool, size_t size);
void pool_show_classes(const struct zs_pool *pool, struct port_out *out);
void pool_show_deferred(const struct zs_pool *pool, struct port_out *out);

/* check.c, in a debug build alone */
const char *pool_fault(const struct zs_pool *pool);
const char *batch_fault(const struct zs_pool *pool);

/* pool.c */
int runtime_init(void);
void runtime_exit(void);
struct zs_pool *pool_create(const char *name, const struct pool_config *config);
void pool_destroy(struct zs_pool *pool);

/* Returns the pool of a tag, or NULL. Under the registry mutex or the drain mutex. */
static inline struct zs_pool *pool_at(u32 tag)
{
	if (tag >= table_size(&runtime.pools, sizeof(struct zs_pool *)))
		return NULL;
	/* Pairs with the release in tag_set(). */
	return smp_load_acquire((struct zs_pool **)table_at(&runtime.pools, tag, sizeof(void *)));
}

/* Returns a class of a pool, or NULL if it never had an object. */
static inline struct size_class *pool_class(const struct zs_pool *pool, u32 index)
{
	const struct size_class *class = &pool->class[index];

	/* Pairs with class_open(). */
	return smp_load_acquire(&class->pool) ? (struct size_class *)class : NULL;
}

/* Returns the objects of a pool, as its classes count them. */
static inline u64 pool_objects(const struct zs_pool *pool)
{
	u64 objects = 0;

	for (u32 i = 0; i < pool->table->count; i++)
		objects += READ_ONCE(pool->class[i].objects);
	return objects;
}

static inline u64 pool_capacity(size_t budget)
{
	return (budget >> PORT_PAGE_SHIFT) ? budget >> PORT_PAGE_SHIFT : 1;
}

static inline struct port_lock *class_lock_at(u8 number)
{
	return &runtime.class_lock[number].lock;
}

/* Returns whether there is a pool, telling if there is none. */
static inline bool pool_given(const struct zs_pool *pool, const char *function)
{
	if (unlikely(!pool))
		misuse_no_pool(function);
	return pool;
}

/* Returns whether the handle has the pool's tag. */
static inline bool pool_has_handle(const struct zs_pool *pool, unsigned long handle)
{
	return handle_tag(handle) == pool->tag;
}

static inline bool handle_is_err(unsigned long handle)
{
	return handle >= (unsigned long)-4095L;
}

/*
 * Has an object freed soon, and returns at once; 0 and error values are ignored.
 * - Any context but an interrupt or a signal handler, under any lock. Waits for nothing, unless the
 *   queue cannot take the handle: then it is pool_free().
 */
static inline void pool_free_deferred(struct zs_pool *pool, unsigned long handle)
{
	if (unlikely(!pool || !pool_has_handle(pool, handle) ||
		     !queue_append(&runtime.queue, handle_name(handle))))
		pool_free_deferred_slow(pool, handle);
}

#endif /* ZS_POOL_H */
