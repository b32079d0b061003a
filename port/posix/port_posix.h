/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The host that is a process: what src/port.h promises, from C11 and POSIX.
 */
#ifndef ZS_PORT_POSIX_H
#define ZS_PORT_POSIX_H

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "zsmalloc.h"

_Static_assert(sizeof(void *) == 8, "zsmalloc needs a 64-bit machine");

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define likely(x) __builtin_expect(!!(x), 1)
#define noinline __attribute__((noinline))
#ifndef __always_inline /* glibc has it too */
#define __always_inline inline __attribute__((always_inline))
#endif
#define unlikely(x) __builtin_expect(!!(x), 0)
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#define ALIGN(n, a) (DIV_ROUND_UP(n, a) * (a))

/* Pages. The size is the system's, known when the first pool is made. */
extern unsigned int port_page_shift;

#define PORT_PAGE_SHIFT port_page_shift
#define PORT_PAGE_SIZE (1UL << PORT_PAGE_SHIFT)
#define PORT_CHUNK_SIZE 65536UL /* whole pages, or there is no pool: api.c */
#define PORT_CACHELINE 64
#define PORT_MAX_CHAIN 32

/* Atomics. */
typedef struct {
	u32 counter;
} atomic_t;

typedef struct {
	u64 counter;
} atomic64_t;

#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELAXED)
#define smp_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, value) __atomic_store_n(p, value, __ATOMIC_RELEASE)

