/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Descriptors: where those of zspages come from, and how their memory goes back.
 *
 * A chunk of the table is cut into descriptors of one length. A page of it begins blank: it takes no
 * memory, and its descriptors are in no list. When one is wanted, a page's worth of them become dead
 * ones that can be had. A page whose descriptors are all dead again is discarded, and is blank from
 * then on. For pages to become like that, compaction has the zspages that are left live on in
 * descriptors of low numbers.
 *
 * Invariants, under zspages.lock: a descriptor is alive; or it has a part in a blank page; or it is in
 * the list of dead ones of its length. A chunk that has blank pages which are not busy is in the list
 * of those of its length.
 */
#include "zspage.h"

#define CHUNK_LINES ((u32)(PORT_CHUNK_SIZE / ZSPAGE_LINE))

static struct zspage_chunk *chunk_at(const struct zspages *zspages, u32 chunk)
{
	return table_at(&zspages->chunks, chunk, sizeof(struct zspage_chunk));
}

/* The chunks of lines that there are, with what is known of each. */
static u32 chunks_count(const struct zspages *zspages)
{
	u64 chunks = table_size(&zspages->lines, PORT_CHUNK_SIZE);
	u64 known = table_size(&zspages->chunks, sizeof(struct zspage_chunk));

	return (u32)(chunks < known ? chunks : known);
}

static u32 chunk_pages(void)
{
	return (u32)(PORT_CHUNK_SIZE / PORT_PAGE_SIZE);
}

/* The descriptors of a chunk of so long ones. Line 0 is none's, so that no number is 0. */
static u32 chunk_room(u32 lines)
{
	return (CHUNK_LINES - 1) / lines;
}

static u32 descriptor_number(u32 chunk, u32 lines, u32 index)
{
	return chunk * CHUNK_LINES + 1 + index * lines;
}

static u32 descriptor_index(u32 number, u32 lines)
{
	return (number % CHUNK_LINES - 1) / lines;
}

/* The pages in which a descriptor has a part, a bit each. */
static u32 descriptor_pages(u32 number, u32 lines)
{
	u32 first = (u32)(number % CHUNK_LINES * ZSPAGE_LINE >> PORT_PAGE_SHIFT);
	u32 last = (u32)((number % CHUNK_LINES + lines - 1) * ZSPAGE_LINE >> PORT_PAGE_SHIFT);

	return (2U << last) - (1U << first);
}

/* The first descriptor that has a part in a page, by its index in the chunk. */
static u32 page_first(u32 page, u32 lines)
{
	u32 line = (u32)(page * PORT_PAGE_SIZE / ZSPAGE_LINE);

	return line ? (line - 1) / lines : 0;
}

/* The one behind the last that has. */
static u32 page_end(u32 page, u32 lines)
{
	u32 end = DIV_ROUND_UP((u32)((page + 1) * PORT_PAGE_SIZE / ZSPAGE_LINE) - 1, lines);

	return end < chunk_room(lines) ? end : chunk_room(lines);
}

/* Under the lock. */
static void dead_add(struct zspages *zspages, u32 lines, u32 number)
{
	struct descriptors *of = &zspages->of[lines];
	struct zspage *zspage = zspage_at(zspages, number);

	zspage->prev = 0;
	zspage->next = of->dead;
	if (of->dead)
		zspage_at(zspages, of->dead)->prev = number;
	of->dead = number;
	of->idle++;
}

/* Under the lock. */
static void dead_del(struct zspages *zspages, u32 lines, u32 number)
{
	struct descriptors *of = &zspages->of[lines];
	const struct zspage *zspage = zspage_at(zspages, number);

	if (zspage->prev)
		zspage_at(zspages, zspage->prev)->next = zspage->next;
	else
		of->dead = zspage->next;
	if (zspage->next)
		zspage_at(zspages, zspage->next)->prev = zspage->prev;
	of->idle--;
}

/* Under the lock: the descriptors of a blank page can be had, lowest first. */
static void page_use(struct zspages *zspages, u32 chunk, u32 page)
{
	struct zspage_chunk *head = chunk_at(zspages, chunk);
	u32 first = page_first(page, head->lines);

	WRITE_ONCE(head->blank, head->blank & ~(1U << page));
	zspages->blank--;
	for (u32 index = page_end(page, head->lines); index-- > first;) {
		u32 number = descriptor_number(chunk, head->lines, index);

		if (!(descriptor_pages(number, head->lines) & head->blank))
			dead_add(zspages, head->lines, number);
	}
}

