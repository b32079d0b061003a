/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The host's side of the bargain.
 *
 * The core runs in a process and in the kernel. All that it needs of either stands here, once, with
 * what the core may rely on. port/posix/port_posix.h and port/linux/port_linux.h provide it. Where
 * the kernel has a name for a thing (READ_ONCE, atomic_t, cond_resched) the core uses that name.
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
 * Pages	PORT_PAGE_SHIFT, PORT_PAGE_SIZE: the system's, at least 4096 bytes.
 *		PORT_MAX_CHAIN: the most pages of a zspage.
 *		PORT_CHUNK_SIZE: a power of two, the size in which tables grow.
 *
 * Atomics	READ_ONCE WRITE_ONCE smp_load_acquire smp_store_release smp_mb, and the kernel's
 *		functions on atomic_t and atomic64_t that the core uses, with the kernel's ordering:
 *		_relaxed none, _acquire and _release what they say, else full.
 *		smp_mb__after_atomic(): an atomic operation before it is a full fence.
 *
 * Bits		__ffs64(word): the lowest set bit of a word that is not 0.
 *		fls64(word): the highest one plus 1, 0 for 0. hweight64(word): how many are set.
 *		prefetchw(addr): a hint; the address may be anything.
 *
 * Locks	struct port_lock: short; the holder must not sleep.
 *		struct port_mutex: its taker may sleep; port_mutex_trylock() never does.
 *		port_assert_held(lock), port_assert(condition): checked in a debug build, which also
 *		checks that locks are taken in the order of their ranks.
 *
 * Fences	port_fence_light() and port_fence_heavy() are a full fence on either side of a
 *		store-load protocol. The light one is free, the heavy one bears the cost of both and
 *		may sleep. Between port_lane_get() and port_lane_put() the light one counts.
 *		port_fence_works(): false where the light fence orders nothing: the heavy side then
 *		looks once more, later.
 *
 * CPUs		port_lanes(): the number of lanes; port_lanes_used(): all in use are below it.
 *		port_lane_get(): the caller's lane until port_lane_put(), above 0; 0 for none.
 *		port_lane_claim(): the same, but gives the caller a lane if one is free.
 *		cond_resched(): lets others run; no lock is held.
 *		port_crowded(): others want this CPU. The worker pauses for producers.
 *		port_may_sleep(flags): what gfp flags say.
 *
 * Chains	struct port_chain: the memory of a zspage, port_chain_bytes(pages) long: in a
 *		process a pointer, in the kernel an array of pages.
 *		PORT_CHAIN_CONTIGUOUS: whether a chain is one piece of memory, at
 *		port_chain_base(chain), a multiple of 4096 below 2^56; else that is 0.
 *		port_chain_at(chain, offset, len): the address of a range, or NULL if it is not
 *		contiguous. port_chain_read(), port_chain_write(), port_chain_copy() copy bytes.
 *		port_chain_held(pages, end): the pages that a chain keeps from the system while
 *		nothing is stored behind byte @end. port_chain_idle(pages): the bytes that this
 *		keeps from the system and from objects, on average over where the end may be.
 */

/* Ranks of the locks, in the order in which they are taken. See the head of pool.h. */
enum port_rank {
	PORT_RANK_REGISTRY = 1,
	PORT_RANK_DRAIN,
	PORT_RANK_CLASS,
	PORT_RANK_TABLE,
	PORT_RANK_STORE,
};

void port_lock_init(struct port_lock *lock, enum port_rank rank);
void port_mutex_init(struct port_mutex *mutex, enum port_rank rank);

/*
 * Returns zeroed memory for the core's own use, aligned to a cache line, or NULL. Large memory that
 * is never touched costs nothing where the host can do that.
 * - GFP_NOWAIT must not sleep, and may fail for that alone.
 */
void *port_alloc(size_t size, gfp_t flags);

/* Frees what port_alloc() returned for @size; NULL is nothing. */
void port_free(void *memory, size_t size);

