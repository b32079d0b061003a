/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Stops a thread at one point of its way. The memory that it uses there is protected; the thread
 * waits in the handler of the fault until it is released, and tries again.
 *
 * With ThreadSanitizer only where the access is not atomic. It does atomic ones under a lock of its
 * own, which the thread would keep.
 */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>

static atomic_bool fault_came;
static atomic_bool fault_released;
static struct sigaction fault_before;

static inline void fault_wait(int signal)
{
	(void)signal;
	atomic_store(&fault_came, true);
	while (!atomic_load(&fault_released))
		sched_yield();
}

static inline void protect(void *memory, size_t bytes, int protection)
{
	assert_int_equal(mprotect(memory, bytes, protection), 0);
}

/* From now on a thread that uses the memory waits. */
static inline void faults_begin(void *memory, size_t bytes)
{
	struct sigaction action = { .sa_handler = fault_wait };

	atomic_store(&fault_came, false);
	atomic_store(&fault_released, false);
	assert_int_equal(sigaction(SIGSEGV, &action, &fault_before), 0);
	protect(memory, bytes, PROT_NONE);
}

/* Waits for a thread to fault, and makes the memory usable again, while the thread waits. */
static inline void fault_await(void *memory, size_t bytes)
{
	while (!atomic_load(&fault_came))
		sched_yield();
	protect(memory, bytes, PROT_READ | PROT_WRITE);
}

/* Lets the thread go on. */
static inline void fault_release(void)
{
	atomic_store(&fault_released, true);
}

static inline void faults_end(void)
{
	assert_int_equal(sigaction(SIGSEGV, &fault_before, NULL), 0);
}

#endif /* TEST_FAULTS_H */
