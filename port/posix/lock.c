/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The locks of a process, when they are not free. They are held for less than a system call takes,
 * so a waiter spins for a while. Then it marks the lock as wanted, and sleeps. The holder of a
 * wanted lock wakes one sleeper, which takes the lock as wanted, for there may be more.
 */
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "port.h"

#define LOCK_SPINS 200

/*
 * Sleeps while a word has a value, until it is woken, or until a time of port_now(); ~0 is never.
 * May return early. Where a filter refuses the call, the thread sleeps for a millisecond.
 */
void port_futex_wait(atomic_t *word, int value, u64 until)
{
	struct timespec time = {
		.tv_sec = (time_t)(until / 1000000000ULL),
		.tv_nsec = (long)(until % 1000000000ULL),
	};
	const struct timespec pause = { .tv_nsec = 1000000 };
	long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value,
			      until != ~0ULL ? &time : NULL, NULL, FUTEX_BITSET_MATCH_ANY);

	if (result && (errno == EPERM || errno == ENOSYS))
		nanosleep(&pause, NULL);
}

/* Wakes one thread that sleeps on a word. */
void port_futex_wake(atomic_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1);
}

void port_lock_init(struct port_lock *lock, enum port_rank rank)
{
	atomic_set(&lock->state, PORT_LOCK_FREE);
#ifdef ZS_DEBUG
	lock->rank = (int)rank;
#else
	(void)rank;
#endif
}

void port_mutex_init(struct port_mutex *mutex, enum port_rank rank)
{
	port_lock_init(&mutex->lock, rank);
}

/* Between two looks at the lock: let its cache line and this core's other thread be. */
static void pause_briefly(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

void port_lock_wait(struct port_lock *lock)
{
	for (unsigned int i = 0; i < LOCK_SPINS; i++) {
		if (atomic_read(&lock->state) == PORT_LOCK_FREE && port_lock_try(lock))
			return;
		pause_briefly();
	}
	while (atomic_xchg_acquire(&lock->state, PORT_LOCK_WANTED) != PORT_LOCK_FREE)
		port_futex_wait(&lock->state, PORT_LOCK_WANTED, ~0ULL);
}

void port_lock_wake(struct port_lock *lock)
{
	port_futex_wake(&lock->state);
}

#ifdef ZS_DEBUG
/* The ranks of the locks that this thread holds, a bit each: no two locks of one rank at a time. */
static _Thread_local unsigned int debug_held;

void port_debug_failed(const char *condition, const char *where)
{
	fprintf(stderr, "zsmalloc: %s: %s does not hold\n", where, condition);
	abort();
}

void port_debug_taken(struct port_lock *lock)
{
	if (debug_held >> lock->rank) {
		fprintf(stderr,
			"zsmalloc: port_lock: lock of rank %d taken while ranks %#x are held\n",
			lock->rank, debug_held);
		abort();
	}
	debug_held |= 1U << lock->rank;
	WRITE_ONCE(lock->holder, &debug_held);
}

void port_debug_dropped(struct port_lock *lock)
{
	WRITE_ONCE(lock->holder, NULL);
	debug_held &= ~(1U << lock->rank);
}

void port_debug_held(const struct port_lock *lock, const char *where)
{
	if (READ_ONCE(lock->holder) != &debug_held)
		port_debug_failed("the lock is held", where);
}
#endif
