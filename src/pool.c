/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Pools; zs_malloc and zs_free.
 *
 * What protects what, in the order in which it may be taken:
 *
 *   drain mutex	deferred.drain: one drain at a time. Of the same rank, never together:
 *			handles.destock: one at a time takes stocks out of lanes
 *   chunks lock	deferred.chunks: what a drain has collected, from which its helpers take, too. A
 *			leaf. Helpers hold nothing else of the queue's, and free as anybody does
 *   pin		zspage.pins, an atomic count, no lock: its objects stay where they are.
 *			Nobody waits for a pin to go; who meets a frozen zspage waits for the class lock
 *   class lock		size_class.lock: the class's lists and counts; of each of its zspages the
 *			bitmap, the count, the links and the reverse map; making an entry live, and
 *			where a live entry points
 *   table locks	table.lock, handles.lock, zspages.lock: growth; free handle blocks; dead
 *			descriptors and blank pages of them. Leaves, but that page locks are taken
 *			under handles.lock
 *   page locks		handles.page_lock: what the fold of a page of entries has, and whether there is
 *			one. In a lane they are only tried
 *   page store		the host's; a leaf
 *   lanes		gate.busy, of the lanes of the queue and of the handles: only tried by whoever
 *			may not wait, and nothing is waited for in there; but who takes stocks out of
 *			lanes puts them back from there, under handles.lock
 *
 * Only one lock of each line is held at a time. Memory is allocated with no lock held, but for that
 * of a drain's helpers: port_alloc_extra(), under the drain mutex.
 *
 * An entry dies by one compare-and-exchange, claim(), which takes no lock but waits for the class lock if
 * compaction holds the entry: that, not a lock, decides which of two frees is the double one. (Only of a
 * page that is folded it is the page's lock.) From then on the object's slot belongs to the thread that made
 * the claim, until it clears the slot's bit under the class lock.
 */
#include "pool.h"

/**
 * pool_misuse() - tell of a wrong call, and end the process if the pool is made so.
 * @pool: the pool
 * @what: was done, in words
 * @handle: to which handle, 0 if none
 *
 * Context: Atomic; no lock but the drain mutex is held. In a process, writes to stderr.
 */
void pool_misuse(struct zs_pool *pool, const char *what, unsigned long handle)
{
	atomic64_add(1, &pool->misuses);
	port_misuse(pool->name, pool->misuse_is_fatal, what, handle);
}

/**
 * pool_check() - whether there is a pool, telling if there is none.
 * @pool: what the caller was given
 * @what: the misuse that its absence is
 *
 * Context: No lock is held.
 * Return: true if @pool is not NULL.
 */
bool pool_check(struct zs_pool *pool, const char *what)
{
	if (likely(pool))
		return true;
	port_misuse(NULL, port_misuse_is_fatal(), what, 0);
	return false;
}

/* What is wrong with a handle that names no live object of the pool. */
static const char *handle_fault(struct zs_pool *pool, unsigned long handle)
{
	const atomic64_t *entry = handle_entry(&pool->handles, handle);
	u64 word = entry ? entry_word(&pool->handles, entry, (u32)handle) : 0;

	if (!handle_is_ours(&pool->handles, handle))
		return "a handle that is not this pool's";
	if (!word)
		return "a handle that was never given out";
	if (entry_gen(word) == handle_gen(handle))
		return "a handle that is already free (double free or use after free)";
	return "a stale handle, whose object is long gone";
}

/**
 * pool_bad_handle() - tell of a handle that names no live object.
 * @pool: the pool that it was used with
 * @handle: the handle
 *
 * Context: As for pool_misuse().
 */
void pool_bad_handle(struct zs_pool *pool, unsigned long handle)
{
	pool_misuse(pool, handle_fault(pool, handle), handle);
}

static struct location location_of(u64 entry, unsigned long handle)
{
	return (struct location){
		.zspage = entry_zspage(entry),
		.index = (u32)handle,
		.slot = entry_slot(entry),
	};
}

/* Make the object's entry die, so that the object is the caller's alone. False if it is not live. */
static bool claim(struct zs_pool *pool, unsigned long handle, struct location *object)
{
	struct handles *handles = &pool->handles;
	atomic64_t *entry = handle_entry(handles, handle);
	u64 word;

	if (unlikely(!entry))
		return false;
	word = entry_word(handles, entry, (u32)handle);
	for (;;) {
		if (unlikely(!entry_is(word, handle))) {
			if (!entry_is_held(word, handle))
				return false;
			object_await(pool, word);
			word = entry_word(handles, entry, (u32)handle);
			continue;
		}
		/* If not, compaction moved or holds it, or another free won. */
		if (likely(entry_swap(handles, entry, (u32)handle, &word, word & ~ENTRY_LIVE)))
			break;
	}
	*object = location_of(word, handle);
	return true;
}

/* Under the class lock: free an object's slot. */
static inline enum zspage_left object_put(struct zs_pool *pool, struct size_class *class,
					  const struct location *object)
{
	enum zspage_left left = zspage_put(&pool->zspages, class, object->zspage, object->slot);

	WRITE_ONCE(class->objects, class->objects - 1);
	if (unlikely(left == ZSPAGE_NONE))
		WRITE_ONCE(class->zspages, class->zspages - 1);
	return left;
}

/* Have the worker run within so many milliseconds, or not if that is -1. */
static void pool_work_in(struct zs_pool *pool, int delay_ms)
{
	if (delay_ms >= 0)
		port_worker_kick(&pool->worker, (unsigned int)delay_ms);
}

#define SPARSE_DELAY_MS 100 /* until a pool looks whether it has become sparse */

/* A zspage is half empty: have the worker look whether the pool has become sparse. */
static void pool_notice(struct zs_pool *pool)
{
	if (pool->compact_share)
		pool_work_in(pool, SPARSE_DELAY_MS);
}

/**
 * pool_trim() - give free memory back to the system.
 * @pool: the pool
 * @all: all of it; otherwise some is kept for the near future
 *
 * Context: May sleep; no lock is held.
 */
void pool_trim(struct zs_pool *pool, bool all)
{
	handles_trim(&pool->handles);
	if (all && port_can_discard())
		descriptors_trim(&pool->zspages);
	pool_work_in(pool, port_store_trim(&pool->zspages.store, all));
}

/**
 * pool_release() - give the memory of an empty zspage back.
 * @pool: the pool
 * @class: the zspage's class
 * @zspage: its number; it is in no list
 *
 * Context: Atomic; no lock of PORT_RANK_TABLE or behind is held.
 */
void pool_release(struct zs_pool *pool, const struct size_class *class, u32 zspage)
{
	pool_work_in(pool, zspage_release(&pool->zspages, class, zspage));
}

/* Free the slot of an object that was claimed; its handle is left to the caller. */
static void free_slot(struct zs_pool *pool, const struct location *object)
{
	struct size_class *class =
		zspage_class(zspage_at(&pool->zspages, object->zspage), &pool->classes);
	enum zspage_left left;

	port_lock(&class->lock);
	left = object_put(pool, class, object);
	port_unlock(&class->lock);
	if (unlikely(left == ZSPAGE_NONE))
		pool_release(pool, class, object->zspage);
	else if (unlikely(left == ZSPAGE_HALF))
		pool_notice(pool);
}

/**
 * zs_free() - free an object.
 * @pool: the pool
 * @handle: what zs_malloc() returned; 0 and error values are ignored
 *
 * Context: Any, atomic too; takes the class lock, and for a moment a page lock if the entry is folded.
 */
void zs_free(struct zs_pool *pool, unsigned long handle)
{
	struct location object;

	if (!pool_check(pool, "zs_free() of no pool") || !handle || zs_is_err(handle))
		return;
	if (unlikely(!claim(pool, handle, &object))) {
		pool_bad_handle(pool, handle);
		return;
	}
	free_slot(pool, &object);
	handle_put(&pool->handles, object.index);
}

static void prefetch_entry(const struct zs_pool *pool, unsigned long handle)
{
	const atomic64_t *entry = handle_entry(&pool->handles, handle);

	if (likely(entry))
		prefetchw(entry);
}

#define BATCH_AHEAD 32 /* claims whose entries are on their way */
#define BATCH_HOLD 256 /* objects freed under one hold of a class lock */

/* Claim what can be claimed, fetching ahead what the next claims and the next step will need. */
static void batch_claim(struct zs_pool *pool, struct free_batch *batch,
			const unsigned long *handles, unsigned int count)
{
	batch->count = 0;
	for (unsigned int i = 0; i < count && i < BATCH_AHEAD; i++)
		prefetch_entry(pool, handles[i]);
	for (unsigned int i = 0; i < count; i++) {
		struct location *object = &batch->object[batch->count];

		if (i + BATCH_AHEAD < count)
			prefetch_entry(pool, handles[i + BATCH_AHEAD]);
		if (!handles[i] || zs_is_err(handles[i]))
			continue;
		if (unlikely(!claim(pool, handles[i], object))) {
			pool_bad_handle(pool, handles[i]);
			continue;
		}
		prefetchw(zspage_at(&pool->zspages, object->zspage));
		batch->count++;
	}
}

/* Link the objects of each class. */
static void batch_group(struct zs_pool *pool, struct free_batch *batch)
{
	batch->classes = 0;
	for (u32 i = batch->count; i-- > 0;) {
		const struct zspage *zspage = zspage_at(&pool->zspages, batch->object[i].zspage);
		u32 class = zspage->class - 1U;

		if (!batch->first[class])
			batch->touched[batch->classes++] = (u16) class;
		batch->next[i] = batch->first[class];
		batch->first[class] = (u16)(i + 1);
	}
}

/* Free a class's objects of the batch, many under one hold of its lock; release what is empty. */
static void batch_free_class(struct zs_pool *pool, struct free_batch *batch, u32 index)
{
	struct size_class *class = &pool->classes.class[index];
	u32 first = batch->first[index];
	u32 emptied = 0;
	bool half = false;

	for (u32 i = first; i;) {
		port_lock(&class->lock);
		for (u32 held = 0; i && held < BATCH_HOLD; held++, i = batch->next[i - 1]) {
			enum zspage_left left = object_put(pool, class, &batch->object[i - 1]);

			if (left == ZSPAGE_NONE)
				batch->emptied[emptied++] = batch->object[i - 1].zspage;
			half |= left == ZSPAGE_HALF;
		}
		port_unlock(&class->lock);
	}
	batch->first[index] = 0;
	if (half)
		pool_notice(pool);
	while (emptied)
		pool_release(pool, class, batch->emptied[--emptied]);
}

/* Give the handles back: those of neighbours, which are of one block, at once. */
static void batch_put_handles(struct zs_pool *pool, const struct free_batch *batch)
{
	struct handle_stock handles = { .free = 0 };

	for (u32 i = 0; i < batch->count; i++)
		handles_put(&pool->handles, handle_stock_put(&handles, batch->object[i].index));
	handles_put(&pool->handles, handles);
}

/**
 * pool_free_batch() - free many objects for less than one by one.
 * @pool: the pool
 * @batch: work space, zeroed when first used
 * @handles: the objects; 0 and error values are ignored
 * @count: how many, at most DEFERRED_BATCH
 *
 * Context: Atomic; takes one class lock at a time.
 */
void pool_free_batch(struct zs_pool *pool, struct free_batch *batch, const unsigned long *handles,
		     unsigned int count)
{
	batch_claim(pool, batch, handles, count);
	batch_group(pool, batch);
	for (u32 i = 0; i < batch->classes; i++)
		batch_free_class(pool, batch, batch->touched[i]);
	batch_put_handles(pool, batch);
}

/* How much an object can host with that is where its entry says, in a zspage of a class; and from where on. */
static size_t host_bytes(const struct zs_pool *pool, u32 class, u64 word, size_t *offset)
{
	size_t bytes = pool->classes.class[class - 1].size;

	*offset = entry_slot(word) * bytes;
	port_chain_piece(offset, &bytes);
	return bytes;
}

/* A live object's entry, for who may wait for no lock; 0 if there is none, or if that takes waiting. */
static u64 host_word(struct zs_pool *pool, unsigned long handle)
{
	struct handles *handles = &pool->handles;
	const atomic64_t *entry = handle_entry(handles, handle);
	/* Pairs with handle_open(). */
	u64 word = entry ? entry_look(handles, entry, (u32)handle, false) : 0;

	return entry_is(word, handle) ? word : 0;
}

/*
 * The memory of an object that may host a chunk of the deferred queue, its zspage pinned, so that
 * neither compaction nor the kernel moves it. *@word is its entry's. NULL if it can't.
 */
static struct zspage *host_pin(struct zs_pool *pool, unsigned long handle, size_t least, u64 *word,
			       void **memory, size_t *bytes)
{
	struct zspage *zspage;
	size_t offset;
	u32 class;

	*word = host_word(pool, handle);
	if (!*word)
		return NULL;
	zspage = zspage_at(&pool->zspages, entry_zspage(*word));
	if (!zspage_pin(zspage))
		return NULL;
	/*
	 * Is it still there, now that it can't be moved? Pairs with object_move(). Without a class, a
	 * double free has won.
	 */
	class = READ_ONCE(zspage->class);
	if (host_word(pool, handle) == *word && class) {
		*bytes = host_bytes(pool, class, *word, &offset);
		*memory = port_chain_at(&zspage->chain, offset, *bytes);
		if (*bytes >= least && *memory)
			return zspage;
	}
	zspage_unpin(zspage);
	return NULL;
}

/*
 * The deferred queue asks for memory to live in: an object that is to be freed has some. Its entry
 * dies at once, so that a double free is noticed and compaction leaves it; the token is what it was.
 */
static void *pool_host(void *owner, unsigned long handle, size_t least, size_t *bytes, u64 *token)
{
	struct zs_pool *pool = owner;
	struct zspage *zspage;
	void *memory;
	u64 word;

	zspage = host_pin(pool, handle, least, token, &memory, bytes);
	if (!zspage)
		return NULL;
	word = *token;
	if (entry_change(&pool->handles, handle_entry_at(&pool->handles, (u32)handle), (u32)handle,
			 &word, word & ~ENTRY_LIVE, false))
		return memory;
	zspage_unpin(zspage);
	return NULL;
}

/* What pool_host() will touch, in the order in which one leads to the next. */
static void pool_fetch(void *owner, unsigned long handle, unsigned int step)
{
	struct zs_pool *pool = owner;
	const atomic64_t *entry = handle_entry(&pool->handles, handle);
	struct zspage *zspage;
	void *memory;
	size_t bytes;
	u64 word;

	if (!entry)
		return;
	switch (step) {
	case 0:
		prefetchw(entry);
		break;
	case 1:
		prefetchw(zspage_at(&pool->zspages, entry_zspage((u64)atomic64_read(entry))));
		break;
	default:
		zspage = host_pin(pool, handle, DEFERRED_HOST_BYTES, &word, &memory, &bytes);
		if (!zspage)
			break;
		for (size_t i = 0; i < DEFERRED_STRIDE; i += PORT_CACHELINE)
			prefetchw((char *)memory + i);
		zspage_unpin(zspage);
	}
}

/* A look at what has been fetched; what it finds may be true no more. */
static size_t pool_weigh(void *owner, unsigned long handle)
{
	struct zs_pool *pool = owner;
	u64 word = host_word(pool, handle);
	size_t offset;
	u32 class;

	if (!word)
		return 0;
	class = READ_ONCE(zspage_at(&pool->zspages, entry_zspage(word))->class);
	return class ? host_bytes(pool, class, word, &offset) : 0;
}

static void pool_unhost(void *owner, unsigned long handle, u64 token)
{
	struct zs_pool *pool = owner;
	struct location object = location_of(token, handle);

	zspage_unpin(zspage_at(&pool->zspages, object.zspage));
	free_slot(pool, &object);
	/* Not by way of a lane, as those who drain store nothing, and are to have none. */
	handles_put(&pool->handles, handle_stock_of(object.index));
}

static void pool_drain_batch(void *owner, void *work, const unsigned long *handles,
			     unsigned int count)
{
	pool_free_batch(owner, work, handles, count);
}

static void pool_wake(void *owner, unsigned int delay_ms)
{
	struct zs_pool *pool = owner;

	port_worker_kick(&pool->worker, delay_ms);
}

static const struct deferred_ops pool_deferred_ops = {
	.host = pool_host,
	.fetch = pool_fetch,
	.weigh = pool_weigh,
	.unhost = pool_unhost,
	.free = pool_drain_batch,
	.work_bytes = sizeof(struct free_batch),
	.wake = pool_wake,
};

/* Not as fast as can be, or not at all. */
static noinline void free_deferred(struct zs_pool *pool, unsigned long handle)
{
	if (!deferred_is_word(&pool->deferred, handle) ||
	    deferred_put(&pool->deferred, handle) != DEFERRED_QUEUED)
		zs_free(pool, handle);
}

/**
 * zs_free_deferred() - have an object freed soon, and return at once.
 * @pool: the pool
 * @handle: what zs_malloc() returned; 0 and error values are ignored
 *
 * The handle is dead for the caller when this returns; the object's memory is the pool's again at
 * the latest when a later zs_free_deferred_flush() returns. Another use of the handle before the
 * drain comes to it may go unnoticed; another free is noticed by the drain.
 *
 * If the queue can't take the handle at once, because it is full or contended or the objects are too
 * small for it to live in, this does what zs_free() does.
 *
 * Context: Any, atomic too, and under any lock of the caller's. Allocates nothing and waits for
 * nothing; a fallback does what zs_free() does.
 */
void zs_free_deferred(struct zs_pool *pool, unsigned long handle)
{
	if (!pool_check(pool, "zs_free_deferred() of no pool"))
		return;
	/* Its tag is what a pool's handles have in common; neither 0 nor an error value has it. */
	if (unlikely(!deferred_put_fast(&pool->deferred, handle)))
		free_deferred(pool, handle);
}

/**
 * zs_free_deferred_flush() - wait until all deferred frees are done.
 * @pool: the pool
 *
 * On return every handle that was queued before the call is free. Other threads may go on queueing
 * meanwhile.
 *
 * Context: May sleep.
 */
void zs_free_deferred_flush(struct zs_pool *pool)
{
	if (pool_check(pool, "zs_free_deferred_flush() of no pool"))
		deferred_flush(&pool->deferred);
}

/* Get the class a zspage. */
static int class_get_zspage(struct zs_pool *pool, struct size_class *class, gfp_t flags, int nid)
{
	u32 zspage = zspage_create(&pool->zspages, class, flags, nid);
	bool needed;

	if (!zspage)
		return -ENOMEM;
	port_lock(&class->lock);
	needed = !class_partial(class);
	if (needed) {
		WRITE_ONCE(class->zspages, class->zspages + 1);
		zspage_list(&pool->zspages, class, zspage);
	}
	port_unlock(&class->lock);
	if (!needed) /* another thread was faster */
		pool_release(pool, class, zspage);
	return 0;
}

/* There is no memory: free what waits to be freed, and what others have in stock. True if that may have helped. */
static bool pool_relieve(struct zs_pool *pool, gfp_t flags)
{
	u64 freed = deferred_pending(&pool->deferred);
	bool stocked = false;

	if (port_may_sleep(flags)) {
		deferred_flush(&pool->deferred);
		stocked = handles_destock(&pool->handles);
	} else {
		deferred_try_drain(&pool->deferred, DRAIN_SOME, &freed);
	}
	return freed || stocked;
}

/* A call that may not wait found nothing: have the worker see to it that the next one does. */
static void pool_starve(struct zs_pool *pool, const struct size_class *class)
{
	atomic_xchg(&pool->starved, (int)class->index + 1);
	port_worker_kick(&pool->worker, 0);
}

/* Put an object in a zspage that has room. 0 if there is none. */
static unsigned long object_take(struct zs_pool *pool, struct size_class *class, u32 index)
{
	unsigned long handle = 0;
	u32 zspage;

	port_lock(&class->lock);
	zspage = class_partial(class);
	if (likely(zspage)) {
		u8 slot = zspage_take(&pool->zspages, class, zspage, index);

		WRITE_ONCE(class->objects, class->objects + 1);
		handle = handle_open(&pool->handles, index, zspage, slot);
	}
	port_unlock(&class->lock);
	return handle;
}

/**
 * zs_malloc() - make room for an object.
 * @pool: the pool
 * @size: of the object, bytes
 * @flags: GFP_KERNEL, or GFP_NOWAIT to make no system call that can block
 * @nid: the NUMA node to prefer, or NUMA_NO_NODE
 *
 * The object's contents are undefined until zs_obj_write().
 *
 * @nid matters when the object needs a new zspage; one that has room is used whatever its node, and
 * compaction moves objects from node to node. A node that there is not, or has no memory left, is no
 * preference.
 *
 * Context: Sleeps if @flags allow it; takes the class lock.
 * Return: a handle, or a negative errno cast to unsigned long: -EINVAL if @size is 0, -ENOSPC if it
 * is above the page size, -ENOMEM if there is no memory, even after draining the deferred queue. A
 * call that may not sleep drains about a batch of it, and nothing if a drain is under way.
 */
unsigned long zs_malloc(struct zs_pool *pool, size_t size, gfp_t flags, const int nid)
{
	struct size_class *class;
	bool relieved = false;
	u32 index = 0;

	if (!pool_check(pool, "zs_malloc() of no pool") || unlikely(!size))
		return (unsigned long)-EINVAL;
	if (unlikely(size > PORT_PAGE_SIZE))
		return (unsigned long)-ENOSPC;
	class = class_for(&pool->classes, size);
	for (;;) {
		unsigned long handle = 0;

		if (!index)
			index = handle_get(&pool->handles, flags);
		if (likely(index))
			handle = object_take(pool, class, index);
		if (likely(handle))
			return handle;
		if (index && !class_get_zspage(pool, class, flags, nid))
			continue;
		if (relieved || !pool_relieve(pool, flags))
			break;
		relieved = true;
	}
	if (index)
		handle_put(&pool->handles, index);
	if (!port_may_sleep(flags))
		pool_starve(pool, class);
	return (unsigned long)-ENOMEM;
}

/**
 * zs_huge_class_size() - from which size on an object takes a whole page.
 * @pool: the pool
 *
 * Context: Any.
 * Return: the smallest such size, bytes.
 */
size_t zs_huge_class_size(struct zs_pool *pool)
{
	if (!pool_check(pool, "zs_huge_class_size() of no pool"))
		return 0;
	return pool->classes.class[pool->classes.count - 2].size + 1UL;
}

/**
 * zs_get_total_pages() - how many pages the pool's zspages hold.
 * @pool: the pool
 *
 * In a process those behind the last object of a zspage don't count: they take no memory until they are
 * written, or are free memory that the pool keeps until it is compacted.
 *
 * Context: Any.
 * Return: the number.
 */
unsigned long zs_get_total_pages(struct zs_pool *pool)
{
	if (!pool_check(pool, "zs_get_total_pages() of no pool"))
		return 0;
	return (unsigned long)atomic64_read(&pool->zspages.pages);
}

/**
 * zs_lookup_class_index() - the size class for objects of a size.
 * @pool: the pool
 * @size: bytes, 1 to the page size
 *
 * Context: Any.
 * Return: the index of the class; that of the largest for a @size above the page size.
 */
unsigned int zs_lookup_class_index(struct zs_pool *pool, unsigned int size)
{
	if (!pool_check(pool, "zs_lookup_class_index() of no pool"))
		return 0;
	return class_for(&pool->classes, size < PORT_PAGE_SIZE ? size : PORT_PAGE_SIZE)->index;
}

/* Have memory at hand for the next GFP_NOWAIT, after one that found none. */
static void pool_restock(struct zs_pool *pool)
{
	u32 index = (u32)atomic_xchg(&pool->starved, 0);
	struct handle_stock handles;

	if (!index)
		return;
	if (handles_refill(&pool->handles, &handles, GFP_KERNEL))
		handles_destock(&pool->handles);
	else
		handles_put(&pool->handles, handles);
	class_get_zspage(pool, &pool->classes.class[index - 1], GFP_KERNEL, NUMA_NO_NODE);
}

#define WORK_RETRY_MS 1 /* until a drain that another thread is doing is over */

/* The worker: drain, move together what that left, then give back what became free. */
static void pool_work(void *arg)
{
	struct zs_pool *pool = arg;
	u64 drained;

	/* What another drain leaves is ours. */
	if (!deferred_try_drain(&pool->deferred, DRAIN_POLITELY, &drained))
		port_worker_kick(&pool->worker, WORK_RETRY_MS);
	pool_restock(pool);
	pool_work_in(pool, pool_compact_some(pool));
	pool_trim(pool,
		  !atomic64_read(&pool->zspages.pages)); /* a pool that is empty keeps nothing */
}

/* The parts of a pool, each of which undoes what it did if it fails. */
static int pool_init(struct zs_pool *pool, const struct pool_config *config)
{
	if (classes_init(&pool->classes, config->max_chain))
		goto no_classes;
	if (handles_init(&pool->handles))
		goto no_handles;
	if (zspages_init(&pool->zspages))
		goto no_zspages;
	if (deferred_init(&pool->deferred, &pool_deferred_ops, pool, pool->handles.tag,
			  config->capacity, config->delay_ms, config->drain_workers))
		goto no_deferred;
	if (port_worker_init(&pool->worker, pool_work, pool))
		goto no_worker;
	return 0;

no_worker:
	deferred_destroy(&pool->deferred);
no_deferred:
	zspages_destroy(&pool->zspages, &pool->classes);
no_zspages:
	handles_destroy(&pool->handles);
no_handles:
	classes_destroy(&pool->classes);
no_classes:
	return -ENOMEM;
}

/**
 * pool_create() - make a pool.
 * @name: a name for statistics and messages; cut after POOL_NAME_MAX - 1 bytes
 * @config: how it is made, checked by the caller
 *
 * Context: May sleep.
 * Return: the pool, or NULL if there is no memory.
 */
struct zs_pool *pool_create(const char *name, const struct pool_config *config)
{
	struct zs_pool *pool = port_alloc(sizeof(*pool), GFP_KERNEL);

	if (!pool)
		return NULL;
	for (size_t i = 0; i < POOL_NAME_MAX - 1 && name[i]; i++)
		pool->name[i] = name[i];
	pool->misuse_is_fatal = config->misuse_is_fatal;
	pool->compact_share = config->compact_share;
	if (pool_init(pool, config)) {
		port_free(pool, sizeof(*pool));
		return NULL;
	}
	return pool;
}

/**
 * pool_destroy() - free a pool and all that is in it.
 * @pool: the pool, which nobody else uses any more
 *
 * Pending deferred frees are done first. Objects that are still there go with the pool.
 *
 * Context: May sleep.
 */
void pool_destroy(struct zs_pool *pool)
{
	deferred_flush(&pool->deferred);
	port_worker_stop(&pool->worker);
	deferred_destroy(&pool->deferred);
	zspages_destroy(&pool->zspages, &pool->classes);
	handles_destroy(&pool->handles);
	classes_destroy(&pool->classes);
	port_free(pool, sizeof(*pool));
}
