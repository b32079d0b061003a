/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Memory, locks, the worker, time and messages: the small things that src/port.h asks for.
 */
#define pr_fmt(fmt) "zsmalloc: " fmt

#include <linux/ktime.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "host_pool.h"

#define WORKER_IDLE S64_MAX
/* From here on kmalloc() has caches of powers of two alone, whose memory is aligned. */
#define ALLOC_LEAST 256

/* One class of locks for each rank: only one lock of a rank is held at a time. */
static struct lock_class_key lock_keys[PORT_RANK_STORE + 1];

struct workqueue_struct *port_workqueue;

void port_lock_init(struct port_lock *lock, enum port_rank rank)
{
	spin_lock_init(&lock->spin);
	lockdep_set_class(&lock->spin, &lock_keys[rank]);
}

void port_lock_destroy(struct port_lock *lock)
{
}

int port_mutex_init(struct port_mutex *mutex, enum port_rank rank)
{
	mutex_init(&mutex->mutex);
	lockdep_set_class(&mutex->mutex, &lock_keys[rank]);
	return 0;
}

void port_mutex_destroy(struct port_mutex *mutex)
{
	mutex_destroy(&mutex->mutex);
}

/* The flags that come with an object ask for pages that can move; the core's own memory can't. */
void *port_alloc(size_t size, gfp_t flags)
{
	flags &= ~(__GFP_HIGHMEM | __GFP_MOVABLE);
	return kvzalloc(max_t(size_t, size, ALLOC_LEAST), flags | __GFP_NOWARN);
}

/* Without a look for memory that could be freed: the shrinker waits for the drain that asks. */
void *port_alloc_extra(size_t size)
{
	return port_alloc(size, GFP_NOWAIT | __GFP_NOMEMALLOC);
}

void port_free(void *memory, size_t size)
{
	kvfree(memory);
}

void port_discard(void *memory, size_t size)
{
}

/* The worker may be what reclaim waits for: whatever it allocates, it does not wait for reclaim. */
static void worker_run(struct work_struct *work)
{
	struct port_worker *worker = container_of(to_delayed_work(work), struct port_worker, work);
	unsigned int saved = memalloc_noio_save();

	/* Full order, as in port_worker_kick(): a kick that is not seen here starts the next run. */
	atomic64_xchg(&worker->due, WORKER_IDLE);
	worker->run(worker->arg);
	memalloc_noio_restore(saved);
}

int port_worker_init(struct port_worker *worker, void (*run)(void *arg), void *arg)
{
	worker->run = run;
	worker->arg = arg;
	atomic64_set(&worker->due, WORKER_IDLE);
	INIT_DELAYED_WORK(&worker->work, worker_run);
	return 0;
}

/* The jiffies until a worker is due; many if it is not. */
static s64 worker_left(const struct port_worker *worker)
{
	return max_t(s64, atomic64_read(&worker->due) - (s64)jiffies, 0);
}

/*
 * Have a worker start when it is due. Whoever makes it due earlier meanwhile may be here first, and what
 * he arms be armed anew for later: so the last one looks whether that was too late.
 */
static void worker_arm(struct port_worker *worker)
{
	s64 left = worker_left(worker), armed;

	do {
		if (left > MAX_JIFFY_OFFSET)
			return; /* it has begun since */
		armed = left;
		mod_delayed_work(port_workqueue, &worker->work, (unsigned long)armed);
		smp_mb(); /* pairs with the exchange in port_worker_kick() */
		left = worker_left(worker);
	} while (left < armed);
}

/*
 * Whether it is in the queue, where it keeps its place, or waits for a timer that goes off by then. (A tick
 * may have passed when it was armed.)
 */
static bool worker_is_armed(struct port_worker *worker, s64 due)
{
	const struct timer_list *timer = &worker->work.timer;

	smp_rmb(); /* it was armed after it was due: it will see what it is to do */
	return work_pending(&worker->work.work) &&
	       (!timer_pending(timer) || (s64)READ_ONCE(timer->expires) <= due + 1);
}

void port_worker_kick(struct port_worker *worker, unsigned int delay_ms)
{
	s64 due = (s64)(jiffies + msecs_to_jiffies(delay_ms));
	s64 old;

	smp_mb(); /* pairs with the exchange in worker_run(): what was queued before is seen there */
	old = atomic64_read(&worker->due);
	while (due < old) {
		s64 seen = atomic64_cmpxchg(&worker->due, old, due);

		if (seen == old) {
			worker_arm(worker);
			return;
		}
		old = seen;
	}
	/* Who asked for that may have been stopped before it could arm the timer. */
	if (!worker_is_armed(worker, old))
		worker_arm(worker);
}

void port_worker_stop(struct port_worker *worker)
{
	cancel_delayed_work_sync(&worker->work);
}

static void helper_run(struct work_struct *work)
{
	struct port_helper *helper = container_of(work, struct port_helper, work);
	unsigned int saved = memalloc_noio_save(); /* as in worker_run() */

	helper->run(helper->arg);
	memalloc_noio_restore(saved);
}

int port_helper_start(struct port_helper *helper, void (*run)(void *arg), void *arg)
{
	helper->run = run;
	helper->arg = arg;
	INIT_WORK(&helper->work, helper_run);
	queue_work(port_workqueue, &helper->work);
	return 0;
}

/* One that has not begun is not waited for: without memory it might wait for a thread for long. */
void port_helper_end(struct port_helper *helper)
{
	cancel_work_sync(&helper->work);
}

struct fence {
	bool (*wanted)(const void *arg, unsigned int lane);
	const void *arg;
};

static bool fence_is_wanted(int cpu, void *arg)
{
	const struct fence *fence = arg;

	return fence->wanted(fence->arg, (unsigned int)cpu + 1);
}

static void fence_pass(void *unused)
{
	smp_mb();
}

/* Between these fences and that of each CPU: what was written before on one side is seen on the other. */
void port_fence_heavy(bool (*wanted)(const void *arg, unsigned int lane), const void *arg)
{
	struct fence fence = { .wanted = wanted, .arg = arg };

	smp_mb();
	on_each_cpu_cond(fence_is_wanted, fence_pass, &fence, true);
	smp_mb();
}

int port_workqueue_init(void)
{
	port_workqueue = alloc_workqueue("zsmalloc", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return port_workqueue ? 0 : -ENOMEM;
}

void port_workqueue_exit(void)
{
	destroy_workqueue(port_workqueue);
}

u64 port_now(void)
{
	return ktime_get_ns();
}

/* The kernel trusts its callers; one that was caught is a bug of the kernel's. */
void port_misuse(const char *pool, bool fatal, const char *what, unsigned long handle)
{
	pr_err("pool '%s': %s %#lx\n", pool ? pool : "", what, handle);
	WARN_ON_ONCE(true);
}

bool port_misuse_is_fatal(void)
{
	return false;
}

void port_print(struct port_out *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	seq_vprintf(out->seq, format, args);
	va_end(args);
}
