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
#include <semaphore.h>
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
#ifndef __always_inline /* glibc has it as well */
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
#define PORT_MAX_CHAIN 32 /* a zspage is contiguous: a longer one costs no more to use */

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

#define xchg_acquire(p, value) __atomic_exchange_n(p, value, __ATOMIC_ACQUIRE)

/* Returns what was there: the exchange was made if that is @old. */
#define cmpxchg_release(p, old, value)                                                             \
	({                                                                                         \
		__typeof__(*(p)) expected_ = (old);                                                \
		__atomic_compare_exchange_n(p, &expected_, value, false, __ATOMIC_RELEASE,         \
					    __ATOMIC_RELAXED);                                     \
		expected_;                                                                         \
	})

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

static inline void atomic_set_release(atomic_t *v, int value)
{
	__atomic_store_n(&v->counter, (u32)value, __ATOMIC_RELEASE);
}

static inline void atomic_inc(atomic_t *v)
{
	__atomic_fetch_add(&v->counter, 1, __ATOMIC_RELAXED);
}

static inline void atomic_dec(atomic_t *v)
{
	__atomic_fetch_sub(&v->counter, 1, __ATOMIC_RELAXED);
}

static inline int atomic_inc_return_relaxed(atomic_t *v)
{
	return (int)__atomic_add_fetch(&v->counter, 1, __ATOMIC_RELAXED);
}

static inline int atomic_fetch_add_relaxed(int value, atomic_t *v)
{
	return (int)__atomic_fetch_add(&v->counter, (u32)value, __ATOMIC_RELAXED);
}

static inline int atomic_fetch_sub_relaxed(int value, atomic_t *v)
{
	return (int)__atomic_fetch_sub(&v->counter, (u32)value, __ATOMIC_RELAXED);
}

static inline int atomic_fetch_sub_release(int value, atomic_t *v)
{
	return (int)__atomic_fetch_sub(&v->counter, (u32)value, __ATOMIC_RELEASE);
}

static inline int atomic_fetch_or_relaxed(int bits, atomic_t *v)
{
	return (int)__atomic_fetch_or(&v->counter, (u32)bits, __ATOMIC_RELAXED);
}

