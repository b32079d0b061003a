/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The runtime's life in a process. The first pool makes it, and the last one takes it along. A
 * child of fork() goes on with it.
 *
 * The thread that forks takes every lock first, in their order. So what locks protect is whole in
 * the child. A lane has no lock: its owner may be inside when the child is made. The child then
 * closes the lane's segment, and forgets the entries that the lane had in stock. There all lanes
 * are free but that of the forking thread. What waits in them is drained, as in the parent.
 *
 * What another thread had in its hands between two locks is lost to the child. That is at most a
 * page, an empty zspage, and the entries of a block. The counts of readers stay, as the forking
 * thread may be reading.
 */
#include <pthread.h>

#include "pool.h"
#include "process.h"
#include "watch/watch.h"

static struct port_mutex users_lock; /* of rank 0: before all others */
static unsigned long users; /* pools, and calls that are about to make one */
static bool fork_handled;

/* Calls a function for every lock of the runtime, in the order in which they are taken. */
static void each_lock(void (*call)(struct port_lock *lock))
{
	call(&runtime.registry.lock);
	call(&runtime.queue.drain.lock);
	for (u32 i = 0; i < ZS_LOCKS; i++)
		call(class_lock_at((u8)i));
	call(&runtime.pools.lock);
	call(&runtime.handles.entries.lock);
	call(&runtime.handles.blocks.lock);
	call(&runtime.handles.lock);
	call(&runtime.zspages.refs.lock);
	call(&runtime.zspages.lock);
	call(&runtime.queue.lock);
	call(&runtime.zspages.store.lock);
}

/* These three skip a debug build's check: a thread has one lock of a rank, and here has all. */
static void lock_take(struct port_lock *lock)
{
	if (!port_lock_try(lock))
		port_lock_wait(lock);
}

static void lock_give(struct port_lock *lock)
{
	if (atomic_xchg_release(&lock->state, PORT_LOCK_FREE) == PORT_LOCK_WANTED)
		port_lock_wake(lock);
}

static void lock_forked(struct port_lock *lock)
{
	atomic_set(&lock->state, PORT_LOCK_FREE);
}

static void fork_prepare(void)
{
	lock_take(&users_lock.lock);
	if (users)
		each_lock(lock_take);
}

static void fork_parent(void)
{
	if (users)
		each_lock(lock_give);
	lock_give(&users_lock.lock);
}

/* Makes a lane whole whose owner was inside, for the next one. */
static void lane_repair(struct lane *lane)
{
	struct segment *tail = lane->head;

	while (tail && tail->next)
		tail = tail->next;
	lane->tail = tail;
	lane->left = 0; /* the next owner opens a segment */
	lane->follow = 0;
	lane->cell = 0;
	lane->uncounted = 0;
	lane->stock.free = 0;
	lane->freed.free = 0;
	lane->busy = 0;
}

/* Returns the handles that wait in the segments of a lane. */
static u64 lane_waiting(const struct lane *lane)
{
	u64 count = 0;

	for (const struct segment *segment = lane->head; segment; segment = segment->next) {
		for (u32 i = segment->cells_done; i < SEGMENT_CELLS; i++)
			count += segment->cell[i] >> CELL_COUNT_SHIFT;
		count -= segment->run_done;
	}
	return count;
}

/* Repairs lanes, and counts anew what is pending. Returns how many handles that are. */
static u64 queue_forked(struct queue *queue)
{
	u64 counted = 0, waiting = 0;

	for (u32 i = 1; i < port_lanes_used(); i++) {
		struct lane *lane = &lanes[i];

		if (lane->busy)
			lane_repair(lane);
		waiting += lane_waiting(lane);
		counted += lane->uncounted + (lane->cell >> CELL_COUNT_SHIFT);
	}
	atomic64_set(&queue->pending, waiting - counted);
	queue->asleep = !waiting;
	return waiting;
}

static bool pools_wait_for_compaction(void)
{
	for (u32 i = 0; i < HANDLE_TAGS / 64; i++)
		if (atomic64_read(&runtime.sparse[i]))
			return true;
	return false;
}

static void fork_child(void)
{
	watch_forked();
	port_lanes_forked();
	if (users) {
		bool work = queue_forked(&runtime.queue);

		work |= port_store_forked(&runtime.zspages.store);
		work |= pools_wait_for_compaction();
		each_lock(lock_forked);
		port_worker_forked(&runtime.worker);
		if (work)
			port_worker_kick(&runtime.worker, runtime.queue.delay_ms);
	}
	lock_forked(&users_lock.lock);
}

/* Makes the runtime, unless it is there, for process_put(). Returns 0 or -ENOMEM. */
int process_get(void)
{
	int error = 0;

	port_mutex_lock(&users_lock);
	if (!fork_handled)
		fork_handled = !pthread_atfork(fork_prepare, fork_parent, fork_child);
	if (!fork_handled)
		error = -ENOMEM;
	else if (!users)
		error = runtime_init();
	if (!error)
		users++;
	port_mutex_unlock(&users_lock);
	return error;
}

void process_put(void)
{
	port_mutex_lock(&users_lock);
	if (!--users)
		runtime_exit();
	port_mutex_unlock(&users_lock);
}
