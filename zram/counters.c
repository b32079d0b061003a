/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The owners of stripes, and the sums.
 *
 * A thread claims the lowest free stripe when it first counts, and gives it back when it ends. The
 * next owner goes on from the values that it finds there.
 */
#include <pthread.h>
#include <stdbool.h>

#include "counters.h"

_Thread_local int counters_stripe = -1;

/* Bit i: stripe i is not to be had. */
static _Atomic uint64_t owned = 1ULL << COUNTERS_SHARED;

/* A key whose value in an owner is its stripe's bit, so that the end of the thread is noticed. */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_made;

/* The release pairs with the acquire in claim(): the next owner sees this one's counts. */
static void release_stripe(void *bit)
{
	counters_stripe = COUNTERS_SHARED;
	atomic_fetch_and_explicit(&owned, ~(uint64_t)(uintptr_t)bit, memory_order_release);
}

static void make_key(void)
{
	key_made = pthread_key_create(&key, release_stripe) == 0;
}

/* The library may be unloaded while threads that have counted live on. */
__attribute__((destructor)) static void delete_key(void)
{
	if (key_made)
		pthread_key_delete(key);
}

/* Returns a stripe's bit, or 0 if all have owners. */
static uint64_t claim(void)
{
	uint64_t before = atomic_load_explicit(&owned, memory_order_relaxed);
	uint64_t bit;

	do {
		bit = ~before & (before + 1);
	} while (bit && !atomic_compare_exchange_weak_explicit(&owned, &before, before | bit,
							       memory_order_acquire,
							       memory_order_relaxed));
	return bit;
}

/* Give the calling thread its stripe. Returns it; COUNTERS_SHARED if it can own none. */
int counters_claim_stripe(void)
{
	uint64_t bit;

	counters_stripe = COUNTERS_SHARED;
	pthread_once(&key_once, make_key);
	if (!key_made)
		return COUNTERS_SHARED;

	bit = claim();
	if (!bit)
		return COUNTERS_SHARED;
	if (pthread_setspecific(key, (void *)(uintptr_t)bit) != 0)
		release_stripe((void *)(uintptr_t)bit);
	else
		counters_stripe = __builtin_ctzll(bit);
	return counters_stripe;
}

/* In a child of fork(): no stripe has an owner but that of the calling thread. */
void counters_forked(void)
{
	uint64_t own = counters_stripe > 0 ? 1ULL << counters_stripe : 0;

	atomic_store(&owned, 1ULL << COUNTERS_SHARED | own);
}

/* The sum. Never negative: a page counted out but not yet in is not there. */
uint64_t counters_sum(const struct counters *counters, unsigned int counter)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < COUNTERS_STRIPES; i++)
		sum += atomic_load_explicit(&counters->stripes[i].value[counter],
					    memory_order_relaxed);
	return (int64_t)sum < 0 ? 0 : sum;
}
