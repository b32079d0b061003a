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
 *			birth and the death, the bitmap, the count, the links and the reverse map; and
 *			the entries of its objects: that they become live, where they point, that they
 *			die
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
 * A live entry says which zspage the object is in, and of which class that is; under the lock of that class the
 * entry is looked at again, and what it says then is true as long as the lock is held: of two frees one finds it
 * dead. An object whose entry is dead has a slot no more when the lock is released; but for those that host
 * chunks of the deferred queue, whose zspages are pinned.
 */
#include "pool.h"

_Static_assert(ZSPAGE_NUMBER_BITS <= ENTRY_ZSPAGE_BITS && ZS_STEPS_SHIFT <= ENTRY_CLASS_BITS &&
		       ZS_MAX_SLOTS <= 1U << ENTRY_SLOT_BITS && ENTRY_GEN_SHIFT + 16 == 64,
	       "an entry has room for any zspage, class and slot, and 16 bits of generation");

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

/*
 * Whether an object may host a chunk of the deferred queue. A chunk in one that is not small gets so many words that
 * one that may will be among them.
 */
static inline bool object_may_host(const struct size_class *class, unsigned long handle)
{
	return class->size < DEFERRED_HOST_SMALL || deferred_may_host(handle);
}

/* An object on its way to be free. */
struct object {
	struct size_class *class;
	struct zspage *zspage;
	atomic64_t *entry; /* of its handle */
	u64 word; /* what the entry was */
};

/*
 * Under the lock of an object's class: have its entry die, if it is what it was. As long as the lock is held nobody
 * but a producer of the deferred queue changes an entry that says that the object is there.
 */
static inline bool object_kill(struct zs_pool *pool, const struct object *object,
			       unsigned long handle)
{
	return object_may_host(object->class, handle) ?
		       entry_kill_shared(&pool->handles, object->entry, (u32)handle, object->word,
					 true) :
		       entry_kill(&pool->handles, object->entry, (u32)handle, object->word);
}

/*
 * Take the lock of an object's class and have its entry die: the object is the caller's alone. False, without the
 * lock, if the entry is not live.
 */
static inline bool claim(struct zs_pool *pool, unsigned long handle, struct object *object)
{
	object->entry = handle_entry(&pool->handles, handle);
	if (unlikely(!object->entry))
		return false;
	for (;;) {
		/* Pairs with handle_open(). */
		object->word = entry_word(&pool->handles, object->entry, (u32)handle);
		if (unlikely(!entry_is(object->word, handle)))
			return false;
		object->zspage = zspage_at(&pool->zspages, entry_zspage(object->word));
		object->class = entry_size_class(pool, object->word);
		prefetchw(object->zspage);
		port_lock(&object->class->lock);
		if (likely(object_kill(pool, object, handle)))
			return true;
		/* Compaction moved it, or another free won. */
		port_unlock(&object->class->lock);
	}
}

