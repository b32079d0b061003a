/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A walk goes over the slots of a store, to mark what is idle, to recompress or to write back. A
 * store has one walk at a time.
 *
 * Only a walk sets SLOT_IDLE. Each access of the page clears it: a read stamps the slot anew, and
 * a write leaves an entry without it. So the mark tells a walk, too, whether a page was used while
 * it worked on a copy:
 *
 *   walk_copy()      idle: set, whatever it was   | copy the object
 *   (compress, or write to the device)            | no lock: the page may be used
 *   walk_replace()   still idle?                  | the copy's entry goes in
 *   walk_leave()     still idle?                  | the mark becomes what it was
 */
#ifndef ZRAM_WALK_H
#define ZRAM_WALK_H

#include <errno.h>

#include "zram_store.h"

/* Begins a walk. Returns 0, or -EBUSY if another one is under way. */
static inline int walk_begin(struct zram *zram)
{
	return atomic_exchange_explicit(&zram->walking, true, memory_order_acquire) ? -EBUSY : 0;
}

static inline void walk_end(struct zram *zram)
{
	atomic_store_explicit(&zram->walking, false, memory_order_release);
}

int walk_select(const struct zram *zram, const struct zram_select *select, struct zram_select *own);
int walk_copy(struct zram *zram, uint64_t index, const struct zram_select *select,
	      struct stream *stream, struct entry *entry);
bool walk_replace(struct zram *zram, uint64_t index, const struct entry *old,
		  const struct entry *entry);
void walk_leave(struct zram *zram, uint64_t index, const struct entry *old);

#endif /* ZRAM_WALK_H */
