/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The runtime and its pools: their beginning and end, and the worker's turn.
 */
#include "read.h"

_Static_assert(ZS_LOCKS <= 1 << 8 && ZS_MAX_SLOTS <= 1 << 8 &&
		       ENTRY_ZSPAGE_SHIFT + ENTRY_ZSPAGE_BITS == ENTRY_GEN_SHIFT,
	       "an entry has room for any zspage, lock and slot, and 16 bits of generation");

struct runtime runtime;

/* The worker: drain, move together what that left, give back what became free. */
static void runtime_work(void)
{
	runtime_work_in(drain_work());
	runtime_work_in(compact_work());
	runtime_work_in(port_store_trim(&runtime.zspages.store, false));
}

/* Frees what runtime_init() made, all or a part of it. */
static void runtime_free(void)
{
	queue_destroy(&runtime.queue);
	for (u32 i = 0; i <= ZS_MAX_CHAIN; i++)
		port_free(runtime.class_table[i], sizeof(struct class_table));
	table_destroy(&runtime.pools);
	port_free(runtime.batch, sizeof(*runtime.batch));
	readers_destroy();
	handles_destroy(&runtime.handles);
	lanes_destroy();
	zspages_destroy(&runtime.zspages);
}

/* Makes what pools share; the host calls it before it makes a pool. Returns 0 or -ENOMEM. */
int runtime_init(void)
{
	memset(&runtime, 0, sizeof(runtime));
	for (u32 i = 0; i < ZS_LOCKS; i++)
		port_lock_init(class_lock_at((u8)i), PORT_RANK_CLASS);
	port_mutex_init(&runtime.registry, PORT_RANK_REGISTRY);
	runtime.batch = port_alloc(sizeof(*runtime.batch), GFP_KERNEL);
	if (zspages_init(&runtime.zspages) || !runtime.batch || lanes_init() ||
	    handles_init(&runtime.handles) || readers_init() ||
	    table_init(&runtime.pools, sizeof(struct zs_pool *), 16) ||
	    queue_init(&runtime.queue, &runtime.worker, &runtime.zspages.store) ||
	    port_worker_init(&runtime.worker, runtime_work)) {
		runtime_free();
		return -ENOMEM;
	}
	return 0;
}

/* Ends the runtime; there is no pool. */
void runtime_exit(void)
{
	port_worker_stop(&runtime.worker);
	runtime_free();
}

/* Returns the class table for a longest chain, made when it is first wanted; NULL for no memory. */
static const struct class_table *class_table_get(unsigned int max_chain)
{
	port_assert_held(&runtime.registry);
	if (!runtime.class_table[max_chain])
		runtime.class_table[max_chain] = classes_cut(max_chain);
	return runtime.class_table[max_chain];
}

/* Says which pool has a tag; NULL is none. */
static void tag_set(u32 tag, struct zs_pool *pool)
{
	port_assert_held(&runtime.registry);
	/* Pairs with the acquire in pool_at(): the drain sees a pool that is whole. */
	smp_store_release((struct zs_pool **)table_at(&runtime.pools, tag, sizeof(void *)), pool);
}

/* Finds a tag that no pool has, for tag_set(). Returns 0 if there is none, or no memory. */
static u32 tag_find(void)
{
	port_assert_held(&runtime.registry);
	for (u32 i = 1; i < HANDLE_TAGS; i++) {
		u32 tag = runtime.last_tag % (HANDLE_TAGS - 1) + 1;

		runtime.last_tag = tag;
		if (tag >= table_size(&runtime.pools, sizeof(struct zs_pool *)) &&
		    table_grow(&runtime.pools, GFP_KERNEL))
			return 0;
		if (!pool_at(tag))
			return tag;
	}
	return 0;
}

static size_t pool_bytes(const struct class_table *table)
{
	return offsetof(struct zs_pool, class) + table->count * sizeof(struct size_class);
}

