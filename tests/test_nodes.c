/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The preferred NUMA node: a zspage's memory is bound to it before it is used, and what is stored for
 * two nodes does not lie in one region. What can't be bound is used as it is. (Reaches inside:
 * port/posix/store.h. Wraps syscall(): it is the test that says which nodes there are, and that sees
 * what is bound.)
 */
#include "helpers.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "port.h"

#define REGION_PAGES 512 /* as store.h has it */
#define MOST 64
#define NODES (1UL << 0 | 1UL << 2 | 1UL << 63) /* of this machine, as the library sees it */

/* What was bound. */
static struct {
	uintptr_t address;
	size_t length;
	unsigned long mask; /* 0: to none */
} bound[MOST];
static unsigned int binds;
static unsigned long nodes; /* 0: the system does not tell */
static bool refused;
static bool in_threads; /* which only note the masks, by region */
static atomic_ulong region_mask[4096];

static atomic_ulong *region_mask_of(uintptr_t address)
{
	return &region_mask[address / (REGION_PAGES * page_size()) % 4096];
}

static bool is_untouched(uintptr_t address, size_t length)
{
	unsigned char there[REGION_PAGES] = { 0 };

	assert_int_equal(length, REGION_PAGES * page_size());
	assert_int_equal(mincore((void *)address, length, there), 0);
	for (unsigned int i = 0; i < REGION_PAGES; i++)
		if (there[i] & 1)
			return false;
	return true;
}

static long bind(const long *arg)
{
	if (in_threads) {
		atomic_store(region_mask_of((uintptr_t)arg[0]),
			     arg[2] == MPOL_PREFERRED ? *(const unsigned long *)arg[3] : 0);
		return 0;
	}
	assert_true(binds < MOST);
	assert_true(is_untouched((uintptr_t)arg[0], (size_t)arg[1]));
	bound[binds].address = (uintptr_t)arg[0];
	bound[binds].length = (size_t)arg[1];
	bound[binds].mask = 0;
	if (arg[2] == MPOL_PREFERRED) {
		assert_int_equal(arg[4], 65); /* the kernel takes one off */
		bound[binds].mask = *(const unsigned long *)arg[3];
	} else {
		assert_int_equal(arg[2], MPOL_DEFAULT);
		assert_int_equal(arg[3], 0);
	}
	assert_int_equal(arg[5], 0);
	binds++;
	errno = EPERM;
	return refused ? -1 : 0;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
	va_list args;
	long arg[6];

	va_start(args, number);
	for (unsigned int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_mbind)
		return bind(arg);
	if (number != SYS_get_mempolicy)
		return __real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	assert_int_equal(arg[0], 0);
	assert_true(arg[2] >= 1024);
	assert_int_equal(arg[4], MPOL_F_MEMS_ALLOWED);
	*(unsigned long *)arg[1] = nodes;
	errno = EPERM;
	return nodes ? 0 : -1;
}

static struct port_store *store_make(unsigned long its_nodes)
{
	struct port_store *store = calloc(1, sizeof(*store));

	assert_non_null(store);
	binds = 0;
	refused = false;
	nodes = its_nodes;
	assert_int_equal(port_store_init(store), 0);
	return store;
}

static void store_unmake(struct port_store *store)
{
	port_store_destroy(store);
	free(store);
}

static struct port_chain chain_make(struct port_store *store, unsigned int pages, gfp_t flags,
				    int nid)
{
	struct port_chain chain;

	assert_true(port_chain_alloc(store, &chain, pages, flags, nid));
	memset(chain.base, nid, pages * page_size());
	return chain;
}

/* To which nodes a chain's memory is bound. */
static unsigned long mask_of(const struct port_chain *chain)
{
	unsigned long mask = 0;

	for (unsigned int i = 0; i < binds; i++)
		if ((uintptr_t)chain->base - bound[i].address < bound[i].length)
			mask = bound[i].mask;
	return mask;
}

/* A region a node, bound once, whatever the order. */
static void test_bound(void **state)
{
	const int nids[] = { 0, 2, 63, NUMA_NO_NODE };
	struct port_store *store = store_make(NODES);
	struct port_chain chain[40];

	(void)state;
	for (unsigned int i = 0; i < 40; i++)
		chain[i] = chain_make(store, 4, GFP_KERNEL, nids[i % 4]);
	assert_int_equal(binds, 3);
	for (unsigned int i = 0; i < 40; i++) {
		assert_true(mask_of(&chain[i]) == (i % 4 < 3 ? 1UL << nids[i % 4] : 0));
		for (unsigned int j = 0; j < i; j++)
			assert_int_equal(chain[i].region == chain[j].region, i % 4 == j % 4);
	}
	for (unsigned int i = 0; i < 40; i++)
		port_chain_free(store, &chain[i], 4);
	store_unmake(store);
}

