/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The life of a zspage: see zspage.h. It is created empty. It takes and loses objects under its
 * class lock, and moves from list to list as it fills and empties. It is released when the last one
 * is gone.
 */
#include "zspage.h"

#define ZSPAGE_NUMBER_BITS 31

_Static_assert(offsetof(struct zspage, chain) == DESCRIPTOR_LINE &&
		       sizeof(struct descriptor_page) <= DESCRIPTOR_LINE,
	       "what a free needs is one cache line, and so is the head of a page of descriptors");

/* Returns 0 or -ENOMEM; then zspages_destroy() frees what was made. */
int zspages_init(struct zspages *zspages)
{
	port_store_init(&zspages->store);
	port_lock_init(&zspages->lock, PORT_RANK_TABLE);
	zspages->next_number = 1;
	return table_init(&zspages->refs, sizeof(struct zspage_ref), ZSPAGE_NUMBER_BITS);
}

/* Frees what all zspages shared; none is left. */
void zspages_destroy(struct zspages *zspages)
{
	for (u32 lines = 0; lines <= DESCRIPTOR_MAX_LINES; lines++)
		if (zspages->room[lines])
			port_page_free(&zspages->store, &zspages->room[lines]->page);
	port_store_destroy(&zspages->store);
	table_destroy(&zspages->refs);
}

/* Returns the first number that no zspage ever had. The refs of those before it can be read. */
u32 zspages_end(const struct zspages *zspages)
{
	return smp_load_acquire(&zspages->next_number); /* pairs with number_alloc() */
}

static u32 class_lines(const struct size_class *class)
{
	return (u32)DIV_ROUND_UP(descriptor_bytes(class->geometry), DESCRIPTOR_LINE);
}

static void room_add(struct zspages *zspages, u32 lines, struct descriptor_page *page)
{
	port_assert_held(&zspages->lock);
	page->prev = NULL;
	page->next = zspages->room[lines];
	if (page->next)
		page->next->prev = page;
	WRITE_ONCE(zspages->room[lines], page);
}

static void room_del(struct zspages *zspages, u32 lines, struct descriptor_page *page)
{
	port_assert_held(&zspages->lock);
	if (page->prev)
		page->prev->next = page->next;
	else
		WRITE_ONCE(zspages->room[lines], page->next);
	if (page->next)
		page->next->prev = page->prev;
}

/* Makes a page of descriptors. Returns NULL if there is no memory. */
static struct descriptor_page *descriptor_page_make(struct zspages *zspages, u32 lines, gfp_t flags)
{
	size_t bytes = lines * (size_t)DESCRIPTOR_LINE;
	struct descriptor_page *page;

	page = (struct descriptor_page *)port_page_alloc(&zspages->store, port_may_sleep(flags));
	for (size_t at = DESCRIPTOR_LINE; page && at + bytes <= PORT_PAGE_SIZE; at += bytes) {
		struct zspage *zspage = (struct zspage *)((char *)page + at);

		zspage->next = page->free;
		page->free = zspage;
	}
	return page;
}

static struct zspage *descriptor_alloc(struct zspages *zspages, u32 lines, gfp_t flags)
{
	struct descriptor_page *page, *fresh = NULL;
	struct zspage *zspage;

	if (!READ_ONCE(zspages->room[lines])) {
		fresh = descriptor_page_make(zspages, lines, flags);
		if (!fresh)
			return NULL;
	}
	port_lock(&zspages->lock);
	if (fresh)
		room_add(zspages, lines, fresh);
	page = zspages->room[lines];
	zspage = page ? page->free : NULL;
	if (zspage) {
		page->free = zspage->next;
		page->used++;
		if (!page->free)
			room_del(zspages, lines, page);
	}
	port_unlock(&zspages->lock);
	return zspage ? zspage : descriptor_alloc(zspages, lines, flags);
}