/* The queue has the largest capacity and the shortest delay of all pools since runtime_init(). */
static void queue_suit(const struct pool_config *config)
{
	struct queue *queue = &runtime.queue;

	port_assert_held(&runtime.registry);
	if (config->capacity > queue->capacity)
		WRITE_ONCE(queue->capacity, config->capacity);
	if (!queue->delay_ms || config->delay_ms < queue->delay_ms)
		WRITE_ONCE(queue->delay_ms, config->delay_ms);
}

/**
 * pool_create() - make a pool.
 * @name: a name for statistics and messages; cut after POOL_NAME_MAX - 1 bytes
 * @config: checked by the caller
 *
 * Context: May sleep.
 * Return: the pool, or NULL if there is no memory, or no tag.
 */
struct zs_pool *pool_create(const char *name, const struct pool_config *config)
{
	const struct class_table *table;
	struct zs_pool *pool = NULL;
	u32 tag;

	port_mutex_lock(&runtime.registry);
	table = class_table_get(config->max_chain);
	tag = table ? tag_find() : 0;
	if (tag)
		pool = port_alloc(pool_bytes(table), GFP_KERNEL);
	if (pool) {
		pool->table = table;
		pool->tag = tag;
		pool->misuse_is_fatal = config->misuse_is_fatal;
		pool->compact_share = config->compact_share;
		for (size_t i = 0; i < POOL_NAME_MAX - 1 && name[i]; i++)
			pool->name[i] = name[i];
		queue_suit(config);
		tag_set(tag, pool);
	}
	port_mutex_unlock(&runtime.registry);
	return pool;
}

/* Frees the objects of a zspage, and so the zspage. */
static void zspage_clear_out(struct zspage *zspage)
{
	u32 left = zspage->inuse;

	port_assert_held(zspage->class->lock);
	if (!left)
		zspage_die(&runtime.zspages, zspage);
	for (u32 slot = 0; left; slot++) {
		u32 index = zspage_handles(zspage)[slot];
		struct entry_stock stock = { .free = 1ULL << index % HANDLE_BLOCK,
					     .block = index / HANDLE_BLOCK };
		atomic64_t *entry = handle_entry_at(&runtime.handles, index);

		if (!zspage_slot_used(zspage, slot))
			continue;
		atomic64_set(entry, (s64)entry_make_dead((u64)atomic64_read(entry), 0));
		zspage_put(&runtime.zspages, zspage, (u8)slot);
		handles_put(&runtime.handles, stock);
		left--;
	}
}

/* Frees a zspage of a class, with the objects that are there. Returns false if there is none. */
static bool class_clear_out(struct size_class *class, u32 group)
{
	struct zspage *zspage;

	port_lock(class->lock);
	zspage = class->group[group];
	if (zspage)
		zspage_clear_out(zspage);
	port_unlock(class->lock);
	if (zspage)
		zspage_give_back(zspage);
	return zspage;
}

/**
 * pool_destroy() - free a pool and all that is in it.
 * @pool: the pool, which no thread uses any more
 *
 * Frees what is pending first. Objects that are still there go with the pool.
 *
 * Context: May sleep.
 */
void pool_destroy(struct zs_pool *pool)
{
	drain_flush();
	/* The worker compacts no pool now, and does not come to this one again. */
	port_mutex_lock(&runtime.registry);
	atomic64_fetch_andnot(1ULL << pool->tag % 64, &runtime.sparse[pool->tag / 64]);
	port_mutex_unlock(&runtime.registry);
	port_assert(!pool_fault(pool));
	for (u32 i = 0; i < pool->table->count; i++)
		for (u32 group = 0; pool_class(pool, i) && group <= ZS_FULL; group++)
			for (u32 done = 1; class_clear_out(&pool->class[i], group); done++)
				if (done % POOL_RUN == 0)
					cond_resched();
	port_mutex_lock(&runtime.registry);
	port_mutex_lock(&runtime.queue.drain); /* which looks up the pool of a tag */
	tag_set(pool->tag, NULL);
	port_mutex_unlock(&runtime.queue.drain);
	port_mutex_unlock(&runtime.registry);
	port_free(pool, pool_bytes(pool->table));
}