/* Under the lock: have some dead descriptors that can be had. False if the table must grow. */
static bool dead_refill(struct zspages *zspages, u32 lines)
{
	struct descriptors *of = &zspages->of[lines];

	while (!of->dead) {
		struct zspage_chunk *head;
		u32 pages;

		if (!of->blank)
			return false;
		head = chunk_at(zspages, of->blank - 1);
		pages = head->blank & ~head->busy;
		page_use(zspages, of->blank - 1, __ffs64(pages));
		if (!(pages & (pages - 1)))
			of->blank = head->next;
	}
	return true;
}

/* Under the lock: bring a dead descriptor to life. The pins of late readers stay in its count. */
static void descriptor_revive(struct zspages *zspages, u32 lines, u32 number)
{
	dead_del(zspages, lines, number);
	zspages->of[lines].alive++;
	/* Relaxed: who pins it has its number from an entry, or takes the pin back. */
	atomic_fetch_add_relaxed(ZSPAGE_ALIVE, &zspage_at(zspages, number)->pins);
}

/* Under the lock: pages of a chunk are blank now, and not busy. */
static void chunk_offer(struct zspages *zspages, u32 chunk, u32 pages)
{
	struct zspage_chunk *head = chunk_at(zspages, chunk);
	struct descriptors *of = &zspages->of[head->lines];

	if (!(head->blank & ~head->busy & ~pages)) {
		head->next = of->blank;
		of->blank = chunk + 1;
	}
}

static int descriptors_grow(struct zspages *zspages, u32 lines, gfp_t flags)
{
	struct zspage_chunk *head;
	u32 chunk, wanted, more;

	port_lock(&zspages->lock);
	wanted = ++zspages->wanted;
	port_unlock(&zspages->lock);
	/*
	 * First the room to say how the chunk is cut, and that of all who grow the table meanwhile:
	 * without it a chunk would be lost.
	 */
	while (table_size(&zspages->chunks, sizeof(*head)) < wanted)
		if (table_grow(&zspages->chunks, flags, &more))
			goto no_memory;
	if (table_grow(&zspages->lines, flags, &chunk))
		goto no_memory;
	head = chunk_at(zspages, chunk);
	port_lock(&zspages->lock);
	WRITE_ONCE(head->blank, (2U << (chunk_pages() - 1)) - 1);
	zspages->blank += chunk_pages();
	WRITE_ONCE(head->lines, lines);
	chunk_offer(zspages, chunk, head->blank);
	port_unlock(&zspages->lock);
	return 0;

no_memory:
	port_lock(&zspages->lock);
	zspages->wanted--;
	port_unlock(&zspages->lock);
	return -ENOMEM;
}

/**
 * descriptor_alloc() - have a descriptor for a new zspage.
 * @zspages: the pool's zspages
 * @lines: its length
 * @flags: how far to go for memory
 *
 * Context: Sleeps if @flags allow it; no lock of PORT_RANK_TABLE or behind is held.
 * Return: its number, or 0 if there is no memory.
 */
u32 descriptor_alloc(struct zspages *zspages, u32 lines, gfp_t flags)
{
	for (;;) {
		u32 number = 0;

		port_lock(&zspages->lock);
		if (dead_refill(zspages, lines)) {
			number = zspages->of[lines].dead;
			descriptor_revive(zspages, lines, number);
		}
		port_unlock(&zspages->lock);
		if (number)
			return number;
		if (descriptors_grow(zspages, lines, flags))
			return 0;
	}
}

/**
 * descriptor_free() - let a descriptor die.
 * @zspages: the pool's zspages
 * @lines: its length
 * @number: which; its zspage is dead
 *
 * Context: Atomic; no lock of PORT_RANK_TABLE or behind is held.
 */
void descriptor_free(struct zspages *zspages, u32 lines, u32 number)
{
	port_lock(&zspages->lock);
	zspages->of[lines].alive--;
	/* Relaxed: late readers look at the entry again, and their counts stay. */
	atomic_fetch_sub_relaxed(ZSPAGE_ALIVE, &zspage_at(zspages, number)->pins);
	dead_add(zspages, lines, number);
	port_unlock(&zspages->lock);
}

/* Without the lock: whether there is a zspage. One in a blank page is dead: it is not touched. */
static bool zspage_lives(const struct zspages *zspages, const struct zspage_chunk *head, u32 number)
{
	if (descriptor_pages(number, READ_ONCE(head->lines)) & READ_ONCE(head->blank))
		return false;
	return READ_ONCE(zspage_at(zspages, number)->class);
}

