/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The host's side of the bargain.
 *
 * The core runs in a process and in the kernel. All that it needs of either stands here, once, with
 * what the core may rely on; port/posix/port_posix.h and port/linux/port_linux.h provide it. Where
 * the kernel has a name for a thing (READ_ONCE, atomic_t, cond_resched) the core uses that name, so
 * the kernel's header provides it by including it.
 */
#ifndef ZS_PORT_H
#define ZS_PORT_H

#ifdef __KERNEL__
#include "../port/linux/port_linux.h"
#else
#include "../port/posix/port_posix.h"
#endif

/*
 * From the host's header:
 *
 * Types	u8 u16 u32 u64 s64 bool size_t gfp_t, EINVAL ENOSPC ENOMEM, memcpy memset,
 *		likely unlikely noinline __always_inline, ALIGN DIV_ROUND_UP, offsetof.
 *
 * Pages	PORT_PAGE_SHIFT, PORT_PAGE_SIZE: those of the memory that objects live in.
 *		PORT_MAX_CHAIN: how many a zspage may have.
 *		PORT_CHUNK_SIZE: the size, a power of two, in which tables grow; at least 4096, and 1
 *		to 32 whole pages. Where it can't be that, the host makes no pool.
 *
 * Atomics	READ_ONCE WRITE_ONCE smp_load_acquire smp_store_release, and on atomic_t (32 bits)
 *		and atomic64_t the kernel's functions of those names that the core uses, with the
 *		kernel's ordering: _relaxed none, _acquire and _release what they say, else full.
 *
 * Bytes	get_unaligned_le64(from), put_unaligned_le64(value, to): wherever that is.
 *
 * Bits		__ffs64(word): the lowest set bit of a word that is not 0.
 *		fls64(word): the highest one plus 1, 0 for 0. hweight64(word): how many are set.
 *		prefetchw(addr): a hint.
 *
 * Locks	struct port_lock: short, may be taken in atomic context, holder must not sleep.
 *		struct port_mutex: may be held across a drain, its taker may sleep.
 *		A debug build checks that locks are taken in the order of their ranks, below.
 *
 *		smp_mb(): a full fence. port_fence_light(), port_fence_heavy(): a full fence between
 *		one that is used all the time and one that is used rarely: where the host can, the
 *		latter bears the cost of both (port_fence_works()). The heavy one has those owners of
 *		lanes pass a fence for whose lane wanted(arg, lane) is true, or others as well. It
 *		interrupts CPUs, but does not sleep; no lock of the core's but one of PORT_RANK_DRAIN
 *		is held, and interrupts are enabled.
 *
 * CPUs		port_cpus(): how many there may be.
 *		port_lanes(): how many lanes there are. port_lane_get(): a lane that is the caller's
 *		alone until port_lane_put(), except for interrupts that come meanwhile; 0 if it has
 *		none. port_lane_claim(): the same, but a caller that has no lane is given one, if
 *		one is free.
 *		cond_resched(): let others run; no lock may be held.
 *		port_crowded(): whether others want the CPU that the caller, a worker or a helper, has;
 *		or had it since it last asked, for longer than the caller did.
 *		cpu_relax(): in a loop that waits for another CPU.
 *		port_may_sleep(flags): what gfp flags say.
 *
 * Memory	port_can_discard(): whether port_discard() does anything.
 *
 * Chains	struct port_chain: the memory of one zspage, port_chain_bytes(pages) bytes long.
 *		In a process a pointer, in the kernel an array of pages.
 *		port_chain_at(chain, offset, len): where this range of the chain's memory is, or
 *		NULL if it is not contiguous there. port_chain_piece(&offset, &len): narrows the
 *		range to the longer of its contiguous pieces. port_chain_read(), port_chain_write() and
 *		port_chain_copy() copy bytes out of, into and between chains.
 *		port_chain_held(pages, end): the pages that a chain of so many keeps from the system
 *		while nothing is stored behind @end, bytes; those behind come when they are written,
 *		if the host can do that. port_chain_idle(pages): the bytes that this keeps from the
 *		system and from objects, on average over where the end may be.
 *		struct port_store: the page store of one pool, where chains come from.
 */

/* Ranks of the locks, in the order in which they may be taken. See the head of pool.c. */
enum port_rank {
	PORT_RANK_DRAIN = 1,
	PORT_RANK_CHUNKS,
	PORT_RANK_CLASS,
	PORT_RANK_TABLE,
	PORT_RANK_PAGE,
	PORT_RANK_STORE,
};

void port_lock_init(struct port_lock *lock, enum port_rank rank);
void port_lock_destroy(struct port_lock *lock);
int port_mutex_init(struct port_mutex *mutex, enum port_rank rank);
void port_mutex_destroy(struct port_mutex *mutex);

/**
 * port_alloc() - zeroed memory for the core's own use.
 * @size: bytes; the result is aligned to two cache lines, and memory that is never touched costs
 *	nothing if @size is large and the host can do that
 * @flags: GFP_NOWAIT must not sleep, and may fail for that alone
 *
 * Return: the memory, or NULL.
 */
void *port_alloc(size_t size, gfp_t flags);