static void descriptor_free(struct zspages *zspages, u32 lines, struct zspage *zspage)
{
	struct descriptor_page *page = (void *)((uintptr_t)zspage & ~(PORT_PAGE_SIZE - 1));
	bool empty;

	port_lock(&zspages->lock);
	if (!page->free)
		room_add(zspages, lines, page);
	zspage->next = page->free;
	page->free = zspage;
	/* The last page with room stays, for the next zspage. */
	empty = !--page->used && (page->next || page->prev);
	if (empty)
		room_del(zspages, lines, page);
	port_unlock(&zspages->lock);
	if (empty)
		port_page_free(&zspages->store, &page->page);
}

/* Returns a number without a zspage, or 0 if there is no memory. */
static u32 number_alloc(struct zspages *zspages, gfp_t flags)
{
	for (;;) {
		u32 number;

		port_lock(&zspages->lock);
		number = zspages->free_number;
		if (number)
			zspages->free_number = zspage_ref(zspages, number)->next_free;
		else if (zspages->next_number <
			 table_size(&zspages->refs, sizeof(struct zspage_ref)))
			/* Pairs with zspages_end(): the table has the number. */
			smp_store_release(&zspages->next_number,
					  (number = zspages->next_number) + 1);
		port_unlock(&zspages->lock);
		if (number)
			return number;
		if (table_grow(&zspages->refs, flags))
			return 0;
	}
}

static void number_free(struct zspages *zspages, u32 number)
{
	port_lock(&zspages->lock);
	/* Late hints may still look at the ref. */
	WRITE_ONCE(zspage_ref(zspages, number)->next_free, zspages->free_number);
	zspages->free_number = number;
	port_unlock(&zspages->lock);
}

/*
 * Makes an empty zspage, for zspage_add() or zspage_release(). Returns NULL if there is no memory.
 * - Sleeps if @flags allow it; no lock of PORT_RANK_TABLE or behind is held.
 */
struct zspage *zspage_create(struct zspages *zspages, struct size_class *class, gfp_t flags,
			     int nid)
{
	u32 pages = class->geometry.pages;
	struct zspage *zspage = descriptor_alloc(zspages, class_lines(class), flags);

	if (!zspage)
		return NULL;
	zspage->number = number_alloc(zspages, flags);
	if (!zspage->number)
		goto no_number;
	if (!port_chain_alloc(&zspages->store, &zspage->chain, pages, flags, nid))
		goto no_chain;
	port_chain_name(&zspage->chain, pages, zspage->number);
	zspage->class = class;
	memset(zspage->used, 0, sizeof(zspage->used));
	zspage->inuse = 0;
	atomic64_add(class_held(class, 0), class->pages);
	return zspage;

no_chain:
	number_free(zspages, zspage->number);
no_number:
	descriptor_free(zspages, class_lines(class), zspage);
	return NULL;
}

/*
 * Gives a zspage's memory back that zspage_add() has not seen, or that is dead. Returns the
 * milliseconds within which the page store wants a trim, or -1 for none.
 * - Atomic; no lock of PORT_RANK_TABLE or behind is held.
 */
int zspage_release(struct zspages *zspages, struct zspage *zspage)
{
	struct size_class *class = zspage->class;
	int trim = port_chain_free(&zspages->store, &zspage->chain, class->geometry.pages);

	atomic64_sub(class_held(class, 0), class->pages);
	number_free(zspages, zspage->number);
	descriptor_free(zspages, class_lines(class), zspage);
	return trim;
}

/* Puts a zspage at the head of the list of its group. */
static void zspage_list(struct zspage *zspage)
{
	struct zspage **head = &zspage->class->group[class_group(zspage->class, zspage->inuse)];

	zspage->prev = NULL;
	zspage->next = *head;
	if (*head)
		(*head)->prev = zspage;
	*head = zspage;
}

