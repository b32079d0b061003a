/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The worker of a process: a thread that sleeps until it is due.
 *
 * A kick makes it due earlier, and wakes it if it sleeps longer. The thread says until when it is
 * about to sleep, and looks once more at when it is due. Every kicker looks at what the thread
 * says, even if the thread is due early enough. The kicker that made it so may be stopped before it
 * wakes the thread. A kick that arrives while the function runs sets the next time.
 *
 * A filter that comes later may refuse the wake, while the thread sleeps. So it sleeps for a few
 * seconds at most. From then on its own sleep is refused, too, and it looks every millisecond.
 *
 * A child of fork() has no thread of its parent's. The first kick there starts another.
 */
#include <pthread.h>
#include <sys/prctl.h>

#include "port.h"
#include "thread.h"

#define WORKER_IDLE (~0ULL)
#define WORKER_STOP 0ULL
#define WORKER_MADE 1 /* values of started; 0: there is no thread */
#define WORKER_RUNS 2
#define WORKER_NAP_NS 10000000000ULL /* it sleeps so long at most */

/* Sleeps until @due, which is later than @now, or until a kick. May return early. */
static void worker_sleep(struct port_worker *worker, u64 due, u64 now)
{
	u64 until = due - now > WORKER_NAP_NS ? now + WORKER_NAP_NS : due;
	int calls = atomic_read(&worker->calls);

	atomic64_set(&worker->until, until);
	smp_mb(); /* pairs with the one in worker_call() */
	if (atomic64_read(&worker->due) == due)
		port_futex_wait(&worker->calls, calls, until);
	atomic64_set(&worker->until, 0);
}

static void *worker_thread(void *arg)
{
	struct port_worker *worker = arg;

	prctl(PR_SET_NAME, "zsmalloc");
	atomic_set(&worker->started, WORKER_RUNS);
	port_futex_wake(&worker->started);
	for (;;) {
		u64 due = atomic64_read_acquire(&worker->due), now = port_now();

		if (due == WORKER_STOP)
			return NULL;
		if (due > now) { /* IDLE is later than anything */
			worker_sleep(worker, due, now);
		} else if (atomic64_cmpxchg(&worker->due, due, WORKER_IDLE) == due) {
			/* With the fence in port_worker_kick(): a later kick has another run. */
			smp_mb__after_atomic();
			worker->run();
		}
	}
}

/* Starts the thread, unless it is there or another caller starts it. Returns 0 or -ENOMEM. */
static int worker_start(struct port_worker *worker)
{
	if (atomic_cmpxchg(&worker->started, 0, WORKER_MADE))
		return 0;
	if (!thread_create(&worker->thread, worker_thread, worker))
		return 0;
	atomic_set(&worker->started, 0);
	return -ENOMEM;
}

void port_worker_forked(struct port_worker *worker)
{
	atomic_set(&worker->started, 0);
	atomic64_set(&worker->due, WORKER_IDLE);
	atomic64_set(&worker->until, 0);
}

int port_worker_init(struct port_worker *worker, void (*run)(void))
{
	worker->run = run;
	port_worker_forked(worker);
	if (worker_start(worker))
		return -ENOMEM;
	/* What the libc calls in a new thread, a filter may refuse that comes next. */
	while (atomic_read(&worker->started) == WORKER_MADE)
		port_futex_wait(&worker->started, WORKER_MADE, ~0ULL);
	return 0;
}

/* Wakes the thread if it sleeps longer than @due, when the caller found it due or made it so. */
static void worker_call(struct port_worker *worker, u64 due)
{
	smp_mb(); /* pairs with the one in worker_sleep() */
	if (atomic64_read(&worker->until) <= due)
		return;
	atomic_inc(&worker->calls);
	port_futex_wake(&worker->calls);
}

void port_worker_kick(struct port_worker *worker, unsigned int delay_ms)
{
	u64 due = port_now() + delay_ms * 1000000ULL;
	u64 old;

	smp_mb(); /* what the kick is for is there before the worker, found due, begins */
	old = atomic64_read(&worker->due);
	while (due < old) {
		u64 seen = atomic64_cmpxchg(&worker->due, old, due);

		if (seen == old)
			old = due;
		else
			old = seen;
	}
	if (old == WORKER_STOP)
		return;
	worker_call(worker, old);
	if (unlikely(!port_worker_there(worker)))
		worker_start(worker);
}

void port_worker_stop(struct port_worker *worker)
{
	if (!port_worker_there(worker))
		return;
	atomic64_set(&worker->due, WORKER_STOP);
	worker_call(worker, WORKER_STOP);
	thread_join(worker->thread);
	atomic_set(&worker->started, 0);
}