/* Under the class lock: free the slot of an object whose entry is dead. */
static inline enum zspage_left object_put(struct zs_pool *pool, const struct object *object)
{
	struct size_class *class = object->class;

	WRITE_ONCE(class->objects, class->objects - 1);
	return zspage_put(&pool->zspages, class, object->zspage, entry_zspage(object->word),
			  entry_slot(object->word));
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
 * pool_release() - give the memory of a zspage back that is dead, or not born.
 * @pool: the pool
 * @class: the zspage's class
 * @zspage: its number
 *
 * Context: Atomic; no lock of PORT_RANK_TABLE or behind is held.
 */
void pool_release(struct zs_pool *pool, const struct size_class *class, u32 zspage)
{
	pool_work_in(pool, zspage_release(&pool->zspages, class, zspage));
}

/*
 * Free the slot of an object that was claimed, and release the lock; its handle is left to the caller. Called, it would
 * have the object in memory, and not in registers, for each zs_free().
 */
static __always_inline void free_slot(struct zs_pool *pool, const struct object *object)
{
	enum zspage_left left = object_put(pool, object);

	port_unlock(&object->class->lock);
	if (likely(left == ZSPAGE_SOME))
		return;
	if (left == ZSPAGE_NONE)
		pool_release(pool, object->class, entry_zspage(object->word));
	else
		pool_notice(pool);
}

/* Free an object, leaving its handle to the caller. False after a misuse. */
static inline bool free_object(struct zs_pool *pool, unsigned long handle)
{
	struct object object;

	if (unlikely(!claim(pool, handle, &object))) {
		pool_bad_handle(pool, handle);
		return false;
	}
	free_slot(pool, &object);
	return true;
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
	if (!pool_check(pool, "zs_free() of no pool") || !handle || zs_is_err(handle))
		return;
	if (likely(free_object(pool, handle)))
		handle_put(&pool->handles, (u32)handle);
}

#define BATCH_AHEAD 32 /* objects whose entries are on their way */
#define BATCH_HOLD 256 /* objects freed under one hold of a class lock */

/* The entry's word of an object that is to be freed; 0 if there is none, telling of a misuse. */
static inline u64 batch_word(struct zs_pool *pool, const atomic64_t *entry, unsigned long handle)
{
	u64 word = likely(entry) ? entry_word(&pool->handles, entry, (u32)handle) : 0;

	if (likely(entry_is(word, handle)))
		return word;
	if (handle && !zs_is_err(handle))
		pool_bad_handle(pool, handle);
	return 0;
}

/* Put an object of the batch in a list. */
static inline void batch_link(struct free_batch *batch, u16 *first, u32 i)
{
	batch->next[i] = *first;
	*first = (u16)(i + 1);
}

/* Put an object of the batch in the list of its class. */
static inline void batch_class(struct free_batch *batch, u32 class, u32 i)
{
	if (unlikely(!batch->first[class]))
		batch->touched[batch->classes++] = (u16) class;
	batch_link(batch, &batch->first[class], i);
}

/*
 * Look where the objects are, and link those of each class, fetching ahead what the next looks and the next steps
 * will need.
 */
static void batch_look(struct zs_pool *pool, struct free_batch *batch, const unsigned long *handles,
		       unsigned int count)
{
	batch->classes = 0;
	for (u32 ahead = 0; ahead < count + BATCH_AHEAD; ahead++) {
		u32 i = ahead - BATCH_AHEAD;
		u64 word;

		if (likely(ahead < count)) {
			batch->entry[ahead] = handle_entry(&pool->handles, handles[ahead]);
			prefetchw(batch->entry[ahead]);
		}
		if (unlikely(ahead < BATCH_AHEAD))
			continue;
		word = batch_word(pool, batch->entry[i], handles[i]);
		batch->word[i] = word;
		if (unlikely(!word))
			continue;
		prefetchw(zspage_at(&pool->zspages, entry_zspage(word)));
		batch_class(batch, entry_class(word), i);
	}
}

/*
 * Under the class lock: free objects of the batch that are in one zspage, beginning with @next, at most *@hold, which
 * is told what is left of that; and count them together. What somebody has moved meanwhile, or freed, has gone
 * astray. Returns with which object to go on.
 */
static inline u32 batch_free_run(struct zs_pool *pool, struct free_batch *batch,
				 const unsigned long *handles, struct size_class *class, u32 next,
				 u32 *hold)
{
	u32 number = entry_zspage(batch->word[next - 1]);
	struct object object = {
		.class = class,
		.zspage = zspage_at(&pool->zspages, number),
	};
	enum zspage_left left;
	u32 count = 0;
	u8 last = 0;

	do {
		u32 i = next - 1;
		u8 slot;

		next = batch->next[i];
		object.entry = batch->entry[i];
		object.word = batch->word[i];
		--*hold;
		if (unlikely(!object_kill(pool, &object, handles[i]))) {
			batch_link(batch, &batch->astray, i);
			continue;
		}
		slot = entry_slot(object.word);
		zspage_clear(object.zspage, slot);
		last = slot > last ? slot : last;
		count++;
	} while (next && *hold && entry_zspage(batch->word[next - 1]) == number);
	if (unlikely(!count))
		return next;
	WRITE_ONCE(class->objects, class->objects - count);
	left = zspage_put_done(&pool->zspages, class, object.zspage, number, last, count);
	if (unlikely(left == ZSPAGE_NONE))
		batch->emptied[batch->empty++] = number;
	else if (unlikely(left == ZSPAGE_HALF))
		batch->half = true;
	return next;
}

/* Free a class's objects of the batch, many under one hold of its lock; release what is empty. */
static void batch_free_class(struct zs_pool *pool, struct free_batch *batch,
			     const unsigned long *handles, u32 number)
{
	struct size_class *class = &pool->classes.class[number];

	for (u32 next = batch->first[number]; next;) {
		u32 hold = BATCH_HOLD;

		port_lock(&class->lock);
		while (next && hold)
			next = batch_free_run(pool, batch, handles, class, next, &hold);
		port_unlock(&class->lock);
	}
	batch->first[number] = 0;
	if (batch->half)
		pool_notice(pool);
	batch->half = false;
	while (batch->empty)
		pool_release(pool, class, batch->emptied[--batch->empty]);
}

/* Look anew for those that are not where they were. */
static void batch_free_astray(struct zs_pool *pool, struct free_batch *batch,
			      const unsigned long *handles)
{
	for (u32 next = batch->astray; next; next = batch->next[next - 1])
		if (!free_object(pool, handles[next - 1]))
			batch->word[next - 1] = 0;
	batch->astray = 0;
}

/* Give the handles back: those of neighbours, which are of one block, at once. */
static void batch_put_handles(struct zs_pool *pool, const struct free_batch *batch,
			      const unsigned long *handles, unsigned int count)
{
	struct handle_stock stock = { .free = 0 };

	for (u32 i = 0; i < count; i++)
		if (likely(batch->word[i]))
			handles_put(&pool->handles, handle_stock_put(&stock, (u32)handles[i]));
	handles_put(&pool->handles, stock);
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
	batch_look(pool, batch, handles, count);
	for (u32 i = 0; i < batch->classes; i++) {
		if (i + 1 < batch->classes)
			prefetchw(&pool->classes.class[batch->touched[i + 1]]);
		batch_free_class(pool, batch, handles, batch->touched[i]);
	}
	batch_free_astray(pool, batch, handles);
	batch_put_handles(pool, batch, handles, count);
}

/* How much an object of a class can host with that is where its entry says; and from where on. */
static size_t host_bytes(const struct size_class *class, u64 word, size_t *offset)
{
	size_t bytes = class->size;

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
	struct size_class *class;
	struct zspage *zspage;
	size_t offset;

	*word = host_word(pool, handle);
	if (!*word)
		return NULL;
	zspage = zspage_at(&pool->zspages, entry_zspage(*word));
	if (!zspage_pin(zspage))
		return NULL;
	class = entry_size_class(pool, *word);
	/* Is it still there, now that it can't be moved? Pairs with handle_move(). */
	if (host_word(pool, handle) == *word && object_may_host(class, handle)) {
		*bytes = host_bytes(class, *word, &offset);
		*memory = port_chain_at(&zspage->chain, offset, *bytes);
		if (*bytes >= least && *memory)
			return zspage;
	}
	zspage_unpin(zspage);
	return NULL;
}

/*
 * The deferred queue asks for memory to live in: an object that is to be freed has some. Its entry
 * dies at once, so that a double free is noticed; the token is what it was.
 */
static void *pool_host(void *owner, unsigned long handle, size_t least, size_t *bytes, u64 *token)
{
	struct zs_pool *pool = owner;
	struct zspage *zspage;
	void *memory;

	zspage = host_pin(pool, handle, least, token, &memory, bytes);
	if (!zspage)
		return NULL;
	if (entry_kill_shared(&pool->handles, handle_entry_at(&pool->handles, (u32)handle),
			      (u32)handle, *token, false))
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
		/* Pairs with handle_move() and handle_open(): there is such a descriptor. */
		word = (u64)atomic64_read_acquire(entry);
		prefetchw(zspage_at(&pool->zspages, entry_zspage(word)));
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
	const struct size_class *class;
	size_t offset;

	if (!word)
		return 0;
	class = entry_size_class(pool, word);
	return object_may_host(class, handle) ? host_bytes(class, word, &offset) : 0;
}

static void pool_unhost(void *owner, unsigned long handle, u64 token)
{
	struct zs_pool *pool = owner;
	const struct object object = {
		.class = entry_size_class(pool, token),
		.zspage = zspage_at(&pool->zspages, entry_zspage(token)),
		.word = token,
	};

	port_lock(&object.class->lock);
	zspage_unpin(object.zspage); /* not before: compaction wants objects that are live */
	free_slot(pool, &object);
	/* Not by way of a lane, as those who drain store nothing, and are to have none. */
	handles_put(&pool->handles, handle_stock_of((u32)handle));
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
 * If the queue can't take the handle at once, because it is full or contended, or because no object at hand
 * can host it, this does what zs_free() does.
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
	if (needed)
		zspage_add(&pool->zspages, class, zspage);
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
		handle = handle_open(&pool->handles, index, class->index, zspage, slot);
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