/**
 * zspage_next() - walk all zspages of a pool, whatever list they are in.
 * @zspages: the pool's zspages
 * @number: the last one, or 0 to begin
 *
 * Takes no lock: one that is born, dies or is replaced meanwhile may or may not be seen.
 *
 * Context: Any.
 * Return: the number of the next zspage, or 0 at the end.
 */
u32 zspage_next(const struct zspages *zspages, u32 number)
{
	u32 chunks = chunks_count(zspages);

	for (u32 chunk = number / CHUNK_LINES; chunk < chunks; chunk++, number = 0) {
		const struct zspage_chunk *head = chunk_at(zspages, chunk);
		u32 lines = READ_ONCE(head->lines);

		if (!lines)
			continue;
		for (u32 i = number ? descriptor_index(number, lines) + 1 : 0;
		     i < chunk_room(lines); i++)
			if (zspage_lives(zspages, head, descriptor_number(chunk, lines, i)))
				return descriptor_number(chunk, lines, i);
	}
	return 0;
}

/**
 * zspage_below() - walk the zspages whose descriptors are of one length, from the last to the first.
 * @zspages: the pool's zspages
 * @lines: the length
 * @number: the last one, or ~0 to begin
 *
 * Takes no lock, like zspage_next().
 *
 * Context: Any.
 * Return: the number of the zspage before that one, or 0 if it was the first.
 */
u32 zspage_below(const struct zspages *zspages, u32 lines, u32 number)
{
	u32 chunk = chunks_count(zspages);
	u32 index = 0; /* of the last that was looked at */

	if (number / CHUNK_LINES < chunk) {
		chunk = number / CHUNK_LINES;
		index = descriptor_index(number, lines);
	}
	for (;;) {
		const struct zspage_chunk *head;

		while (index-- > 0)
			if (zspage_lives(zspages, chunk_at(zspages, chunk),
					 descriptor_number(chunk, lines, index)))
				return descriptor_number(chunk, lines, index);
		do {
			if (!chunk--)
				return 0;
			head = chunk_at(zspages, chunk);
		} while (READ_ONCE(head->lines) != lines);
		index = chunk_room(lines);
	}
}

/**
 * descriptors_scattered() - whether it is worth while to bring the zspages of a length together.
 * @zspages: the pool's zspages
 * @lines: the length of their descriptors
 *
 * Context: Takes zspages.lock.
 * Return: true if a quarter of the descriptors, and a page of them, are dead but not discarded.
 */
bool descriptors_scattered(struct zspages *zspages, u32 lines)
{
	const struct descriptors *of = &zspages->of[lines];
	bool scattered;

	port_lock(&zspages->lock);
	scattered = (u64)of->idle * lines * ZSPAGE_LINE >= PORT_PAGE_SIZE &&
		    of->idle >= (of->idle + of->alive) / 4;
	port_unlock(&zspages->lock);
	return scattered;
}

/* Under the lock: the first dead descriptor of a page that can be had, from one on; 0 if there is none. */
static u32 page_find_dead(const struct zspages *zspages, u32 chunk, u32 page, u32 from)
{
	const struct zspage_chunk *head = chunk_at(zspages, chunk);

	for (u32 i = page_first(page, head->lines); i < page_end(page, head->lines); i++) {
		u32 number = descriptor_number(chunk, head->lines, i);

		if (number >= from && !(descriptor_pages(number, head->lines) & head->blank) &&
		    !zspage_is_alive(zspage_at(zspages, number)))
			return number;
	}
	return 0;
}

/* Bring the first dead descriptor of a page that lies within these bounds to life; 0 if none does. */
static u32 page_reserve(struct zspages *zspages, u32 chunk, u32 page, u32 from, u32 to)
{
	u32 number;

	port_lock(&zspages->lock);
	number = page_find_dead(zspages, chunk, page, from);
	if (number >= to)
		number = 0;
	if (number)
		descriptor_revive(zspages, chunk_at(zspages, chunk)->lines, number);
	port_unlock(&zspages->lock);
	return number;
}

/**
 * descriptor_reserve() - have a dead descriptor that takes memory already.
 * @zspages: the pool's zspages
 * @lines: its length
 * @from: its number is this at least,
 * @to: and less than this
 *
 * Context: Takes zspages.lock, for a page at a time.
 * Return: the number of the lowest one, for zspage_replace() or descriptor_free(); 0 if there is none.
 */