static inline int atomic_fetch_andnot_release(int bits, atomic_t *v)
{
	return (int)__atomic_fetch_and(&v->counter, ~(u32)bits, __ATOMIC_RELEASE);
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

static inline int atomic_xchg(atomic_t *v, int value)
{
	return (int)__atomic_exchange_n(&v->counter, (u32)value, __ATOMIC_SEQ_CST);
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

static inline u64 atomic64_fetch_add_release(u64 value, atomic64_t *v)
{
	return __atomic_fetch_add(&v->counter, value, __ATOMIC_RELEASE);
}

static inline u64 atomic64_fetch_or_release(u64 bits, atomic64_t *v)
{
	return __atomic_fetch_or(&v->counter, bits, __ATOMIC_RELEASE);
}

static inline u64 atomic64_fetch_andnot_release(u64 bits, atomic64_t *v)
{
	return __atomic_fetch_and(&v->counter, ~bits, __ATOMIC_RELEASE);
}

static inline u64 atomic64_xchg_acquire(atomic64_t *v, u64 value)
{
	return __atomic_exchange_n(&v->counter, value, __ATOMIC_ACQUIRE);
}

static inline u64 atomic64_cmpxchg_relaxed(atomic64_t *v, u64 old, u64 value)
{
	__atomic_compare_exchange_n(&v->counter, &old, value, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
	return old;
}

static inline u64 atomic64_cmpxchg(atomic64_t *v, u64 old, u64 value)
{
	__atomic_compare_exchange_n(&v->counter, &old, value, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_RELAXED);
	return old;
}

/* Bytes. */
static inline u64 get_unaligned_le64(const void *from)
{
	u64 value;

	memcpy(&value, from, sizeof(value));
	return le64toh(value);
}

static inline void put_unaligned_le64(u64 value, void *to)
{
	value = htole64(value);
	memcpy(to, &value, sizeof(value));
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
 * Locks. A word, so that a size class and its lock share a cache line; lock.c has what happens when
 * one is not free.
 */
enum port_lock_state {
	PORT_LOCK_FREE,
	PORT_LOCK_HELD,
	PORT_LOCK_WANTED, /* held, and somebody sleeps until it is not */
};

struct port_lock {
	atomic_t state;
#ifdef ZS_DEBUG
	int rank;
#endif
};

struct port_mutex {
	struct port_lock lock;
};

void port_lock_wait(struct port_lock *lock);
void port_lock_wake(struct port_lock *lock);

#ifdef ZS_DEBUG
void port_debug_take(int rank);
void port_debug_drop(int rank);
#define PORT_DEBUG_TAKE(lock) port_debug_take((lock)->rank)
#define PORT_DEBUG_DROP(lock) port_debug_drop((lock)->rank)
#else
#define PORT_DEBUG_TAKE(lock) ((void)(lock))
#define PORT_DEBUG_DROP(lock) ((void)(lock))
#endif

/* Pairs with the release in port_unlock(). */
static inline bool port_lock_try(struct port_lock *lock)
{
	return atomic_cmpxchg_acquire(&lock->state, PORT_LOCK_FREE, PORT_LOCK_HELD) ==
	       PORT_LOCK_FREE;
}

static inline void port_lock(struct port_lock *lock)
{
	PORT_DEBUG_TAKE(lock);
	if (unlikely(!port_lock_try(lock)))
		port_lock_wait(lock);
}

static inline bool port_trylock(struct port_lock *lock)
{
	if (!port_lock_try(lock))
		return false;
	PORT_DEBUG_TAKE(lock);
	return true;
}

static inline void port_unlock(struct port_lock *lock)
{
	PORT_DEBUG_DROP(lock);
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
bool port_crowded(void);

/*
 * Lanes: see lane.c. A thread keeps its own for as long as it lives. Above 0 the number of the
 * thread's lane, 0 as long as it has not asked, below if it can have none.
 */
#define PORT_LANES 256U /* one of which is nobody's */

extern _Thread_local int port_lane_own __attribute__((tls_model("initial-exec")));

unsigned int port_lane_claim(void);

static inline unsigned int port_lanes(void)
{
	return PORT_LANES;
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
 * Fences. With membarrier() the heavy one makes every thread of the process pass a full fence, and
 * the light one has only to keep the compiler from reordering.
 */
extern bool port_membarrier;

void port_fence_heavy(bool (*wanted)(const void *arg, unsigned int lane), const void *arg);

static inline void barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

static inline void smp_mb(void)
{
	__sync_synchronize();
}

static inline void port_fence_light(void)
{
	barrier();
}

static inline bool port_fence_works(void)
{
	return port_membarrier;
}

static inline void cond_resched(void)
{
	sched_yield();
}

/* The holder of what is waited for has been preempted, perhaps by this very thread. */
static inline void cpu_relax(void)
{
	struct timespec moment = { .tv_nsec = 10000 };

	nanosleep(&moment, NULL);
}

/* Memory. */
static inline bool port_can_discard(void)
{
	return true;
}

/* Chains: a zspage is contiguous memory. */
struct region;

struct port_chain {
	char *base;
	struct region *region;
};

static inline size_t port_chain_bytes(unsigned int pages)
{
	(void)pages;
	return sizeof(struct port_chain);
}

/* What was never written, or discarded, is not resident. */
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

/* A slot is in one piece. */
static inline void port_chain_piece(size_t *offset, size_t *len)
{
	(void)offset;
	(void)len;
}

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

/* A thread that sleeps on a semaphore, the one thing that may be posted from anywhere. */
struct port_worker {
	pthread_t thread;
	sem_t wake;
	atomic64_t due; /* when to run, in the time of port_now(); WORKER_IDLE for never */
	atomic64_t until; /* while it sleeps: when it will look again by itself; else 0 */
	void (*run)(void *arg);
	void *arg;
};

/* A thread, from its start to its end. */
struct port_helper {
	pthread_t thread;
	void (*run)(void *arg);
	void *arg;
};

struct port_out {
	FILE *file;
};

#endif /* ZS_PORT_POSIX_H */
