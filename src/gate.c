/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Gates: see gate.h. Here is what owners seldom need: the shared lanes, and visits of all.
 */
#include "gate.h"

static struct gate *gate_at(const struct gates *gates, size_t index)
{
	return gates_lane(gates, index);
}

/**
 * gates_init() - make zeroed lanes, as many as there may be owners, and the shared ones.
 * @gates: filled in
 * @size: of a lane, bytes; a multiple of two cache lines, for processors fetch lines in pairs
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int gates_init(struct gates *gates, size_t size)
{
	gates->size = size;
	gates->count = (unsigned int)gates_own(port_lanes());
	gates->lane = port_alloc(gates->count * size, GFP_KERNEL);
	if (!gates->lane)
		return -ENOMEM;
	if (!port_fence_works())
		for (unsigned int i = 0; i < gates->count; i++)
			atomic_set(&gate_at(gates, i)->guard, GUARD_FENCE);
	return 0;
}

/* Nobody uses the lanes any more. */
void gates_destroy(struct gates *gates)
{
	port_free(gates->lane, gates->count * gates->size);
}

/* Enter a shared lane, unless somebody is in it. Pairs with the release in gate_leave(). */
static bool gate_try(struct gate *gate)
{
	return !atomic_read(&gate->busy) && !atomic_xchg_acquire(&gate->busy, 1);
}

/**
 * gates_enter() - enter the caller's own lane, or a shared one.
 * @gates: the lanes
 * @number: of the caller's own, from port_lane_claim(); 0 if it has none
 *
 * Context: Any.
 * Return: the lane, for gate_leave(); NULL if none can be had at once.
 */
void *gates_enter(const struct gates *gates, unsigned int number)
{
	if (number && gate_enter(gate_at(gates, gates_own(number)), true))
		return gates_lane(gates, gates_own(number));
	for (unsigned int i = 0; i < GATES_SHARED; i++) {
		unsigned int index = (number + i) % GATES_SHARED;

		if (gate_try(gate_at(gates, index)))
			return gates_lane(gates, index);
	}
	return NULL;
}

/*
 * For a visitor, who may wait: have a lane to oneself. The owner of a lane was told, by its guard, and
 * the heavy fence that followed pairs with gate_enter(). No owner is held up by that.
 */
static void gate_seize(struct gate *gate, bool shared)
{
	if (shared)
		while (!gate_try(gate))
			cpu_relax();
	else
		while (atomic_read_acquire(&gate->busy)) /* pairs with gate_leave() */
			cpu_relax();
}

static void gate_yield(struct gate *gate, bool shared)
{
	/* Pairs with gate_enter(). */
	atomic_set_release(&gate->guard, atomic_read(&gate->guard) & ~GUARD_CLOSING);
	if (shared)
		gate_leave(gate);
}

static bool gate_is_closing(const struct gate *gate)
{
	return atomic_read(&gate->guard) & GUARD_CLOSING;
}

/* Whether the owner of a lane is to pass the heavy fence. */
static bool fence_is_wanted(const void *gates, unsigned int number)
{
	return gate_is_closing(gate_at(gates, gates_own(number)));
}

/* Tell the owners of lanes that these are wanted. False if none is. */
static bool gates_close(const struct gates *gates, bool (*wanted)(const void *lane))
{
	bool any = false;

	for (unsigned int i = 0; i < gates->count; i++) {
		struct gate *gate = gate_at(gates, i);

		if (!wanted(gate))
			continue;
		atomic_set(&gate->guard, atomic_read(&gate->guard) | GUARD_CLOSING);
		any = true;
	}
	return any;
}

/**
 * gates_visit() - do something in lanes, whoever's they are.
 * @gates: the lanes
 * @wanted: in which ones; asked without being in there
 * @visit: is called in each of these
 * @arg: for @visit
 *
 * Waits for those who are in a lane. One visitor at a time: the caller sees to that, by a mutex.
 *
 * Context: Does not sleep; no lock but the mutex is held, and interrupts are enabled.
 */
void gates_visit(const struct gates *gates, bool (*wanted)(const void *lane),
		 void (*visit)(void *arg, void *lane), void *arg)
{
	if (!gates_close(gates, wanted))
		return;
	port_fence_heavy(fence_is_wanted, gates); /* see gate_seize() */
	for (unsigned int i = 0; i < gates->count; i++) {
		struct gate *gate = gate_at(gates, i);

		if (!gate_is_closing(gate))
			continue;
		gate_seize(gate, i < GATES_SHARED);
		visit(arg, gate);
		gate_yield(gate, i < GATES_SHARED);
	}
}