u32 descriptor_reserve(struct zspages *zspages, u32 lines, u32 from, u32 to)
{
	u32 chunks = chunks_count(zspages);
	u32 page = (u32)(from % CHUNK_LINES * ZSPAGE_LINE >> PORT_PAGE_SHIFT);

	for (u32 chunk = from / CHUNK_LINES; chunk < chunks && chunk <= to / CHUNK_LINES; chunk++) {
		const struct zspage_chunk *head = chunk_at(zspages, chunk);

		for (; READ_ONCE(head->lines) == lines && page < chunk_pages(); page++) {
			u32 number = page_reserve(zspages, chunk, page, from, to);

			if (number)
				return number;
		}
		page = 0;
	}
	return 0;
}

/* Whether all descriptors that have a part in a page are dead and nobody will write to them. */
static bool page_is_idle(const struct zspages *zspages, u32 chunk, u32 page)
{
	u32 lines = chunk_at(zspages, chunk)->lines;

	for (u32 i = page_first(page, lines); i < page_end(page, lines); i++)
		if (!zspage_is_idle(zspage_at(zspages, descriptor_number(chunk, lines, i))))
			return false;
	return true;
}

/* Make a page blank, and busy, if nothing in it lives: its descriptors can't be had any more. */
static bool page_clear(struct zspages *zspages, u32 chunk, u32 page)
{
	struct zspage_chunk *head = chunk_at(zspages, chunk);
	bool clear;

	port_lock(&zspages->lock);
	clear = !(head->blank >> page & 1) && page_is_idle(zspages, chunk, page);
	for (u32 i = page_first(page, head->lines); clear && i < page_end(page, head->lines); i++) {
		u32 number = descriptor_number(chunk, head->lines, i);

		if (!(descriptor_pages(number, head->lines) & head->blank))
			dead_del(zspages, head->lines, number);
	}
	if (clear) {
		WRITE_ONCE(head->blank, head->blank | 1U << page);
		head->busy |= 1U << page;
		zspages->blank++;
	}
	port_unlock(&zspages->lock);
	return clear;
}

/* Discard pages of a chunk, a bit each: those next to each other at once. */
static void pages_discard(const struct zspages *zspages, u32 chunk, u32 pages)
{
	while (pages) {
		u32 first = __ffs64(pages);
		u32 count = __ffs64(~((u64)pages >> first));

		port_discard((char *)table_chunk(&zspages->lines, chunk) + first * PORT_PAGE_SIZE,
			     count * PORT_PAGE_SIZE);
		pages &= ~(((1U << count) - 1) << first);
	}
}

/* Discard the pages of a chunk in which nothing lives. */
static void chunk_trim(struct zspages *zspages, u32 chunk)
{
	struct zspage_chunk *head = chunk_at(zspages, chunk);
	u32 pages = 0;

	for (u32 page = 0; page < chunk_pages(); page++)
		if (!(READ_ONCE(head->blank) >> page & 1) && page_clear(zspages, chunk, page))
			pages |= 1U << page;
	if (!pages)
		return;
	pages_discard(zspages, chunk, pages);
	port_lock(&zspages->lock);
	head->busy &= ~pages;
	chunk_offer(zspages, chunk, pages);
	port_unlock(&zspages->lock);
	cond_resched();
}

/**
 * descriptors_trim() - give the memory of dead descriptors back to the system.
 * @zspages: the pool's zspages
 *
 * For a host that can do that: port_can_discard().
 *
 * Context: May sleep; takes zspages.lock, for a page at a time.
 */
void descriptors_trim(struct zspages *zspages)
{
	/* From the last, so that the first will be used again first. */
	for (u32 chunk = chunks_count(zspages); chunk-- > 0;)
		if (READ_ONCE(chunk_at(zspages, chunk)->lines))
			chunk_trim(zspages, chunk);
}

/**
 * descriptors_bytes() - the memory that descriptors take.
 * @zspages: the pool's zspages
 *
 * Context: Takes zspages.lock.
 * Return: bytes.
 */
u64 descriptors_bytes(struct zspages *zspages)
{
	u64 bytes;

	port_lock(&zspages->lock);
	bytes = table_size(&zspages->lines, 1) - zspages->blank * PORT_PAGE_SIZE;
	port_unlock(&zspages->lock);
	return bytes;
}
