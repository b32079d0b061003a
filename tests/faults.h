/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * To stop a thread at one point of its way: what it uses there is protected, and it waits in the
 * handler of the fault until it is released, then tries again.
 *
 * What is not atomic only, with ThreadSanitizer: that does an atomic operation under a lock of its
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
#include <sys/mman.h>

#include "port.h"
#include "table.h"

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

/* From now on who faults waits. */
static inline void faults_begin(void)
{
	struct sigaction action = { .sa_handler = fault_wait };

	atomic_store(&fault_came, false);
	atomic_store(&fault_released, false);
	assert_int_equal(sigaction(SIGSEGV, &action, &fault_before), 0);
}

/* Until a thread has faulted. */
static inline void fault_await(void)
{
	while (!atomic_load(&fault_came))
		sched_yield();
}

/* What the thread faulted on is to be had again: let it go on. */
static inline void fault_release(void)
{
	atomic_store(&fault_released, true);
}

static inline void faults_end(void)
{
	assert_int_equal(sigaction(SIGSEGV, &fault_before, NULL), 0);
}

static inline void protect(void *memory, size_t bytes, int protection)
{
	assert_int_equal(mprotect(memory, bytes, protection), 0);
}

static inline void protect_table(const struct table *table, int protection)
{
	for (u32 i = 0; i < table->chunks; i++)
		protect(table_chunk(table, i), PORT_CHUNK_SIZE, protection);
}

#endif /* TEST_FAULTS_H */