/* Takes a zspage out of its list, before its inuse changes. */
static void zspage_unlist(struct zspage *zspage)
{
	if (zspage->prev)
		zspage->prev->next = zspage->next;
	else
		zspage->class->group[class_group(zspage->class, zspage->inuse)] = zspage->next;
	if (zspage->next)
		zspage->next->prev = zspage->prev;
}

/* Makes an empty zspage its class's. Under the class lock. */
void zspage_add(struct zspages *zspages, struct zspage *zspage)
{
	struct zspage_ref *ref = zspage_ref(zspages, zspage->number);
	struct size_class *class = zspage->class;

	port_assert_held(class->lock);
	port_assert(!ref->where);
	WRITE_ONCE(ref->zspage, zspage);
	WRITE_ONCE(class->zspages, class->zspages + 1);
	zspage_list(zspage);
	/* Pairs with the acquires of where: the ref's zspage is there. */
	smp_store_release(&ref->where, port_chain_base(&zspage->chain) |
					       (u64) class->lock_number << WHERE_LOCK_SHIFT |
					       (u64) class->index << WHERE_CLASS_SHIFT |
					       WHERE_LIVE);
}

/* Takes an empty zspage from its class, for zspage_release() once the class lock is released. */
void zspage_die(struct zspages *zspages, struct zspage *zspage)
{
	struct size_class *class = zspage->class;

	port_assert_held(class->lock);
	zspage_unlist(zspage);
	WRITE_ONCE(class->zspages, class->zspages - 1);
	WRITE_ONCE(zspage_ref(zspages, zspage->number)->where, 0);
}

/* Counts the pages that a zspage holds when its end has moved. */
static inline void class_hold(struct size_class *class, u32 from, u32 to)
{
	u64 more = (u64)class_held(class, to) - class_held(class, from);

	if (!more)
		return;
	class->held += more;
	atomic64_add(more, class->pages);
}

/* Changes the number of slots in use, and the list with it. */
static inline void zspage_count(struct zspage *zspage, u32 inuse)
{
	bool moves = class_group(zspage->class, zspage->inuse) != class_group(zspage->class, inuse);

	if (moves)
		zspage_unlist(zspage);
	zspage->inuse = (u16)inuse;
	if (moves)
		zspage_list(zspage);
}

/*
 * Uses the lowest free slot of a zspage that is not full, for the handle of an index. Returns the
 * slot.
 */
u8 zspage_take(struct zspage *zspage, u32 handle)
{
	struct size_class *class = zspage->class;
	u32 end = zspage_end(zspage);
	u32 word = 0, slot;

	port_assert_held(class->lock);
	port_assert(zspage->inuse < class->geometry.slots);
	while (zspage->used[word] == ~0ULL)
		word++;
	slot = word * 64 + __ffs64(~zspage->used[word]);
	zspage->used[word] |= 1ULL << slot % 64;
	if (slot >= end)
		class_hold(class, end, slot + 1);
	zspage_handles(zspage)[slot] = handle;
	zspage_count(zspage, zspage->inuse + 1U);
	WRITE_ONCE(class->objects, class->objects + 1);
	return (u8)slot;
}

/* Does what zspage_put_done() does when the end of the zspage or its place in a list changes. */
enum zspage_left zspage_put_slow(struct zspages *zspages, struct zspage *zspage, u8 last, u32 count)
{
	struct size_class *class = zspage->class;
	u32 from = class_group(class, zspage->inuse);
	u32 end = zspage_end(zspage);

	if (last >= end)
		class_hold(class, last + 1U, end);
	if (zspage->inuse == count) {
		zspage_die(zspages, zspage);
		return ZSPAGE_NONE;
	}
	zspage_count(zspage, zspage->inuse - count);
	return from >= ZS_GROUPS / 2 && class_group(class, zspage->inuse) < ZS_GROUPS / 2 ?
		       ZSPAGE_HALF :
		       ZSPAGE_SOME;
}
