/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Kicks of the worker, noted instead of done: what is drained when is the test's to say. A program
 * that includes this has port_worker_kick() wrapped.
 */
#ifndef TEST_KICKS_H
#define TEST_KICKS_H

#include <stdatomic.h>

#include "pool.h"

static atomic_uint kicks; /* so far */
static atomic_uint kick_delay; /* of the last one */
static atomic_bool kicks_pass; /* they are done all the same */

void __real_port_worker_kick(struct port_worker *worker, unsigned int delay_ms);
void __wrap_port_worker_kick(struct port_worker *worker, unsigned int delay_ms);

void __wrap_port_worker_kick(struct port_worker *worker, unsigned int delay_ms)
{
	atomic_store(&kick_delay, delay_ms);
	atomic_fetch_add(&kicks, 1);
	if (atomic_load(&kicks_pass))
		__real_port_worker_kick(worker, delay_ms);
}

#endif /* TEST_KICKS_H */
