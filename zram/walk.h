/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A walk goes over the slots of a store, to mark what is idle. A store has one walk at a time.
 *
 * Only a walk sets SLOT_IDLE. Each access of the page clears it: a read stamps the slot anew, and
 * a write leaves an entry without it.
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

#endif /* ZRAM_WALK_H */
