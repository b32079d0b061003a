/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Freeing: one object, and many.
 *
 * The entry says which lock the object's class has. Under the lock a free looks at the entry again.
 * The entry cannot change until the lock is released. So of two frees exactly one kills the entry.
 * A batch looks at all entries first. Then it frees the objects of one lock under one hold of it.
 * It fetches ahead what the next steps need.
 */
#include "pool.h"

/* Gives back the memory of a zspage that is dead, or was never added. Context: no lock is held. */
void zspage_give_back(struct zspage *zspage)
{
	runtime_work_in(zspage_release(&runtime.zspages, zspage));
}

/*
 * Has the worker look whether a pool has become sparse: one of its zspages has become half empty.
 * - Any context; a class lock may be held.
 */
void compact_notice(struct zs_pool *pool)
{
	atomic64_t *word = &runtime.sparse[pool->tag / 64];
	u64 bit = 1ULL << pool->tag % 64;

	if (!pool->compact_share || (u64)atomic64_read(word) & bit ||
	    (u64)atomic64_fetch_or(bit, word) & bit)
		return;
	port_worker_kick(&runtime.worker, POOL_LOOK_MS);
}

/* Fetches the descriptor of the object of an entry. Only a hint: the descriptor may be gone. */
static inline void descriptor_fetch(u64 word)
{
	prefetchw(READ_ONCE(zspage_ref(&runtime.zspages, entry_zspage(word))->zspage));
}

/* Makes an entry dead. Returns false if it is not @word any more. */
static inline bool entry_kill(atomic64_t *entry, u64 word, const struct zspage *zspage)
{
	port_assert_held(class_lock_at(entry_lock(word)));
	if (unlikely((u64)atomic64_read(entry) != word))
		return false;
	atomic64_set(entry, entry_make_dead(word, zspage->class->tag));
	return true;
}

/* Frees the object of a name; the caller gives the entry back. Returns false if there is none. */
static __always_inline bool name_free(u64 name)
{
	atomic64_t *entry = handle_entry(&runtime.handles, name);
	enum zspage_left left;
	struct zspage *zspage;
	u64 word;

	if (unlikely(!entry))
		return false;
	for (;;) {
		struct port_lock *lock;

		word = (u64)atomic64_read_acquire(entry); /* pairs with handle_open() */
		if (unlikely(!entry_is(word, name)))
			return false;
		lock = class_lock_at(entry_lock(word));
		descriptor_fetch(word);
		port_lock(lock);
		/* Not a zspage if the entry has changed. */
		zspage = READ_ONCE(zspage_ref(&runtime.zspages, entry_zspage(word))->zspage);
		if (likely(entry_kill(entry, word, zspage)))
			break;
		port_unlock(lock); /* compaction moved it, or another free won */
	}
	left = zspage_put(&runtime.zspages, zspage, entry_slot(word));
	if (unlikely(left == ZSPAGE_HALF))
		compact_notice(zspage->class->pool);
	port_unlock(class_lock_at(entry_lock(word)));
	if (unlikely(left == ZSPAGE_NONE))
		zspage_give_back(zspage);
	return true;
}

/**
 * pool_free() - free an object.
 * @pool: the pool
 * @handle: from pool_malloc(); 0 and error values are ignored
 *
 * Context: Any but an interrupt or a signal handler; takes the class lock.
 */
void pool_free(struct zs_pool *pool, unsigned long handle)
{
	if (!pool_given(pool, "zs_free") || !handle || handle_is_err(handle))
		return;
	if (likely(pool_has_handle(pool, handle) && name_free(handle_name(handle))))
		handle_put(&runtime.handles, (u32)handle);
	else
		misuse_handle(pool, "zs_free", handle);
}

/* Queues a handle where that is not a matter of a few instructions, or frees it. */
noinline void pool_free_deferred_slow(struct zs_pool *pool, unsigned long handle)
{
	if (!pool_given(pool, "zs_free_deferred") || !handle || handle_is_err(handle))
		return;
	if (!pool_has_handle(pool, handle))
		misuse_handle(pool, "zs_free_deferred", handle);
	else if (queue_put(&runtime.queue, handle_name(handle)) != QUEUE_DONE)
		pool_free(pool, handle);
}

#define BATCH_AHEAD 32 /* names whose entries are on their way */
#define BATCH_HOLD 256 /* objects freed under one hold of a lock */

static inline void batch_link(struct free_batch *batch, u16 *first, u32 i)
{
	batch->next[i] = *first;
	*first = (u16)(i + 1);
}

/* Puts a name of the batch on the list of its lock. */
static inline void batch_sort(struct free_batch *batch, u32 i)
{
	u8 lock = entry_lock(batch->word[i]);

	if (unlikely(!batch->first[lock]))
		batch->touched[batch->locks++] = lock;
	batch_link(batch, &batch->first[lock], i);
}

