/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Gates: what makes a lane its owner's.
 *
 * Where each thread, or in the kernel each CPU, is to have something to itself, there is an array of
 * lanes, of any kind, each with a gate. The owner of a lane enters it by a plain store to its busy word.
 * Somebody else who wants what is in there says so in its guard; a fence on either side makes sure that
 * one sees the other, and the owner's side of it is free (port_fence_light()). While its lane is wanted,
 * and if it has none, whoever comes uses a shared lane, whose busy word is a lock that is only ever
 * tried; there are some, so that those whose lanes are wanted at once seldom meet. A lane is entered for
 * a few instructions, and nobody waits for anything in there.
 */
#ifndef ZS_GATE_H
#define ZS_GATE_H

#include "port.h"

#define GATES_SHARED 4 /* lanes for those who have none of their own, or can't use that now */

enum gate_guard {
	GUARD_CLOSING = 1, /* somebody wants what is in the lane: its owner keeps out */
	GUARD_FENCE = 2, /* the host's light fence is none: gates_enter() has a full one */
};

/* The first member of a lane. */
struct gate {
	atomic_t busy; /* somebody is in the lane */
	atomic_t guard; /* enum gate_guard: why its owner may not just enter */
};

/* The lanes of one kind: the shared ones, then those that have owners. */
struct gates {
	char *lane;
	size_t size; /* of a lane */
	unsigned int count;
};

int gates_init(struct gates *gates, size_t size);
void gates_destroy(struct gates *gates);
void *gates_enter(const struct gates *gates, unsigned int number);
void gates_visit(const struct gates *gates, bool (*wanted)(const void *lane),
		 void (*visit)(void *arg, void *lane), void *arg);

/* The lane with an index. */
static inline void *gates_lane(const struct gates *gates, size_t index)
{
	return gates->lane + index * gates->size;
}

/* The index of the lane of the owner @number, above 0. */
static inline size_t gates_own(size_t number)
{
	return GATES_SHARED - 1 + number;
}

/* Pairs with the acquire in gate_seize() and, in a shared lane, in gate_try(). */
static inline void gate_leave(struct gate *gate)
{
	atomic_set_release(&gate->busy, 0);
}

/*
 * Enter one's own lane, without an atomic operation. False if somebody is closing it, or if its owner
 * is in it already, and was interrupted there; and unless @fence, which makes a full one, if the lane
 * is guarded at all.
 */
static inline bool gate_enter(struct gate *gate, bool fence)
{
	int refuses = fence ? GUARD_CLOSING : GUARD_CLOSING | GUARD_FENCE;

	if (unlikely(atomic_read(&gate->busy)))
		return false;
	atomic_set(&gate->busy, 1);
	/* With the heavy one in gates_visit(): one of the two sees the other. */
	if (fence)
		smp_mb();
	else
		port_fence_light();
	/* Pairs with the release in gate_yield(): what the visitor did is done. */
	if (likely(!(atomic_read_acquire(&gate->guard) & refuses)))
		return true;
	gate_leave(gate);
	return false;
}

#endif /* ZS_GATE_H */
