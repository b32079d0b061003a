/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The worker of a process: a thread that sleeps until it is due.
 *
 * A kick lowers the due time and posts a semaphore, which never blocks. The thread runs the
 * function when the time has come; a kick that arrives while it runs sets the next time. A
 * kicker may be stopped in between. So the thread says until when it sleeps, and a kick for later
 * than it is due looks whether it was called.
 */
#include <pthread.h>
#include <time.h>

#include "port.h"
#include "thread.h"

#define WORKER_IDLE (~0ULL)
#define WORKER_STOP 0ULL

static void wait_until(sem_t *wake, u64 due)
{
	struct timespec time = {
		.tv_sec = (time_t)(due / 1000000000ULL),
		.tv_nsec = (long)(due % 1000000000ULL),
	};

	if (due == WORKER_IDLE)
		sem_wait(wake);
	else
		sem_clockwait(wake, CLOCK_MONOTONIC, &time);
}

/*
 * Sleep until it is due, or there is a call. The fences pair with the one in worker_oversleeps().
 */
static void worker_sleep(struct port_worker *worker, u64 due)
{
	atomic64_set(&worker->until, due);
	smp_mb(); /* a kicker that makes it due earlier, and is not seen here, sees this */
	if (atomic64_read(&worker->due) == due)
		wait_until(&worker->wake, due);
	atomic64_set(&worker->until, 0);
	smp_mb(); /* the call is gone before it is read when it is due */
}

/*
 * Pairs with the fence in port_worker_kick(): a kick that comes too late for this run starts
 * another.
 */
static void worker_run(struct port_worker *worker)
{
	smp_mb__after_atomic();
	worker->run();
}

static void *worker_thread(void *arg)
{
	struct port_worker *worker = arg;

	for (;;) {
		u64 due = atomic64_read_acquire(&worker->due);

		if (due == WORKER_STOP)
			return NULL;
		if (due > port_now()) /* IDLE is later than anything */
			worker_sleep(worker, due);
		else if (atomic64_cmpxchg(&worker->due, due, WORKER_IDLE) == due)
			worker_run(worker);
	}
}

int port_worker_init(struct port_worker *worker, void (*run)(void))
{
	worker->run = run;
	atomic64_set(&worker->due, WORKER_IDLE);
	atomic64_set(&worker->until, 0);
	if (sem_init(&worker->wake, 0, 0))
		return -ENOMEM;
	if (thread_create(&worker->thread, worker_thread, worker)) {
		sem_destroy(&worker->wake);
		return -ENOMEM;
	}
	return 0;
}

/* Returns whether the worker, which is due then, sleeps longer, and no kicker has called it. */
static bool worker_oversleeps(struct port_worker *worker, u64 due)
{
	int posted = 0;

	smp_mb(); /* pairs with those in worker_sleep() */
	if (atomic64_read(&worker->until) <= due)
		return false;
	sem_getvalue(&worker->wake, &posted);
	return posted <= 0;
}

void port_worker_kick(struct port_worker *worker, unsigned int delay_ms)
{
	u64 due = port_now() + delay_ms * 1000000ULL;
	u64 old;

	smp_mb(); /* what the kick is for is there before the worker, found due, begins */
	old = atomic64_read(&worker->due);

	while (due < old) {
		u64 seen = atomic64_cmpxchg(&worker->due, old, due);

		if (seen == old) {
			sem_post(&worker->wake);
			return;
		}
		old = seen;
	}
	/* The kicker that asked for that may have been stopped before it could post. */
	if (old != WORKER_STOP && worker_oversleeps(worker, old))
		sem_post(&worker->wake);
}

void port_worker_stop(struct port_worker *worker)
{
	atomic64_set_release(&worker->due, WORKER_STOP);
	sem_post(&worker->wake);
	pthread_join(worker->thread, NULL);
	sem_destroy(&worker->wake);
}