static inline int atomic_read(const atomic_t *v)
{
	return (int)__atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline int atomic_read_acquire(const atomic_t *v)
{
	return (int)__atomic_load_n(&v->counter, __ATOMIC_ACQUIRE);
}

static inline void atomic_set(atomic_t *v, int value)
{
	__atomic_store_n(&v->counter, (u32)value, __ATOMIC_RELAXED);
}

static inline void atomic_inc(atomic_t *v)
{
	__atomic_fetch_add(&v->counter, 1, __ATOMIC_RELAXED);
}

static inline int atomic_fetch_sub_release(int value, atomic_t *v)
{
	return (int)__atomic_fetch_sub(&v->counter, (u32)value, __ATOMIC_RELEASE);
}

static inline int atomic_cmpxchg_acquire(atomic_t *v, int old, int value)
{
	u32 expected = (u32)old;

	__atomic_compare_exchange_n(&v->counter, &expected, (u32)value, false, __ATOMIC_ACQUIRE,
				    __ATOMIC_RELAXED);
	return (int)expected;
}

static inline int atomic_cmpxchg(atomic_t *v, int old, int value)
{
	u32 expected = (u32)old;

	__atomic_compare_exchange_n(&v->counter, &expected, (u32)value, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_RELAXED);
	return (int)expected;
}

static inline int atomic_xchg_release(atomic_t *v, int value)
{
	return (int)__atomic_exchange_n(&v->counter, (u32)value, __ATOMIC_RELEASE);
}

static inline int atomic_xchg_acquire(atomic_t *v, int value)
{
	return (int)__atomic_exchange_n(&v->counter, (u32)value, __ATOMIC_ACQUIRE);
}

static inline u64 atomic64_read(const atomic64_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline u64 atomic64_read_acquire(const atomic64_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE);
}

static inline void atomic64_set(atomic64_t *v, u64 value)
{
	__atomic_store_n(&v->counter, value, __ATOMIC_RELAXED);
}

static inline void atomic64_set_release(atomic64_t *v, u64 value)
{
	__atomic_store_n(&v->counter, value, __ATOMIC_RELEASE);
}

static inline void atomic64_add(u64 value, atomic64_t *v)
{
	__atomic_fetch_add(&v->counter, value, __ATOMIC_RELAXED);
}

static inline void atomic64_sub(u64 value, atomic64_t *v)
{
	__atomic_fetch_sub(&v->counter, value, __ATOMIC_RELAXED);
}

static inline u64 atomic64_add_return_relaxed(u64 value, atomic64_t *v)
{
	return __atomic_add_fetch(&v->counter, value, __ATOMIC_RELAXED);
}

static inline u64 atomic64_fetch_add_release(u64 value, atomic64_t *v)
{
	return __atomic_fetch_add(&v->counter, value, __ATOMIC_RELEASE);
}

static inline u64 atomic64_fetch_or(u64 bits, atomic64_t *v)
{
	return __atomic_fetch_or(&v->counter, bits, __ATOMIC_SEQ_CST);
}

static inline u64 atomic64_fetch_andnot(u64 bits, atomic64_t *v)
{
	return __atomic_fetch_and(&v->counter, ~bits, __ATOMIC_SEQ_CST);
}

static inline u64 atomic64_xchg_acquire(atomic64_t *v, u64 value)
{
	return __atomic_exchange_n(&v->counter, value, __ATOMIC_ACQUIRE);
}

static inline u64 atomic64_cmpxchg(atomic64_t *v, u64 old, u64 value)
{
	__atomic_compare_exchange_n(&v->counter, &old, value, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_RELAXED);
	return old;
}

/* Bits and hints. */
static inline unsigned int __ffs64(u64 word)
{
	return (unsigned int)__builtin_ctzll(word);
}

static inline unsigned int fls64(u64 word)
{
	return word ? 64U - (unsigned int)__builtin_clzll(word) : 0;
}

static inline unsigned int hweight64(u64 word)
{
	return (unsigned int)__builtin_popcountll(word);
}

static inline void prefetchw(const void *address)
{
	__builtin_prefetch(address, 1);
}

/*
 * Locks: a word; lock.c has what happens when one is not free. Zeroed memory is a free lock.
 */
enum port_lock_state {
	PORT_LOCK_FREE,
	PORT_LOCK_HELD,
	PORT_LOCK_WANTED, /* held, and a thread sleeps until it is not */
};

struct port_lock {
	atomic_t state;
#ifdef ZS_DEBUG
	int rank;
	const void *holder; /* a word of the thread that holds it */
#endif
};

struct port_mutex {
	struct port_lock lock;
};

void port_futex_wait(atomic_t *word, int value, u64 until);
void port_futex_wake(atomic_t *word);
void port_lock_wait(struct port_lock *lock);
void port_lock_wake(struct port_lock *lock);

#ifdef ZS_DEBUG
void port_debug_taken(struct port_lock *lock);
void port_debug_dropped(struct port_lock *lock);
void port_debug_held(const struct port_lock *lock, const char *where);
void port_debug_failed(const char *condition, const char *where) __attribute__((noreturn));

#define PORT_WHERE_(line) __FILE__ ":" #line
#define PORT_WHERE(line) PORT_WHERE_(line)
#define port_assert(condition)                                                                     \
	((condition) ? (void)0 : port_debug_failed(#condition, PORT_WHERE(__LINE__)))
/* Of a struct port_lock or, whose first member is one, a struct port_mutex. */
#define port_assert_held(lock)                                                                     \
	port_debug_held((const struct port_lock *)(lock), PORT_WHERE(__LINE__))
#else
#define port_debug_taken(lock) ((void)(lock))
#define port_debug_dropped(lock) ((void)(lock))
#define port_assert(condition) ((void)sizeof(!(condition)))
#define port_assert_held(lock) ((void)(lock))
#endif

/* Pairs with the release in port_unlock(). */
static inline bool port_lock_try(struct port_lock *lock)
{
	return atomic_cmpxchg_acquire(&lock->state, PORT_LOCK_FREE, PORT_LOCK_HELD) ==
	       PORT_LOCK_FREE;
}

static inline void port_lock(struct port_lock *lock)
{
	if (unlikely(!port_lock_try(lock)))
		port_lock_wait(lock);
	port_debug_taken(lock);
}

static inline bool port_trylock(struct port_lock *lock)
{
	if (!port_lock_try(lock))
		return false;
	port_debug_taken(lock);
	return true;
}

static inline void port_unlock(struct port_lock *lock)
{
	port_debug_dropped(lock);
	if (unlikely(atomic_xchg_release(&lock->state, PORT_LOCK_FREE) == PORT_LOCK_WANTED))
		port_lock_wake(lock);
}

static inline void port_mutex_lock(struct port_mutex *mutex)
{
	port_lock(&mutex->lock);
}

static inline bool port_mutex_trylock(struct port_mutex *mutex)
{
	return port_trylock(&mutex->lock);
}

static inline void port_mutex_unlock(struct port_mutex *mutex)
{
	port_unlock(&mutex->lock);
}

static inline bool port_may_sleep(gfp_t flags)
{
	return flags & GFP_KERNEL;
}

/* CPUs. */
unsigned int port_cpus(void);

static inline void cond_resched(void)
{
	sched_yield();
}

/* The system's scheduler gives the worker its share; it need not pause. */
static inline bool port_crowded(void)
{
	return false;
}

/*
 * Lanes: see lane.c. A thread keeps its own for as long as it lives. Above 0 the number of the
 * thread's lane, 0 as long as it has none, below once the thread ends.
 */
#define PORT_LANES 256U /* lane 0 has no owner */

#ifdef __GLIBC__ /* which has room for such data of libraries that are loaded by hand */
#define PORT_TLS __attribute__((tls_model("initial-exec")))
#else
#define PORT_TLS
#endif

extern _Thread_local int port_lane_own PORT_TLS;
extern atomic_t port_lanes_end;

unsigned int port_lane_claim(void);
void port_lanes_forked(void);

static inline unsigned int port_lanes(void)
{
	return PORT_LANES;
}

static inline unsigned int port_lanes_used(void)
{
	return (unsigned int)atomic_read_acquire(&port_lanes_end);
}

static inline unsigned int port_lane_get(void)
{
	int own = port_lane_own;

	return likely(own > 0) ? (unsigned int)own : 0;
}

static inline void port_lane_put(void)
{
}

/*
 * Fences. With membarrier() the heavy one makes every thread of the process pass a full fence. The
 * light one has only to keep the compiler from reordering.
 */
extern bool port_membarrier;

void port_fence_heavy(void);

static inline void barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

static inline void smp_mb(void)
{
	__sync_synchronize();
}

static inline void smp_mb__after_atomic(void)
{
#if defined(__x86_64__)
	barrier();
#else
	smp_mb();
#endif
}

static inline void port_fence_light(void)
{
	barrier();
}

static inline bool port_fence_works(void)
{
	return port_membarrier;
}

/* Chains: a zspage is contiguous memory. */
#define PORT_CHAIN_CONTIGUOUS true

struct region;

struct port_chain {
	char *base;
	struct region *region;
	u32 there; /* pages, from the first, that are in memory or soon will be */
};

/* What a page of the store that is a segment begins with. */
struct port_page {
	struct region *region;
};

static inline size_t port_chain_bytes(unsigned int pages)
{
	(void)pages;
	return sizeof(struct port_chain);
}

static inline u64 port_chain_base(const struct port_chain *chain)
{
	return (uintptr_t)chain->base;
}

/* Memory that was never written, or was discarded, is not resident. */
static inline unsigned int port_chain_held(unsigned int pages, size_t end)
{
	(void)pages;
	return (unsigned int)((end + PORT_PAGE_SIZE - 1) >> PORT_PAGE_SHIFT);
}

static inline size_t port_chain_idle(unsigned int pages)
{
	(void)pages;
	return PORT_PAGE_SIZE / 2;
}

static inline void port_chain_name(struct port_chain *chain, unsigned int pages, u32 number)
{
	(void)chain;
	(void)pages;
	(void)number;
}

/* Pages of a chain that are about to be written for the first time. */
struct port_reach {
	char *start;
	size_t bytes;
};

#define PORT_REACH 2U /* pages that come in at once */

static inline struct port_reach port_chain_reach(struct port_chain *chain, unsigned int pages,
						 size_t end)
{
	u32 from = chain->there;
	u32 to = (u32)((end + PORT_PAGE_SIZE - 1) >> PORT_PAGE_SHIFT);

	if (to <= from)
		return (struct port_reach){ .bytes = 0 };
	to = from + PORT_REACH > to ? from + PORT_REACH : to;
	to = to < pages ? to : pages;
	chain->there = to;
	return (struct port_reach){ chain->base + from * PORT_PAGE_SIZE,
				    (to - from) * PORT_PAGE_SIZE };
}

void port_reach_in(struct port_reach reach);

/* Always answers; the compilers and checkers may know. */
static inline void *port_chain_at(const struct port_chain *chain, size_t offset, size_t len)
{
	(void)len;
	if (!chain->base)
		__builtin_unreachable();
	return chain->base + offset;
}

static inline void port_chain_copy(const struct port_chain *to, size_t to_offset,
				   const struct port_chain *from, size_t from_offset, size_t len)
{
	memcpy(to->base + to_offset, from->base + from_offset, len);
}

/* Never needed here: port_chain_at() always answers. */
static inline void port_chain_read(const struct port_chain *chain, size_t offset, void *to,
				   size_t len)
{
	memcpy(to, chain->base + offset, len);
}

static inline void port_chain_write(const struct port_chain *chain, size_t offset, const void *from,
				    size_t len)
{
	memcpy(chain->base + offset, from, len);
}

#include "store.h"

/* See worker.c. */
struct port_worker {
	pthread_t thread;
	atomic_t started; /* not 0: there is a thread, or one is being made */
	atomic_t calls; /* that wake the thread, which sleeps on this word */
	atomic64_t due; /* when to run, in the time of port_now(); WORKER_IDLE for never */
	atomic64_t until; /* while it sleeps: when it will look again by itself; else 0 */
	void (*run)(void);
};

/* In a child of fork(): the thread is not there. */
void port_worker_forked(struct port_worker *worker);

static inline bool port_worker_there(const struct port_worker *worker)
{
	return atomic_read(&worker->started);
}

struct port_out {
	FILE *file;
};

#endif /* ZS_PORT_POSIX_H */