/* What was freed serves the node that it was bound to; given back, it serves any, bound anew. */
static void test_used_again(void **state)
{
	struct port_store *store = store_make(NODES);
	struct port_chain chain[2], other;
	const char *base;

	(void)state;
	chain[0] = chain_make(store, 4, GFP_KERNEL, 2);
	chain[1] = chain_make(store, 4, GFP_KERNEL, 2);
	base = chain[0].base;
	port_chain_free(store, &chain[0], 4);
	other = chain_make(store, 4, GFP_KERNEL, 0);
	assert_ptr_not_equal(other.region, chain[1].region);
	chain[0] = chain_make(store, 4, GFP_KERNEL, 2);
	assert_ptr_equal(chain[0].base, base);
	assert_int_equal(binds, 2);

	/* The empty region is dirty still. */
	port_chain_free(store, &chain[0], 4);
	port_chain_free(store, &chain[1], 4);
	chain[0] = chain_make(store, 16, GFP_KERNEL, 2);
	assert_ptr_equal(chain[0].region, chain[1].region);
	assert_int_equal(binds, 2);
	port_chain_free(store, &chain[0], 16);
	port_chain_free(store, &other, 4);
	port_store_trim(store, true);
	assert_int_equal(store->dirty_pages, 0);

	/* All that is mapped, bound or not, is for everybody. */
	for (unsigned int i = 0; i < 4 * REGION_PAGES / 16; i++) {
		other = chain_make(store, 16, GFP_KERNEL, 63);
		assert_true(mask_of(&other) == 1UL << 63);
	}
	assert_null(store->at[0].empty_clean);
	store_unmake(store);
}

/* What was bound to a node and serves none is bound no more. */
static void test_unbound(void **state)
{
	struct port_store *store = store_make(NODES);
	struct port_chain chain = chain_make(store, 16, GFP_KERNEL, 2);
	bool again = false;

	(void)state;
	port_chain_free(store, &chain, 16);
	port_store_trim(store, true);
	for (unsigned int i = 0; i < 4 * REGION_PAGES / 16; i++) {
		struct port_chain other = chain_make(store, 16, GFP_KERNEL, NUMA_NO_NODE);

		assert_true(mask_of(&other) == 0);
		again |= other.region == chain.region;
	}
	assert_true(again);
	assert_int_equal(binds, 2);
	store_unmake(store);
}

/* Nothing is bound where the system has one node or does not tell; nor to a node that it lacks. */
static void test_no_preference(void **state)
{
	const unsigned long machines[] = { 0, 1, 1UL << 5 };
	const int nids[] = { NUMA_NO_NODE, 0, 1, 5, 63, 64, 1000, -2 };
	const int missing[] = { NUMA_NO_NODE, 1, 62, 64, 1000, -2 };
	struct port_chain chain, first;
	struct port_store *store;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		store = store_make(machines[i]);
		first = chain_make(store, 2, GFP_KERNEL, NUMA_NO_NODE);
		for (unsigned int j = 0; j < 8; j++) {
			chain = chain_make(store, 2, GFP_KERNEL, nids[j]);
			assert_ptr_equal(chain.region, first.region);
		}
		assert_int_equal(binds, 0);
		store_unmake(store);
	}
	store = store_make(NODES);
	first = chain_make(store, 2, GFP_KERNEL, NUMA_NO_NODE);
	for (unsigned int j = 0; j < 6; j++) {
		chain = chain_make(store, 2, GFP_KERNEL, missing[j]);
		assert_ptr_equal(chain.region, first.region);
	}
	assert_int_equal(binds, 0);
	store_unmake(store);
}

/* Memory that the system does not bind is used as it is. */
static void test_refused(void **state)
{
	struct port_store *store = store_make(NODES);
	struct port_chain chain[2];

	(void)state;
	refused = true;
	for (unsigned int i = 0; i < 2; i++)
		chain[i] = chain_make(store, 3, GFP_KERNEL, 2);
	assert_int_equal(binds, 1); /* it was tried */
	for (unsigned int i = 0; i < 2; i++)
		port_chain_free(store, &chain[i], 3);
	port_store_trim(store, true);
	assert_int_equal(store->dirty_pages, 0);
	store_unmake(store);
}

