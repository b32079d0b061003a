/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Folding: what becomes of entries that are few among many dead ones.
 *
 * A handle says where its entry is, so entries can't be moved together as objects can: after most of a
 * pool's objects have been freed at random each page of entries has some live ones. Such a page is folded:
 * its live entries go to a list of their own, the fold, where they are found by their index, and the page is
 * discarded. There its entries read as 0, which no entry is that was ever live: who finds that, and nobody else,
 * looks whether the page is folded. When free entries are wanted the page is unfolded again.
 *
 * The generations of dead entries are lost with the page. The fold keeps the latest of them, from which all
 * go on.
 *
 * Concurrency. Folds are made, found and unmade under handles.lock. What is in one, and that a page has one,
 * changes under the lock of the page, one of a few that pages share. An entry is used without these locks as
 * long as it is not 0 where it should be: that is true, whatever a fold has. Who finds 0 asks under the page's lock
 * what it is.
 *
 * Folding a page takes each live entry by a compare-and-exchange for 0. Who has the lock of an object's class
 * lets its entry die by a plain store, which may come just after that. So what was taken is looked at again when
 * every class lock has been free since: an entry that is not 0 by then has died. Whoever came later has found 0.
 * Only then is the page discarded.
 *
 * A page is folded only if each of its entries is live, or free and in no stock: then nobody makes one live
 * meanwhile, and no dead one is still looked at (one that hosts a chunk of the deferred queue is). An entry
 * that is freed while its page is folded may come into a stock, but is not given out from there:
 * lane_restock(), which is behind a full fence.
 */
#include "handle.h"

#define FOLD_MOST 4 /* a page is folded if at most one in so many entries is live */
#define FOLD_GENERATIONS 0xf000 /* beyond, going on with a later one might meet those that were */

struct fold {
	u32 page;
	u32 next; /* page that is folded */
	struct fold *spent; /* the next one that is of no use any more */
	u16 gen; /* that dead entries go on from */
	u16 count;
	u16 room;
	u64 word[]; /* in the order of their indices, which follow behind the room */
};

static size_t fold_bytes(u32 room)
{
	return sizeof(struct fold) + room * (sizeof(u64) + sizeof(u16));
}

static u16 *fold_index(struct fold *fold)
{
	return (u16 *)(fold->word + fold->room);
}

/* The entries of a page. */
static u32 page_entries(void)
{
	return (u32)(PORT_PAGE_SIZE / sizeof(atomic64_t));
}

static struct fold **fold_of(const struct handles *handles, u32 page)
{
	return table_at(&handles->folds, page, sizeof(struct fold *));
}

/* Where an entry of a fold should be. */
static atomic64_t *fold_entry(const struct handles *handles, struct fold *fold, u32 at)
{
	return handle_entry_at(handles, fold->page * page_entries() + fold_index(fold)[at]);
}

static struct port_lock *page_lock(struct handles *handles, u32 page)
{
	return &handles->page_lock[page % HANDLE_PAGE_LOCKS];
}

