/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The host that is the kernel: what src/port.h promises.
 */
#ifndef ZS_PORT_LINUX_H
#define ZS_PORT_LINUX_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/numa.h>
#include <linux/prefetch.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "core.h"

/* The core's API has names of its own here: see core.h. */
#define zs_malloc core_malloc
#define zs_free core_free
#define zs_free_deferred core_free_deferred
#define zs_free_deferred_flush core_free_deferred_flush
#define zs_obj_read_begin core_obj_read_begin
#define zs_obj_read_end core_obj_read_end
#define zs_obj_write core_obj_write
#define zs_huge_class_size core_huge_class_size
#define zs_get_total_pages core_get_total_pages
#define zs_compact core_compact
#define zs_lookup_class_index core_lookup_class_index

static inline bool zs_is_err(unsigned long handle)
{
	return IS_ERR_VALUE(handle);
}

/* Pages. */
#define PORT_PAGE_SHIFT PAGE_SHIFT
#define PORT_PAGE_SIZE PAGE_SIZE
#define PORT_CHUNK_SIZE PAGE_SIZE
static_assert(PORT_CHUNK_SIZE % PORT_PAGE_SIZE == 0 && PORT_CHUNK_SIZE / PORT_PAGE_SIZE <= 32,
	      "a chunk of a table is whole pages, each of which is a bit of a word");
#define PORT_CACHELINE 64
#define PORT_MAX_CHAIN 16 /* a zspage in use in part has all of its pages */

/* Locks. */
struct port_lock {
	spinlock_t spin;
};

/*
 * A drain is also tried from where one may not sleep, and given back there: the mutex knows both,
 * and is never asked for by an interrupt.
 */
struct port_mutex {
	struct mutex mutex;
};

static inline void port_lock(struct port_lock *lock)
{
	spin_lock(&lock->spin);
}

static inline bool port_trylock(struct port_lock *lock)
{
	return spin_trylock(&lock->spin);
}

static inline void port_unlock(struct port_lock *lock)
{
	spin_unlock(&lock->spin);
}

static inline void port_mutex_lock(struct port_mutex *mutex)
{
	mutex_lock(&mutex->mutex);
}

static inline bool port_mutex_trylock(struct port_mutex *mutex)
{
	return mutex_trylock(&mutex->mutex);
}

static inline void port_mutex_unlock(struct port_mutex *mutex)
{
	mutex_unlock(&mutex->mutex);
}

static inline bool port_may_sleep(gfp_t flags)
{
	return gfpflags_allow_blocking(flags);
}

/* CPUs. */
static inline unsigned int port_cpus(void)
{
	return nr_cpu_ids;
}

/* A CPU's lane is its own while it does not preempt. 0 would be no lane. */
static inline unsigned int port_lanes(void)
{
	return nr_cpu_ids + 1;
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

static inline bool port_crowded(void)
{
	return !single_task_running();
}

/* Fences: a CPU whose lane is to be closed is interrupted. */
static inline void port_fence_light(void)
{
	barrier();
}

static inline bool port_fence_works(void)
{
	return true;
}

void port_fence_heavy(bool (*wanted)(const void *arg, unsigned int lane), const void *arg);

/* Memory: tables are the kernel's own, which is there or not. Pages also point to their descriptor. */
static inline bool port_can_discard(void)
{
	return false;
}

/* Chains: a zspage is a handful of pages. There is no high memory in a 64-bit kernel. */
struct port_chain {
	struct {
	} none; /* a flexible array may not be alone */
	struct page *page[];
};

static inline size_t port_chain_bytes(unsigned int pages)
{
	return pages * sizeof(struct page *);
}

static inline unsigned int port_chain_held(unsigned int pages, size_t end)
{
	return pages;
}

static inline size_t port_chain_idle(unsigned int pages)
{
	return pages * PAGE_SIZE / 2;
}

/* A slot that begins on one page may end on the next. */
static inline void port_chain_piece(size_t *offset, size_t *len)
{
	size_t first = PAGE_SIZE - offset_in_page(*offset);

	if (*len <= first)
		return;
	if (first >= *len - first) {
		*len = first;
	} else {
		*offset += first;
		*len -= first;
	}
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

/* The page store: see store.c. */
struct page_bag;

struct port_store {
	struct port_lock lock; /* protects what follows */
	struct page_bag *bags;
	unsigned long pages; /* in the bags */
	atomic64_t migrated; /* pages that the kernel has replaced; needs no lock */
	bool asked; /* to be trimmed */
};

/* A work item; due is when it is to run, in jiffies, or WORKER_IDLE. */
struct port_worker {
	struct delayed_work work;
	atomic64_t due;
	void (*run)(void *arg);
	void *arg;
};

/* A work item that runs once. */
struct port_helper {
	struct work_struct work;
	void (*run)(void *arg);
	void *arg;
};

struct port_out {
	struct seq_file *seq;
};

#endif /* ZS_PORT_LINUX_H */