/* Who may not sleep binds nothing: the node's memory if some is at hand, else any. */
static void test_nowait(void **state)
{
	struct port_store *store = store_make(NODES);
	struct port_chain chain = chain_make(store, 1, GFP_KERNEL, 2);
	struct port_chain near, far;

	(void)state;
	near = chain_make(store, 1, GFP_NOWAIT, 2);
	assert_ptr_equal(near.region, chain.region);
	far = chain_make(store, 1, GFP_NOWAIT, 0);
	assert_ptr_not_equal(far.region, chain.region);
	for (unsigned int i = 0; i < 4 * REGION_PAGES - 3; i++)
		chain_make(store, 1, GFP_NOWAIT, 63);
	assert_false(port_chain_alloc(store, &far, 1, GFP_NOWAIT, 63));
	assert_int_equal(binds, 1);
	store_unmake(store);
}

/* The same through a pool: objects of two nodes share no region. */
static void test_pool(void **state)
{
	struct zs_pool *pool;
	char *memory[2];

	(void)state;
	nodes = NODES;
	binds = 0;
	pool = make_lazy_pool();
	for (unsigned int i = 0; i < 2; i++) {
		/* Of two classes, as a zspage with room is used whatever its node. */
		unsigned long handle = zs_malloc(pool, 100 + 1000 * i, GFP_KERNEL, 2 * (int)i);

		assert_false(zs_is_err(handle));
		memory[i] = zs_obj_read_begin(pool, handle, 1, NULL);
		zs_obj_read_end(pool, handle, 1, memory[i]);
	}
	assert_int_equal(binds, 2);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true((uintptr_t)memory[i] - bound[i].address < bound[i].length);
		assert_true(bound[i].mask == 1UL << 2 * i);
	}
	zs_destroy_pool(pool);
}

struct job {
	pthread_t thread;
	struct port_store *store;
	uint64_t seed;
};

static atomic_uint running;

static void *use_store(void *arg)
{
	struct job *job = arg;

	for (unsigned int i = 0; i < 200; i++) {
		const int nid = 2 * (int)(next_random(&job->seed) % 2);
		struct port_chain chain[2 * REGION_PAGES / 16];

		for (unsigned int j = 0; j < sizeof(chain) / sizeof(chain[0]); j++) {
			chain[j] = chain_make(job->store, 16, GFP_KERNEL, nid);
			if (atomic_load(region_mask_of((uintptr_t)chain[j].base)) != 1UL << nid)
				arg = NULL;
		}
		for (unsigned int j = 0; j < sizeof(chain) / sizeof(chain[0]); j++)
			port_chain_free(job->store, &chain[j], 16);
	}
	atomic_fetch_sub(&running, 1);
	return arg;
}

/* Regions go from node to node while threads take of them and the store is trimmed. */
static void test_threads(void **state)
{
	struct port_store *store = store_make(NODES);
	struct job jobs[3];
	void *done;

	(void)state;
	in_threads = true;
	atomic_store(&running, 3);
	for (unsigned int i = 0; i < 3; i++) {
		jobs[i] = (struct job){ .store = store, .seed = i + 1 };
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, use_store, &jobs[i]), 0);
	}
	while (atomic_load(&running))
		port_store_trim(store, true);
	for (unsigned int i = 0; i < 3; i++) {
		pthread_join(jobs[i].thread, &done);
		assert_non_null(done);
	}
	in_threads = false;
	port_store_trim(store, true);
	assert_int_equal(store->dirty_pages, 0);
	store_unmake(store);
}

/* The system itself takes what is asked of it. */
static void test_real(void **state)
{
	const size_t length = REGION_PAGES * page_size();
	unsigned long mask[1024 / 64] = { 0 };
	struct port_store *store = store_make(1 | 1UL << 1);
	struct port_chain chain;
	int mode = -1;

	(void)state;
	chain = chain_make(store, 1, GFP_KERNEL, 0);
	assert_int_equal(binds, 1);
	if (__real_syscall(SYS_mbind, bound[0].address, length, MPOL_PREFERRED, &bound[0].mask,
			   65UL, 0) ||
	    __real_syscall(SYS_get_mempolicy, &mode, mask, 1024UL, chain.base, MPOL_F_ADDR)) {
		print_message("skipped: %s\n", strerror(errno));
		store_unmake(store);
		skip();
	}
	assert_int_equal(mode, MPOL_PREFERRED);
	assert_true(mask[0] == 1);
	store_unmake(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),	cmocka_unit_test(test_used_again),
		cmocka_unit_test(test_unbound), cmocka_unit_test(test_no_preference),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_nowait),
		cmocka_unit_test(test_pool),	cmocka_unit_test(test_threads),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