/**
 * port_alloc_extra() - zeroed memory that the core can do without.
 * @size: bytes; as for port_alloc()
 *
 * Waits for nobody to free any: a drain, for which others may be waiting that want memory, asks.
 *
 * Context: May sleep; no lock but one of PORT_RANK_DRAIN is held.
 * Return: the memory, or NULL.
 */
void *port_alloc_extra(size_t size);

/* What either of these gave, of that size. */
void port_free(void *memory, size_t size);

/**
 * port_discard() - let memory go whose contents are of no use any more.
 * @memory: whole pages of what port_alloc() gave, of a size that is a multiple of a page
 * @size: bytes
 *
 * From now on it takes no memory until it is written, and each byte reads as 0, or as it was if the
 * system refuses. Others may read it meanwhile. Does nothing where port_can_discard() is false.
 *
 * Context: May sleep; in a process, makes a system call.
 */
void port_discard(void *memory, size_t size);

/**
 * port_store_init() - make a pool's page store.
 * @store: zeroed memory
 *
 * Return: 0 or -ENOMEM.
 */
int port_store_init(struct port_store *store);

/* All chains must have been freed. */
void port_store_destroy(struct port_store *store);

/**
 * port_chain_alloc() - memory for a zspage.
 * @store: the pool's page store
 * @chain: filled in; contents undefined if the call fails
 * @pages: how many, 1 to ZS_MAX_CHAIN
 * @flags: GFP_NOWAIT must not sleep
 * @nid: preferred NUMA node, or NUMA_NO_NODE
 *
 * The contents of the pages are undefined.
 *
 * Return: true if there was memory.
 */
bool port_chain_alloc(struct port_store *store, struct port_chain *chain, unsigned int pages,
		      gfp_t flags, int nid);

/**
 * port_chain_free() - take a zspage's memory back.
 * @store: the pool's page store
 * @chain: from port_chain_alloc(), with the same number of @pages
 * @pages: how many
 *
 * Makes no system call: the host may keep the memory until port_store_trim().
 *
 * Context: Atomic; no lock of PORT_RANK_STORE or behind is held.
 * Return: the milliseconds within which the store wants to be trimmed, or -1 if it does not.
 */
int port_chain_free(struct port_store *store, struct port_chain *chain, unsigned int pages);

/**
 * port_chain_discard() - give back the pages at a chain's end that nothing is stored in.
 * @chain: the chain
 * @offset: nothing is stored from here on; bytes
 * @pages: in the chain
 *
 * They come back, with undefined contents, when they are written. A host whose pages do not do that
 * keeps them.
 *
 * Context: A class lock may be held; in a process, makes a system call.
 */
void port_chain_discard(const struct port_chain *chain, size_t offset, unsigned int pages);

/**
 * port_store_trim() - give free memory back to the system, in runs as large as can be.
 * @store: the pool's page store
 * @all: all of it; otherwise the host keeps what it expects to need again soon, and may leave some for
 *	later when others want the CPU
 *
 * Context: May sleep; no lock of PORT_RANK_STORE or behind is held.
 * Return: the milliseconds within which the store wants to be trimmed again, or -1.
 */
int port_store_trim(struct port_store *store, bool all);

/**
 * port_worker_init() - make a worker: one thread of execution that runs a function on demand.
 * @worker: zeroed memory
 * @run: the function; it may sleep
 * @arg: its argument
 *
 * Return: 0 or -ENOMEM.
 */
int port_worker_init(struct port_worker *worker, void (*run)(void *arg), void *arg);

/**
 * port_worker_kick() - have the worker's function start soon.
 * @worker: the worker
 * @delay_ms: it starts at most so many milliseconds from now, 0 for at once; an earlier kick that
 *	asks for less stands
 *
 * A kick that comes while the function runs makes it run again.
 *
 * Context: Any. Neither sleeps nor allocates; may make a system call that cannot block.
 */
void port_worker_kick(struct port_worker *worker, unsigned int delay_ms);

/* Wait for the function to end if it runs, and never start it again. */
void port_worker_stop(struct port_worker *worker);

/**
 * port_helper_start() - have a function run once, beside the caller.
 * @helper: memory that stays until port_helper_end()
 * @run: the function; it may sleep
 * @arg: its argument
 *
 * Context: As for port_alloc_extra().
 * Return: 0, or -ENOMEM: it will not run.
 */
int port_helper_start(struct port_helper *helper, void (*run)(void *arg), void *arg);

/* Wait for the function to end; if it has not begun yet, the host may see to it that it never does. */
void port_helper_end(struct port_helper *helper);

/* Nanoseconds since some point in the past; never goes back. */
u64 port_now(void);

/* Tell one line about a wrong call. @pool may be NULL. In a process, @fatal ends it. */
void port_misuse(const char *pool, bool fatal, const char *what, unsigned long handle);

/* Whether a wrong call on no pool at all is fatal. */
bool port_misuse_is_fatal(void);

/* Formatted text to where a reader of statistics asked for it. */
struct port_out;
__attribute__((format(printf, 2, 3))) void port_print(struct port_out *out, const char *format,
						      ...);

#endif /* ZS_PORT_H */