/* Where the entry with an index in the page is, or would be. Under the page's lock. */
static u32 fold_find(struct fold *fold, u16 index)
{
	const u16 *indices = fold_index(fold);
	u32 from = 0, to = fold->count;

	while (from < to) {
		u32 middle = (from + to) / 2;

		if (indices[middle] < index)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static bool fold_has(struct fold *fold, u32 at, u16 index)
{
	return at < fold->count && fold_index(fold)[at] == index;
}

/* Put an entry at the end. Under the page's lock. */
static void fold_add(struct fold *fold, u16 index, u64 word)
{
	fold->word[fold->count] = word;
	fold_index(fold)[fold->count++] = index;
}

/* The word of an entry; dead, of a generation that was, if the fold has it not. Under the page's lock. */
static u64 fold_word(struct fold *fold, u16 index)
{
	u32 at = fold_find(fold, index);

	return fold_has(fold, at, index) ? fold->word[at] :
					   entry_make(fold->gen, 0, 0, 0) & ~ENTRY_LIVE;
}

static bool page_enter(struct port_lock *lock, bool wait)
{
	if (!wait)
		return port_trylock(lock);
	port_lock(lock);
	return true;
}

/**
 * handle_word_folded() - the word of an entry that is not live where it should be.
 * @handles: the pool's handles
 * @index: its index
 * @wait: for a lock, if need be
 *
 * Context: Any; takes the lock of a page.
 * Return: the word, wherever it is; 0 if there is none, or if that takes waiting.
 */
u64 handle_word_folded(struct handles *handles, u32 index, bool wait)
{
	u32 page = index / page_entries();
	struct port_lock *lock = page_lock(handles, page);
	struct fold *fold;
	u64 word;

	/* A table may have grown ahead: nobody was given such an entry. */
	if (page >= table_size(&handles->folds, sizeof(struct fold *)))
		return 0;
	/* Always, as what was 0 without it may have been on its way to a fold, or back from one. */
	if (!page_enter(lock, wait))
		return 0;
	fold = *fold_of(handles, page);
	word = fold ? fold_word(fold, (u16)(index % page_entries())) :
		      (u64)atomic64_read_acquire(handle_entry_at(handles, index));
	port_unlock(lock);
	return word;
}

/* Under the page's lock: change an entry of the fold, if it is @word. */
static bool fold_change(struct fold *fold, u16 index, u64 word, u64 new)
{
	u32 at = fold_find(fold, index);

	if (!fold_has(fold, at, index) || fold->word[at] != word)
		return false;
	fold->word[at] = new;
	return true;
}

/**
 * handle_change_folded() - change a live entry that was 0 where it should be.
 * @handles: the pool's handles
 * @index: its index
 * @word: what it is expected to be
 * @new: what it is to be
 * @wait: for a lock, if need be
 *
 * Context: As for entry_kill_shared(); takes the lock of a page.
 * Return: whether it was as expected, and was changed. False, too, if that takes waiting.
 */
bool handle_change_folded(struct handles *handles, u32 index, u64 word, u64 new, bool wait)
{
	u32 page = index / page_entries();
	struct port_lock *lock = page_lock(handles, page);
	struct fold *fold;
	bool changed;

	if (!page_enter(lock, wait))
		return false;
	fold = *fold_of(handles, page);
	/* Full order: whoever reads it with an acquire sees what it points to. */
	changed = fold ? fold_change(fold, (u16)(index % page_entries()), word, new) :
			 (u64)atomic64_cmpxchg(handle_entry_at(handles, index), word, new) == word;
	port_unlock(lock);
	return changed;
}

/* Under handles.lock: whether the free entries of a page can be had; or could, if there were any. */
static void page_close(struct handles *handles, u32 page, bool closed)
{
	u32 first = page * (page_entries() / HANDLE_BLOCK);

	for (u32 number = first; number < first + page_entries() / HANDLE_BLOCK; number++) {
		struct handle_block *block = handle_block_at(handles, number);

		/* Pairs with the acquire in lane_restock(): the entries are what they are by then. */
		smp_store_release(&block->folded, closed);
		if (!closed)
			handle_block_list(handles, number);
	}
}

/* Under handles.lock: how many of a page's entries are free. Others may become so. */
static u32 page_free(const struct handles *handles, u32 page)
{
	u32 first = page * (page_entries() / HANDLE_BLOCK);
	u32 free = 0;

	for (u32 number = first; number < first + page_entries() / HANDLE_BLOCK; number++)
		/* Pairs with the release in handles_put(): what was freed is done with. */
		free += hweight64(
			(u64)atomic64_read_acquire(&handle_block_at(handles, number)->free));
	return free;
}

/* Take an entry to the fold, if it is live. False if there is no room, or it has changed just now. */
static bool entry_take(struct fold *fold, u16 index, atomic64_t *entry)
{
	u64 word = (u64)atomic64_read(entry);

	if (entry_gen(word) > fold->gen)
		fold->gen = entry_gen(word);
	if (!(word & ENTRY_LIVE))
		return true;
	if (fold->count == fold->room || (u64)atomic64_cmpxchg(entry, word, 0) != word)
		return false;
	fold_add(fold, index, word);
	return true;
}

/*
 * Have the entries that were taken where they should be again, but for those that died just when they were taken:
 * they are not 0. Under the page's lock.
 */
static void fold_undo(const struct handles *handles, struct fold *fold)
{
	for (u32 i = 0; i < fold->count; i++)
		/* Full order: pairs with the acquire in entry_look(). */
		atomic64_cmpxchg(fold_entry(handles, fold, i), 0, fold->word[i]);
}

/*
 * Take all live entries of a page, so that none is left there but free ones. False, with nothing changed, if that
 * can't be. Under handles.lock, the page closed.
 */
static bool page_take(struct handles *handles, struct fold *fold)
{
	u32 free = page_free(handles,
			     fold->page); /* first: one that becomes free now does not count */
	struct port_lock *lock = page_lock(handles, fold->page);
	bool taken = true;

	port_lock(lock);
	for (u32 i = 0; i < page_entries() && taken; i++)
		taken = entry_take(fold, (u16)i,
				   handle_entry_at(handles, fold->page * page_entries() + i));
	taken = taken && fold->count + free == page_entries() && fold->gen < FOLD_GENERATIONS;
	if (taken)
		WRITE_ONCE(*fold_of(handles, fold->page), fold);
	else
		fold_undo(handles, fold);
	port_unlock(lock);
	return taken;
}

/* Close a page and take its live entries; or do neither. Under handles.lock. */
static bool page_closed_take(struct handles *handles, struct fold *fold)
{
	page_close(handles, fold->page, true);
	if (page_take(handles, fold))
		return true;
	page_close(handles, fold->page, false);
	return false;
}

/* The live entries of a page, about. */
static u32 page_live(const struct handles *handles, u32 page)
{
	u32 live = 0;

	for (u32 i = 0; i < page_entries(); i++)
		live += atomic64_read(handle_entry_at(handles, page * page_entries() + i)) & 1;
	return live;
}

/* Fold a page, if that is worth while and can be. True if it is, for page_settle(). */
static bool page_fold(struct handles *handles, u32 page)
{
	struct fold *fold;
	bool folded;
	u32 room;

	if (READ_ONCE(*fold_of(handles, page)))
		return false;
	room = page_live(handles, page);
	if (room > page_entries() / FOLD_MOST)
		return false;
	fold = port_alloc(fold_bytes(room), GFP_KERNEL);
	if (!fold)
		return false;
	fold->page = page;
	fold->room = (u16)room;
	port_lock(&handles->lock);
	folded = !*fold_of(handles, page) && page_closed_take(handles, fold);
	port_unlock(&handles->lock);
	if (!folded)
		port_free(fold, fold_bytes(room));
	return folded;
}

/*
 * Nobody is at work any more who was when the page's entries were taken: what is not 0 there died just then, and is
 * dead in the fold from now on. The page is to be discarded.
 */
static void page_settle(struct handles *handles, u32 page)
{
	struct port_lock *lock = page_lock(handles, page);
	struct fold *fold;

	port_lock(lock);
	fold = *fold_of(handles, page);
	for (u32 i = 0; i < fold->count; i++) {
		u64 word = (u64)atomic64_read(fold_entry(handles, fold, i));

		if (word)
			fold->word[i] = word;
	}
	port_unlock(lock);
}

/*
 * Fold the pages of a chunk of the table, discard them, and only then let them be unfolded. @settle as for
 * handles_fold().
 */
static void chunk_fold(struct handles *handles, u32 first, u32 end, void (*settle)(void *arg),
		       void *arg)
{
	u32 pages = (u32)(PORT_CHUNK_SIZE / PORT_PAGE_SIZE);
	u64 folded = 0;

	for (u32 i = 0; i < pages && first + i < end; i++)
		/* The first page has the block that is not used. */
		if (first + i && page_fold(handles, first + i))
			folded |= 1ULL << i;
	if (!folded)
		return;
	settle(arg);
	for (u64 left = folded; left; left &= left - 1)
		page_settle(handles, first + __ffs64(left));
	for (u32 i = 0, run; i < pages; i += run + 1) {
		for (run = 0; folded >> (i + run) & 1; run++)
			;
		if (run)
			port_discard(handle_entry_at(handles, (first + i) * page_entries()),
				     run * PORT_PAGE_SIZE);
	}
	port_lock(&handles->lock);
	for (; folded; folded &= folded - 1) {
		u32 page = first + __ffs64(folded);

		(*fold_of(handles, page))->next = handles->folded;
		handles->folded = page;
		handles->folded_pages++;
		handles->folded_bytes += fold_bytes((*fold_of(handles, page))->room);
	}
	port_unlock(&handles->lock);
	cond_resched();
}

/**
 * handles_trim() - free the folds that are of no use any more.
 * @handles: the pool's handles
 *
 * Context: May sleep; no lock of PORT_RANK_TABLE or behind is held.
 */
void handles_trim(struct handles *handles)
{
	struct fold *fold;

	if (!READ_ONCE(handles->spent)) /* a hint: what comes now is for the next time */
		return;
	port_lock(&handles->lock);
	fold = handles->spent;
	WRITE_ONCE(handles->spent, NULL);
	handles->folded_bytes -= handles->spent_bytes;
	handles->spent_bytes = 0;
	port_unlock(&handles->lock);
	while (fold) {
		struct fold *next = fold->spent;

		port_free(fold, fold_bytes(fold->room));
		fold = next;
	}
}

/**
 * handles_fold() - give the memory of entries back of which few are live.
 * @handles: the pool's handles
 * @settle: returns when each lock under which entries are changed has been free since it was called
 * @arg: for @settle
 *
 * Context: May sleep; no lock is held.
 */
void handles_fold(struct handles *handles, void (*settle)(void *arg), void *arg)
{
	u32 pages = (u32)(PORT_CHUNK_SIZE / PORT_PAGE_SIZE);
	u32 end;

	port_lock(&handles->lock);
	end = handles->next_block /
	      (page_entries() / HANDLE_BLOCK); /* but for the last one begun */
	port_unlock(&handles->lock);
	for (u32 first = 0; first < end; first += pages)
		chunk_fold(handles, first, end, settle, arg);
}

/**
 * handles_unfold() - have the free entries of a folded page.
 * @handles: the pool's handles
 *
 * Context: Under handles.lock.
 * Return: false if there is no such page.
 */
bool handles_unfold(struct handles *handles)
{
	u32 page = handles->folded;
	struct port_lock *lock = page_lock(handles, page);
	struct fold *fold;

	if (!page)
		return false;
	port_lock(lock);
	fold = *fold_of(handles, page);
	/* Each once, for it is true from then on. Pairs with the acquire in entry_look(). */
	for (u32 i = 0; i < page_entries(); i++)
		atomic64_set_release(handle_entry_at(handles, page * page_entries() + i),
				     fold_word(fold, (u16)i));
	WRITE_ONCE(*fold_of(handles, page), NULL);
	port_unlock(lock);

	handles->folded = fold->next;
	handles->folded_pages--;
	fold->spent = handles->spent;
	WRITE_ONCE(handles->spent, fold);
	handles->spent_bytes += fold_bytes(fold->room);
	page_close(handles, page, false);
	return true;
}

/* For handles_destroy(): nobody uses the handles any more. */
void folds_destroy(struct handles *handles)
{
	for (u32 page = handles->folded; page;) {
		struct fold *fold = *fold_of(handles, page);

		page = fold->next;
		port_free(fold, fold_bytes(fold->room));
	}
	handles_trim(handles);
}

/**
 * handles_bytes() - the memory that the handles of a pool take.
 * @handles: the pool's handles
 *
 * Context: Any; takes handles.lock.
 * Return: bytes.
 */
u64 handles_bytes(struct handles *handles)
{
	/* A table's elements of one byte are its bytes. */
	u64 bytes = table_size(&handles->entries, 1) + table_size(&handles->blocks, 1) +
		    table_size(&handles->folds, 1);

	port_lock(&handles->lock);
	bytes += handles->folded_bytes;
	bytes -= handles->folded_pages * PORT_PAGE_SIZE;
	port_unlock(&handles->lock);
	return bytes;
}
