/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The host that is the kernel: what src/port.h promises.
 */
#ifndef ZS_PORT_LINUX_H
#define ZS_PORT_LINUX_H

#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/prefetch.h>
#include <linux/sched/stat.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "compat.h"

/* Pages. */
#define PORT_PAGE_SHIFT PAGE_SHIFT
#define PORT_PAGE_SIZE PAGE_SIZE
#define PORT_CHUNK_SIZE PAGE_SIZE
#define PORT_CACHELINE 64
#define PORT_MAX_CHAIN 16 /* a zspage in use in part has all of its pages */

/* Locks. */
struct port_lock {
	spinlock_t lock;
};

/*
 * Of a mutex, port_mutex_trylock() and port_mutex_unlock() may be called in atomic context, in a
 * task. No interrupt takes one.
 */
struct port_mutex {
	struct mutex lock;
};

static inline void port_lock(struct port_lock *lock)
{
	spin_lock(&lock->lock);
}

static inline bool port_trylock(struct port_lock *lock)
{
	return spin_trylock(&lock->lock);
}

static inline void port_unlock(struct port_lock *lock)
{
	spin_unlock(&lock->lock);
}

static inline void port_mutex_lock(struct port_mutex *mutex)
{
	mutex_lock(&mutex->lock);
}

static inline bool port_mutex_trylock(struct port_mutex *mutex)
{
	return mutex_trylock(&mutex->lock);
}

static inline void port_mutex_unlock(struct port_mutex *mutex)
{
	mutex_unlock(&mutex->lock);
}

static inline bool port_may_sleep(gfp_t flags)
{
	return gfpflags_allow_blocking(flags);
}

/* Assertions. */
#define port_assert_held(held) lockdep_assert_held(&(held)->lock)

#ifdef ZS_DEBUG
#define port_assert(condition) ((void)WARN_ON_ONCE(!(condition)))
#else
#define port_assert(condition) ((void)sizeof(!(condition)))
#endif

/* CPUs. */
static inline unsigned int port_cpus(void)
{
	return nr_cpu_ids;
}

static inline bool port_crowded(void)
{
	return !single_task_running();
}

/* Lanes: a CPU's is its own while it does not preempt. Lane 0 is none. */
static inline unsigned int port_lanes(void)
{
	return nr_cpu_ids + 1;
}

static inline unsigned int port_lanes_used(void)
{
	return port_lanes();
}

static inline unsigned int port_lane_get(void)
{
	return get_cpu() + 1;
}

static inline unsigned int port_lane_claim(void)
{
	return port_lane_get();
}

static inline void port_lane_put(void)
{
	put_cpu();
}

/*
 * Fences. A CPU in its lane does not preempt, so it is in a read-side section of RCU. The heavy
 * side waits until all such sections that had begun are over; those that begin later see what it
 * wrote.
 */
static inline void port_fence_light(void)
{
	barrier();
}

static inline void port_fence_heavy(void)
{
	synchronize_rcu();
}

static inline bool port_fence_works(void)
{
	return true;
}

/* Chains: a zspage is a handful of pages. There is no high memory in a 64-bit kernel. */
#define PORT_CHAIN_CONTIGUOUS false

struct port_chain {
	DECLARE_FLEX_ARRAY(struct page *, page);
};

static inline size_t port_chain_bytes(unsigned int pages)
{
	return pages * sizeof(struct page *);
}

static inline u64 port_chain_base(const struct port_chain *chain)
{
	return 0;
}

static inline unsigned int port_chain_held(unsigned int pages, size_t end)
{
	return pages;
}

static inline size_t port_chain_idle(unsigned int pages)
{
	return pages * PAGE_SIZE / 2;
}

static inline void *port_chain_at(const struct port_chain *chain, size_t offset, size_t len)
{
	if (offset_in_page(offset) + len > PAGE_SIZE)
		return NULL;
	return (char *)page_address(chain->page[offset >> PAGE_SHIFT]) + offset_in_page(offset);
}

void port_chain_copy(const struct port_chain *to, size_t to_offset, const struct port_chain *from,
		     size_t from_offset, size_t len);
void port_chain_read(const struct port_chain *chain, size_t offset, void *to, size_t len);
void port_chain_write(const struct port_chain *chain, size_t offset, const void *from, size_t len);

/* A page of a chain is always there: there is none to bring in, and none to give back. */
struct port_reach {
	size_t bytes;
};

static inline struct port_reach port_chain_reach(struct port_chain *chain, unsigned int pages,
						 size_t end)
{
	return (struct port_reach){ .bytes = 0 };
}

static inline void port_reach_in(struct port_reach reach)
{
}

static inline void port_chain_discard(struct port_chain *chain, size_t offset, unsigned int pages)
{
}

/* What a page that port_page_alloc() returns begins with: nothing. */
struct port_page {
};

/* The page store: see store.c. */
struct page_bag;

struct port_store {
	struct port_lock lock; /* protects what follows */
	struct page_bag *bags;
	unsigned long pages; /* in the bags, or about to go back; read without the lock */
	atomic64_t migrated; /* pages that the kernel has replaced; needs no lock */
};

/* A work item. */
struct port_worker {
	struct workqueue_struct *queue; /* unbound; makes progress under reclaim */
	struct delayed_work work;
	raw_spinlock_t lock; /* protects due */
	u64 due; /* when the work item starts, in jiffies; WORKER_IDLE if it does not */
	void (*run)(void);
};

static inline bool port_worker_there(const struct port_worker *worker)
{
	return true;
}

/* A file of debugfs that is read. */
struct port_out {
	struct seq_file seq;
};

#endif /* ZS_PORT_LINUX_H */
