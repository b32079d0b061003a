/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Lanes: one place for each thread, in the kernel for each CPU.
 *
 * A lane holds what its owner frees and what it has in stock: the cell of the deferred queue that
 * it fills, and free entries. The owner alone enters it, without an atomic operation. A drain moves
 * head, and only reads what the owner writes. So nothing waits for an owner that is preempted,
 * stopped, or gone in a forked child.
 *
 *   lane ── head ─> segment ── next ─> segment <── tail ── lane
 *           the drain's        full                open, the owner's
 */
#ifndef ZS_LANE_H
#define ZS_LANE_H

#include "port.h"

struct segment;

/* Free entries of one block of 64, a bit each. */
struct entry_stock {
	u64 free;
	u32 block;
};

struct lane {
	/* The queue's side: see queue.h. */
	u64 follow; /* the name with which the last cell's run goes on; 0 for none */
	u64 cell; /* what the last cell holds */
	u64 *next; /* the cell behind it */
	u32 left; /* cells from there on in the segment */
	u32 uncounted; /* queued handles that queue.pending leaves out, but for the last cell's */
	struct segment *tail; /* the open segment, or NULL; the drain reads it */
	u32 busy; /* the owner is inside: what interrupts it there stays out */
	/* The second cache line. */
	struct segment *head __attribute__((aligned(PORT_CACHELINE))); /* see queue.h */
	struct entry_stock stock; /* entries that the owner gives out next */
	struct entry_stock freed; /* entries that came back to the owner last */
} __attribute__((aligned(2 * PORT_CACHELINE)));

extern struct lane *lanes;

int lanes_init(void);
void lanes_destroy(void);
struct lane *lane_claim(void);

static inline struct lane *lane_enter_number(unsigned int number)
{
	struct lane *lane = &lanes[number];

	if (likely(number && !READ_ONCE(lane->busy))) {
		WRITE_ONCE(lane->busy, 1);
		barrier();
		return lane;
	}
	port_lane_put();
	return NULL;
}

/* Enters the caller's lane. Returns NULL if it has none, or interrupts the lane's owner inside. */
static inline struct lane *lane_enter(void)
{
	return lane_enter_number(port_lane_get());
}

static inline void lane_leave(struct lane *lane)
{
	port_assert(lane->busy);
	barrier();
	WRITE_ONCE(lane->busy, 0);
	port_lane_put();
}

#endif /* ZS_LANE_H */
