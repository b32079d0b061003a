/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Idle pages: those that no call has written or read for a while.
 *
 * A mark is a bit in the slot, which the next access of the page takes away. Pages of one word
 * have no mark: there is nothing to gain from them.
 */
#include "walk.h"

/*
 * Returns whether the last access was at least @age seconds ago, whenever in its step it was. The
 * stamp is of the last 36 hours.
 */
static bool is_old(const struct entry *entry, int64_t now, uint64_t age)
{
	int64_t step = now / SLOT_STAMP_SECONDS;
	int64_t back = (step - (entry->state & SLOT_STAMP)) & SLOT_STAMP;
	int64_t quiet = now - (step - back + 1) * SLOT_STAMP_SECONDS;

	return quiet >= (int64_t)age;
}

/**
 * zram_mark_idle() - mark the pages that no call has used for a while.
 * @zram: the store
 * @age: seconds since the last write or read of a page, at most %ZRAM_AGE_MAX; 0 marks all pages
 *
 * A page stays marked until it is written or read. The age is kept in steps of 64 seconds: a page
 * is never marked too early, and up to 64 seconds late. Beyond 36 hours it begins at 0 again, so a
 * program that marks by age does so at least every few hours.
 *
 * Context: Any thread. May sleep. Reads and writes go on meanwhile.
 * Return: 0. -EINVAL: @zram is NULL, or @age too large. -EBUSY: another call goes over the store's
 * pages at this moment.
 */
int zram_mark_idle(struct zram *zram, uint64_t age)
{
	int64_t now = slot_clock();
	int err;

	if (!zram || age > ZRAM_AGE_MAX)
		return -EINVAL;
	err = walk_begin(zram);
	if (err)
		return err;
	for (uint64_t i = 0; i < zram->nr_slots; i++) {
		struct slot *slot = &zram->slots[i];
		struct entry entry;

		if (slot_is_empty(slot))
			continue;
		slot_lock(slot);
		entry = slot_get(slot);
		if (entry_size(&entry) && (!age || is_old(&entry, now, age)))
			slot_mark(slot, entry.state | SLOT_IDLE);
		slot_unlock(slot);
	}
	walk_end(zram);
	return 0;
}