/*
 * Tells of a name that is not that of a live object: as the pool's, which bulk frees have, or as
 * the drain's.
 */
static void batch_misuse(struct zs_pool *pool, u64 name)
{
	if (pool)
		misuse_handle(pool, "zs_free_bulk", handle_make(pool->tag, name));
	else
		misuse_name(name);
}

/* Looks at the entries of all names, and sorts those that are live by their lock. */
static void batch_look(struct free_batch *batch, u32 count, struct zs_pool *pool)
{
	batch->locks = 0;
	for (u32 ahead = 0; ahead < count + BATCH_AHEAD; ahead++) {
		u32 i = ahead - BATCH_AHEAD;
		u64 word;

		if (likely(ahead < count)) {
			batch->entry[ahead] = handle_entry(&runtime.handles, batch->name[ahead]);
			prefetchw(batch->entry[ahead]);
		}
		if (unlikely(ahead < BATCH_AHEAD))
			continue;
		/* Pairs with handle_open(). */
		word = batch->entry[i] ? (u64)atomic64_read_acquire(batch->entry[i]) : 0;
		batch->word[i] = entry_is(word, batch->name[i]) ? word : 0;
		if (likely(batch->word[i])) {
			descriptor_fetch(word);
			batch_sort(batch, i);
		} else {
			batch_misuse(pool, batch->name[i]);
		}
	}
}

/*
 * Frees names of the batch that are in one zspage, beginning with @next, at most *@hold, and counts
 * them together. A name whose entry changed meanwhile goes astray. Returns the name that comes
 * next.
 */
static inline u32 batch_free_run(struct free_batch *batch, u32 next, u32 *hold)
{
	u32 number = entry_zspage(batch->word[next - 1]);
	struct zspage *zspage = READ_ONCE(zspage_ref(&runtime.zspages, number)->zspage);
	enum zspage_left left;
	u32 count = 0;
	u8 last = 0;

	do {
		u32 i = next - 1;
		u8 slot = entry_slot(batch->word[i]);

		next = batch->next[i];
		--*hold;
		if (unlikely(!entry_kill(batch->entry[i], batch->word[i], zspage))) {
			batch_link(batch, &batch->astray, i);
			continue;
		}
		zspage_clear(zspage, slot);
		last = slot > last ? slot : last;
		count++;
	} while (next && *hold && entry_zspage(batch->word[next - 1]) == number);
	if (unlikely(!count))
		return next;
	left = zspage_put_done(&runtime.zspages, zspage, last, count);
	if (unlikely(left == ZSPAGE_NONE)) {
		zspage->next = batch->empty;
		batch->empty = zspage;
	} else if (unlikely(left == ZSPAGE_HALF)) {
		compact_notice(zspage->class->pool);
	}
	return next;
}

/* Frees the names of one lock, many under one hold of it. Releases zspages that are empty then. */
static void batch_free_lock(struct free_batch *batch, u8 number)
{
	struct port_lock *lock = class_lock_at(number);

	for (u32 next = batch->first[number]; next;) {
		u32 hold = BATCH_HOLD;

		port_lock(lock);
		while (next && hold)
			next = batch_free_run(batch, next, &hold);
		port_unlock(lock);
	}
	batch->first[number] = 0;
	while (batch->empty) {
		struct zspage *zspage = batch->empty;

		batch->empty = zspage->next;
		zspage_give_back(zspage);
	}
}

/* Gives the entries of freed names back: those of neighbours, which are of one block, at once. */
static void batch_put_handles(const struct free_batch *batch, u32 count)
{
	struct entry_stock stock = { .free = 0 };

	for (u32 i = 0; i < count; i++)
		if (likely(batch->word[i]))
			handles_put(&runtime.handles, stock_put(&stock, (u32)batch->name[i]));
	handles_put(&runtime.handles, stock);
}

/*
 * Frees the objects of the first @count names of a batch for less than one by one.
 * The batch is zeroed when first used. @pool has all the names; NULL: a drain does not know whose
 * they are.
 * - Atomic; takes one class lock at a time. Without a pool, under the drain mutex.
 */
void free_batch(struct free_batch *batch, u32 count, struct zs_pool *pool)
{
	batch_look(batch, count, pool);
	for (u32 i = 0; i < batch->locks; i++)
		batch_free_lock(batch, batch->touched[i]);
	for (u32 next = batch->astray; next; next = batch->next[next - 1]) {
		if (name_free(batch->name[next - 1]))
			continue;
		batch_misuse(pool, batch->name[next - 1]);
		batch->word[next - 1] = 0;
	}
	batch->astray = 0;
	batch_put_handles(batch, count);
	port_assert(!batch_fault(pool));
}