/*
 * Returns a zeroed page for a segment or for descriptors, or NULL. It begins with a struct
 * port_page, which is the host's.
 * - Without @wait the call waits for no lock and makes no system call.
 */
struct port_page *port_page_alloc(struct port_store *store, bool wait);

/* Frees what port_page_alloc() returned. Context: atomic. */
void port_page_free(struct port_store *store, struct port_page *page);

/* Makes the page store, where chains come from, in zeroed memory. */
void port_store_init(struct port_store *store);

/* Destroys the store, all of whose chains are free. */
void port_store_destroy(struct port_store *store);

/*
 * Gets memory for a zspage of 1 to PORT_MAX_CHAIN pages, from NUMA node @nid if that can be. The
 * contents of the pages are undefined, and so is @chain if the call fails. Returns true if there
 * was memory.
 * - GFP_NOWAIT must not sleep. port_chain_name() comes next.
 */
bool port_chain_alloc(struct port_store *store, struct port_chain *chain, unsigned int pages,
		      gfp_t flags, int nid);

/*
 * Tells the pages of a chain which zspage they belong to, by its number. A kernel that moves a page
 * finds the zspage by that. A process ignores it.
 */
void port_chain_name(struct port_chain *chain, unsigned int pages, u32 number);

/*
 * Takes a zspage's memory back, which the host may keep until port_store_trim(): it makes no system
 * call. Returns the milliseconds within which the store wants a trim, or -1 for none.
 * - Atomic; no lock of PORT_RANK_STORE is held.
 */
int port_chain_free(struct port_store *store, struct port_chain *chain, unsigned int pages);

/*
 * port_chain_reach(chain, pages, end): notes that the chain is about to be written up to byte @end.
 * Returns, as a struct port_reach, pages that the host wants to bring in ahead; none if .bytes is
 * 0.
 * Context: under the class lock.
 *
 * port_reach_in(reach): brings them in. Context: may sleep, no lock is held. An object that the
 * caller has in the chain keeps the chain.
 */

/*
 * Gives back the pages at a chain's end, from byte @offset on, that hold nothing. They come back,
 * with undefined contents, when they are written. A host whose pages do not do that keeps them.
 * - A class lock may be held; in a process, makes a system call.
 */
void port_chain_discard(struct port_chain *chain, size_t offset, unsigned int pages);

/*
 * Gives free memory back to the system, in runs as large as can be. The host keeps what it expects
 * to need again soon, unless @all. Returns as port_chain_free() does.
 * - May sleep; no lock of PORT_RANK_STORE is held.
 */
int port_store_trim(struct port_store *store, bool all);

/*
 * Makes the worker, of zeroed memory: one thread of execution that runs a function on demand. The
 * function may sleep. Returns 0 or -ENOMEM.
 */
int port_worker_init(struct port_worker *worker, void (*run)(void));

/*
 * Has the worker's function start within a delay, 0 for at once. An earlier kick that asks for less
 * stands. A kick that comes while the function runs makes it run again.
 * - Any context: neither sleeps nor allocates; may make a system call that cannot block.
 */
void port_worker_kick(struct port_worker *worker, unsigned int delay_ms);

/*
 * port_worker_there(worker): whether the worker can run. In a child of fork() it may be that the
 * system refuses it; each kick asks again.
 */

/* Waits for the function to end if it runs, and never starts it again. */
void port_worker_stop(struct port_worker *worker);

/* Returns nanoseconds since some point in the past; never goes back. */
u64 port_now(void);

/*
 * Tells one line about a wrong call: the pool's name, or NULL; the function; what was wrong; the
 * handle, unless 0. In a process, ends it if @fatal.
 */
void port_misuse(const char *pool, bool fatal, const char *function, const char *what,
		 unsigned long handle);

/* Returns whether a wrong call on no pool at all is fatal. */
bool port_misuse_is_fatal(void);

/* Prints formatted text to where a reader of statistics asked for it. */
struct port_out;
__attribute__((format(printf, 2, 3))) void port_print(struct port_out *out, const char *format,
						      ...);

#endif /* ZS_PORT_H */
