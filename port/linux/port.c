/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Memory, locks, the worker, time and messages: the small things that src/port.h asks for.
 */
#define pr_fmt(fmt) "zsmalloc: " fmt

#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "host.h"

#define WORKER_IDLE U64_MAX

/* A class of locks for each rank: a task holds one lock of a rank at a time. */
static struct lock_class_key lock_keys[PORT_RANK_STORE + 1];

void port_lock_init(struct port_lock *lock, enum port_rank rank)
{
	spin_lock_init(&lock->lock);
	lockdep_set_class(&lock->lock, &lock_keys[rank]);
}

void port_mutex_init(struct port_mutex *mutex, enum port_rank rank)
{
	mutex_init(&mutex->lock);
	lockdep_set_class(&mutex->lock, &lock_keys[rank]);
}

/* The flags that come with an object ask for pages that can move; the core's own memory cannot. */
void *port_alloc(size_t size, gfp_t flags)
{
	flags &= ~(__GFP_HIGHMEM | __GFP_MOVABLE);
	/* Of small memory kmalloc() aligns to a cache line what is a power of two long. */
	if (size < PAGE_SIZE)
		size = roundup_pow_of_two(max_t(size_t, size, PORT_CACHELINE));
	return kvzalloc(size, flags | __GFP_NOWARN);
}

void port_free(void *memory, size_t size)
{
	kvfree(memory);
}

/* The worker may be what reclaim waits for: what it allocates does not wait for reclaim. */
static void worker_run(struct work_struct *work)
{
	struct port_worker *worker = container_of(to_delayed_work(work), struct port_worker, work);
	unsigned int saved = memalloc_noio_save();

	/* A kick before this has its effect in this run; one behind it starts another. */
	raw_spin_lock_irq(&worker->lock);
	worker->due = WORKER_IDLE;
	raw_spin_unlock_irq(&worker->lock);
	worker->run();
	memalloc_noio_restore(saved);
}

int port_worker_init(struct port_worker *worker, void (*run)(void))
{
	worker->queue = alloc_workqueue("zsmalloc", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!worker->queue)
		return -ENOMEM;
	INIT_DELAYED_WORK(&worker->work, worker_run);
	raw_spin_lock_init(&worker->lock);
	worker->due = WORKER_IDLE;
	worker->run = run;
	return 0;
}

void port_worker_kick(struct port_worker *worker, unsigned int delay_ms)
{
	unsigned long delay = msecs_to_jiffies(delay_ms), flags;
	u64 due = get_jiffies_64() + delay;

	raw_spin_lock_irqsave(&worker->lock, flags);
	if (due < worker->due) {
		worker->due = due;
		mod_delayed_work(worker->queue, &worker->work, delay);
	}
	raw_spin_unlock_irqrestore(&worker->lock, flags);
}

void port_worker_stop(struct port_worker *worker)
{
	cancel_delayed_work_sync(&worker->work);
	destroy_workqueue(worker->queue);
}

u64 port_now(void)
{
	return ktime_get_ns();
}

/* The kernel trusts its callers; a wrong call is a bug of the kernel's. */
void port_misuse(const char *pool, bool fatal, const char *function, const char *what,
		 unsigned long handle)
{
	if (handle)
		pr_err("pool \"%s\": %s: %s %#lx\n", pool ? pool : "", function, what, handle);
	else
		pr_err("pool \"%s\": %s: %s\n", pool ? pool : "", function, what);
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
	seq_vprintf(&out->seq, format, args);
	va_end(args);
}
