/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Which lane is whose, and the heavy fence.
 *
 * A thread is given the lowest free lane when it first needs one, and gives it back when it ends.
 * What it has queued stays there, for a drain; the next owner goes on behind it.
 */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "port.h"

#define WORD_LANES 64U

_Thread_local int port_lane_own;
atomic_t port_lanes_end = { 1 };
bool port_membarrier;

static atomic64_t taken[PORT_LANES / WORD_LANES] = { { 1 } }; /* a bit a lane; lane 0 is none */
static pthread_key_t key; /* whose destructor notices the end of a thread */
static bool key_made;

static int membarrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

/*
 * The release pairs with the acquire in port_lane_claim(): the next owner sees what this one did.
 */
static void lane_give_back(void *arg)
{
	uintptr_t lane = (uintptr_t)arg;

	port_lane_own = -1;
	atomic64_fetch_andnot(1ULL << lane % WORD_LANES, &taken[lane / WORD_LANES]);
}

__attribute__((constructor(101))) static void lane_init(void)
{
	key_made = pthread_key_create(&key, lane_give_back) == 0;
	port_membarrier = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

/* The library may be unloaded while threads that own lanes live on. */
__attribute__((destructor)) static void lane_exit(void)
{
	if (key_made)
		pthread_key_delete(key);
	key_made = false;
}

/* The lowest bit of a word that was clear, which is set now; WORD_LANES if there is none. */
static unsigned int bit_take(atomic64_t *word)
{
	u64 old = atomic64_read(word);

	while (~old) {
		unsigned int bit = __ffs64(~old);
		u64 seen = atomic64_cmpxchg(word, old, old | 1ULL << bit);

		if (seen == old)
			return bit;
		old = seen;
	}
	return WORD_LANES;
}

/* Has drains visit the lane. */
static void lane_use(unsigned int lane)
{
	int end = atomic_read(&port_lanes_end);

	while (end <= (int)lane) {
		int seen = atomic_cmpxchg(&port_lanes_end, end, (int)lane + 1);

		if (seen == end)
			break;
		end = seen;
	}
}

static unsigned int lane_take(void)
{
	for (unsigned int i = 0; i < PORT_LANES / WORD_LANES; i++) {
		unsigned int bit = bit_take(&taken[i]);

		if (bit < WORD_LANES)
			return i * WORD_LANES + bit;
	}
	return 0;
}

unsigned int port_lane_claim(void)
{
	unsigned int lane;

	if (port_lane_own)
		return port_lane_get();
	lane = key_made ? lane_take() : 0;
	if (!lane)
		return 0; /* the next call asks again: another thread may have ended */
	if (pthread_setspecific(key, (void *)(uintptr_t)lane)) {
		lane_give_back((void *)(uintptr_t)lane);
		return 0;
	}
	lane_use(lane);
	port_lane_own = (int)lane;
	return lane;
}

/* In a child of fork(): no lane has an owner but that of the calling thread. */
void port_lanes_forked(void)
{
	unsigned int own = port_lane_get();

	for (unsigned int i = 0; i < PORT_LANES / WORD_LANES; i++)
		atomic64_set(&taken[i], 0);
	atomic64_fetch_or(1, &taken[0]);
	atomic64_fetch_or(1ULL << own % WORD_LANES, &taken[own / WORD_LANES]);
}

/*
 * A child of fork() may have to register anew. Where that is refused, the caller looks once more.
 */
void port_fence_heavy(void)
{
	if (port_membarrier && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
	    (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) ||
	     membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)))
		port_membarrier = false;
	smp_mb();
}
