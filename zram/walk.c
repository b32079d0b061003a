/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Which pages a walk takes, and how it works on one: see walk.h.
 */
#include <string.h>

#include "walk.h"
#include "zsmalloc.h"

#define SELECT_MARKS (ZRAM_IDLE | ZRAM_HUGE | ZRAM_INCOMPRESSIBLE)

/* Reads which pages the caller wants, with a count that is in range. Returns 0 or -EINVAL. */
int walk_select(const struct zram *zram, const struct zram_select *select, struct zram_select *own)
{
	memset(own, 0, sizeof(*own));
	if (select && !read_sized(own, sizeof(*own), select, select->size))
		return -EINVAL;
	if (own->marks & ~(unsigned int)SELECT_MARKS || own->first >= zram->nr_slots ||
	    own->count > zram->nr_slots - own->first || own->min_size > zram->page_size)
		return -EINVAL;
	if (own->count == 0)
		own->count = zram->nr_slots - own->first;
	if (own->max_pages == 0)
		own->max_pages = UINT64_MAX;
	return 0;
}

static bool selects(const struct zram *zram, const struct zram_select *select,
		    const struct entry *entry)
{
	size_t size = entry_size(entry);

	if (!size || size < select->min_size)
		return false;
	if (select->marks & ZRAM_IDLE && !(entry->state & SLOT_IDLE))
		return false;
	if (select->marks & ZRAM_HUGE && size != zram->page_size)
		return false;
	return !(select->marks & ZRAM_INCOMPRESSIBLE) || entry->state & SLOT_FUTILE;
}

/*
 * Copies the object of a page to the stream, and watches the slot. Returns 1; 0 if the page is not
 * selected; -EIO if there is no object, and then nothing watches. *@entry is what the slot says.
 */
int walk_copy(struct zram *zram, uint64_t index, const struct zram_select *select,
	      struct stream *stream, struct entry *entry)
{
	struct slot *slot = &zram->slots[index];
	int err = 0;

	if (slot_is_empty(slot))
		return 0;
	slot_lock(slot);
	*entry = slot_get(slot);
	if (selects(zram, select, entry)) {
		err = copy_object(zram, stream, entry);
		if (!err) {
			slot_mark(slot, entry->state | SLOT_IDLE);
			err = 1;
		}
	}
	slot_unlock(slot);
	return err;
}

/*
 * Puts @entry in place of @old, and frees what was there. Returns false
 * if the page was used meanwhile, and then the slot stays as it is.
 */
bool walk_replace(struct zram *zram, uint64_t index, const struct entry *old,
		  const struct entry *entry)
{
	struct slot *slot = &zram->slots[index];
	bool unused;

	slot_lock(slot);
	unused = atomic_load_explicit(&slot->state, memory_order_relaxed) & SLOT_IDLE;
	if (unused)
		slot_set(slot, entry);
	slot_unlock(slot);
	if (unused) {
		count_entry(zram, entry, 1);
		count_entry(zram, old, -1);
		zs_free(zram->pool, old->word);
	}
	return unused;
}

/* Ends the watch of a page that stays as it is, but for the marks in @old. */
void walk_leave(struct zram *zram, uint64_t index, const struct entry *old)
{
	struct slot *slot = &zram->slots[index];

	slot_lock(slot);
	if (atomic_load_explicit(&slot->state, memory_order_relaxed) & SLOT_IDLE)
		slot_mark(slot, old->state);
	slot_unlock(slot);
}
