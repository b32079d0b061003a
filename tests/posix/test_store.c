/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The page store: chains do not overlap, and freed ones are used again. A trim gives their memory
 * back, in whole regions where it can. Pages come in ahead of their first use. Reaches inside:
 * port/posix/store.h. Wraps madvise(), its relative for many ranges, and mmap(): counts what is
 * given back and brought in, and has address space run out. Wraps port_now(), to let time pass.
 */
#include "helpers.h"

#include <pthread.h>

#include "port.h"
#include "wrap_mmap.h"
#include "wrap_process_madvise.h"

#define REGION_PAGES 512 /* as store.h has it */
#define TRIM_MS 150 /* as store.c has it */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static atomic_uint advices;
static atomic_ulong advised; /* bytes */
static atomic_bool advice_fails;
static atomic_ulong populated; /* bytes that were brought in ahead */

int __real_madvise(void *addr, size_t length, int advice);

int __wrap_madvise(void *addr, size_t length, int advice)
{
	if (advice == MADV_POPULATE_WRITE)
		atomic_fetch_add(&populated, length);
	if (advice != MADV_DONTNEED)
		return __real_madvise(addr, length, advice);
	atomic_fetch_add(&advices, 1);
	atomic_fetch_add(&advised, length);
	if (atomic_load(&advice_fails)) {
		errno = EINVAL;
		return -1;
	}
	return __real_madvise(addr, length, advice);
}

static atomic_ulong clock_ms = 1000000; /* the store's time */

u64 __wrap_port_now(void);

u64 __wrap_port_now(void)
{
	return atomic_load(&clock_ms) * 1000000;
}

static struct port_store *store_make(void)
{
	struct port_store *store = calloc(1, sizeof(*store));

	assert_non_null(store);
	port_store_init(store);
	return store;
}

static void store_unmake(struct port_store *store)
{
	port_store_destroy(store);
	free(store);
}

static struct port_chain chain_make(struct port_store *store, unsigned int pages, uint64_t key)
{
	struct port_chain chain;

	assert_true(port_chain_alloc(store, &chain, pages, GFP_KERNEL, NUMA_NO_NODE));
	random_fill(chain.base, pages * page_size(), key);
	return chain;
}

static bool chain_holds(const struct port_chain *chain, unsigned int pages, uint64_t key)
{
	return random_is(chain->base, pages * page_size(), key);
}

/* How many of the pages are there. */
static size_t resident(const char *base, size_t pages)
{
	unsigned char *there = calloc(pages, 1);
	size_t count = 0;

	assert_non_null(there);
	assert_int_equal(mincore((void *)(uintptr_t)base, pages * page_size(), there), 0);
	for (size_t i = 0; i < pages; i++)
		count += there[i] & 1;
	free(there);
	return count;
}

static void test_no_overlap(void **state)
{
	struct port_store *store = store_make();
	struct port_chain chains[PORT_MAX_CHAIN + 1][20];

	(void)state;
	for (unsigned int i = 0; i < 20; i++)
		for (unsigned int pages = 1; pages <= PORT_MAX_CHAIN; pages++)
			chains[pages][i] = chain_make(store, pages, pages * 100 + i);
	for (unsigned int i = 0; i < 20; i++)
		for (unsigned int pages = 1; pages <= PORT_MAX_CHAIN; pages++) {
			assert_int_equal((uintptr_t)chains[pages][i].base % page_size(), 0);
			assert_true(chain_holds(&chains[pages][i], pages, pages * 100 + i));
			port_chain_free(store, &chains[pages][i], pages);
		}
	store_unmake(store);
}

/* A region holds as many chains as fit, and each in turn. */
static void test_whole_region(void **state)
{
	(void)state;
	for (unsigned int pages = 1; pages <= PORT_MAX_CHAIN; pages++) {
		const unsigned int count = REGION_PAGES / pages;
		struct port_store *store = store_make();
		struct port_chain *chains = calloc(count + 1, sizeof(*chains));

		for (unsigned int i = 0; i <= count; i++)
			assert_true(port_chain_alloc(store, &chains[i], pages, GFP_KERNEL, 0));
		for (unsigned int i = 1; i < count; i++)
			assert_ptr_equal(chains[i].region, chains[0].region);
		assert_ptr_not_equal(chains[count].region, chains[0].region);
		for (unsigned int i = 0; i <= count; i++)
			port_chain_free(store, &chains[i], pages);
		free(chains);
		store_unmake(store);
	}
}

/* A freed chain is used again before new memory is, without a system call. */
static void test_reuse(void **state)
{
	struct port_store *store = store_make();
	struct port_chain chains[100];
	char *base[100];

	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		chains[i] = chain_make(store, 3, i);
	for (unsigned int i = 20; i < 30; i++) {
		base[i] = chains[i].base;
		port_chain_free(store, &chains[i], 3);
	}
	assert_int_equal(store->dirty_pages, 30);
	atomic_store(&maps, 0);
	atomic_store(&advices, 0);
	for (unsigned int i = 20; i < 30; i++) {
		bool found = false;

		chains[i] = chain_make(store, 3, i);
		for (unsigned int j = 20; j < 30; j++)
			found |= chains[i].base == base[j];
		assert_true(found);
	}
	assert_int_equal(store->dirty_pages, 0);
	assert_int_equal(atomic_load(&maps), 0);
	assert_int_equal(atomic_load(&advices), 0);
	for (unsigned int i = 0; i < 100; i++) {
		assert_true(chain_holds(&chains[i], 3, i));
		port_chain_free(store, &chains[i], 3);
	}
	store_unmake(store);
}

/* A region that is empty serves chains of any length; what was in it counts as dirty. */
static void test_cut_anew(void **state)
{
	struct port_store *store = store_make();
	struct port_chain chain = chain_make(store, 2, 1);
	struct region *region = chain.region;

	(void)state;
	port_chain_free(store, &chain, 2);
	chain = chain_make(store, 7, 2);
	assert_ptr_equal(chain.region, region);
	assert_true(chain_holds(&chain, 7, 2));
	port_chain_free(store, &chain, 7);
	port_store_trim(store, true);
	assert_int_equal(store->dirty_pages, 0);
	assert_int_equal(resident(chain.base, 7), 0);
	store_unmake(store);
}

/* Free chains lose their pages; used ones between them keep theirs. */
static void test_trim(void **state)
{
	struct port_store *store = store_make();
	struct port_chain chains[300];

	(void)state;
	for (unsigned int i = 0; i < 300; i++)
		chains[i] = chain_make(store, 4, i);
	for (unsigned int i = 0; i < 300; i++)
		if (i % 3)
			port_chain_free(store, &chains[i], 4);
	assert_int_equal(store->dirty_pages, 800);
	assert_int_equal(port_store_trim(store, true), -1);
	assert_int_equal(store->dirty_pages, 0);
	for (unsigned int i = 0; i < 300; i++) {
		assert_int_equal(resident(chains[i].base, 4), i % 3 ? 0 : 4);
		if (i % 3 == 0)
			assert_true(chain_holds(&chains[i], 4, i));
	}
	/* What was given back can be had again. */
	for (unsigned int i = 0; i < 300; i++)
		if (i % 3)
			chains[i] = chain_make(store, 4, i);
	for (unsigned int i = 0; i < 300; i++) {
		assert_true(chain_holds(&chains[i], 4, i));
		port_chain_free(store, &chains[i], 4);
	}
	store_unmake(store);
}

/*
 * Every third chain stays, the others are given back. Returns how many calls took many ranges at
 * once.
 */
static unsigned int trim_thirds(void)
{
	const unsigned int count = 4 * (REGION_PAGES / 4);
	struct port_store *store = store_make();
	struct port_chain *chains = calloc(count, sizeof(*chains));

	for (unsigned int i = 0; i < count; i++)
		chains[i] = chain_make(store, 4, i);
	for (unsigned int i = 0; i < count; i++)
		if (i % 3)
			port_chain_free(store, &chains[i], 4);
	atomic_store(&at_once_calls, 0);
	assert_int_equal(port_store_trim(store, true), -1);
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(resident(chains[i].base, 4), i % 3 ? 0 : 4);
		if (i % 3)
			continue;
		assert_true(chain_holds(&chains[i], 4, i));
		port_chain_free(store, &chains[i], 4);
	}
	free(chains);
	store_unmake(store);
	return atomic_load(&at_once_calls);
}

/* One call gives many ranges back; what it does not take, or does not know, goes one by one. */
static void test_at_once(void **state)
{
	(void)state;
	assert_int_equal(trim_thirds(), 1);
	atomic_store(&at_once_most, 5);
	assert_int_equal(trim_thirds(), 1);
	atomic_store(&at_once_most, 512);
	atomic_store(&at_once_error, EINVAL);
	assert_int_equal(trim_thirds(), 1);
	atomic_store(&at_once_error, EBADF);
	assert_int_equal(trim_thirds(), 1);
	atomic_store(&at_once_error, 0);
	assert_int_equal(trim_thirds(), 0);
}

/* Empty regions are given back whole. */
static void test_trim_regions(void **state)
{
	const unsigned int count = 10 * (REGION_PAGES / 4);
	struct port_store *store = store_make();
	struct port_chain *chains = calloc(count, sizeof(*chains));

	(void)state;
	for (unsigned int i = 0; i < count; i++)
		chains[i] = chain_make(store, 4, i);
	for (unsigned int i = 0; i < count; i++)
		port_chain_free(store, &chains[i], 4);
	assert_int_equal(store->dirty_pages, count * 4);
	atomic_store(&advices, 0);
	atomic_store(&advised, 0);
	assert_int_equal(port_store_trim(store, true), -1);
	assert_int_equal(store->dirty_pages, 0);
	assert_int_equal(atomic_load(&advices), 10);
	assert_int_equal(atomic_load(&advised), 10UL * REGION_PAGES * page_size());
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(resident(chains[i].base, 4), 0);
	/* There is nothing left to give. */
	assert_int_equal(port_store_trim(store, true), -1);
	assert_int_equal(atomic_load(&advices), 10);
	free(chains);
	store_unmake(store);
}

/* A free asks once for a trim, however much there is, and again after the trim. */
static void test_ask(void **state)
{
	const unsigned int count = 40000 / 16;
	struct port_store *store = store_make();
	struct port_chain *chains = calloc(count, sizeof(*chains));

	(void)state;
	for (unsigned int i = 0; i < count; i++)
		assert_true(port_chain_alloc(store, &chains[i], 16, GFP_KERNEL, 0));
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(port_chain_free(store, &chains[i], 16), i ? -1 : TRIM_MS);
	assert_int_equal(port_store_trim(store, true), -1);
	assert_true(port_chain_alloc(store, &chains[0], 16, GFP_KERNEL, 0));
	assert_int_equal(port_chain_free(store, &chains[0], 16), TRIM_MS);
	free(chains);
	store_unmake(store);
}

#define LONG_CHAIN 16
#define LONG_CHAINS (REGION_PAGES / LONG_CHAIN) /* in a region */

static void take_regions(struct port_store *store, struct port_chain *chains, unsigned int regions)
{
	for (unsigned int i = 0; i < regions * LONG_CHAINS; i++)
		chains[i] = chain_make(store, LONG_CHAIN, i);
}

static void free_regions(struct port_store *store, struct port_chain *chains, unsigned int regions)
{
	for (unsigned int i = 0; i < regions * LONG_CHAINS; i++)
		port_chain_free(store, &chains[i], LONG_CHAIN);
}

/* What was free for less than a whole TRIM_MS stays, and what is used again meanwhile. */
static void test_trim_keeps(void **state)
{
	struct port_store *store = store_make();
	struct port_chain chains[3 * LONG_CHAINS];

	(void)state;
	take_regions(store, chains, 3);
	port_store_trim(store, true);
	free_regions(store, chains, 3);
	atomic_fetch_add(&clock_ms, TRIM_MS - 50);
	assert_int_equal(port_store_trim(store, false), 50); /* too soon */
	assert_int_equal(store->dirty_pages, 3 * REGION_PAGES);
	atomic_fetch_add(&clock_ms, 50);
	assert_int_equal(port_store_trim(store, false), TRIM_MS);
	assert_int_equal(store->dirty_pages, 3 * REGION_PAGES); /* the first trim that sees them */
	take_regions(store, chains, 2);
	free_regions(store, chains, 2);
	atomic_fetch_add(&clock_ms, TRIM_MS);
	assert_int_equal(port_store_trim(store, false), TRIM_MS);
	assert_int_equal(store->dirty_pages, 2 * REGION_PAGES); /* one was idle all the time */
	store_unmake(store);
}

/* A store that is in use keeps some for the next; one in which nothing moves any more, nothing. */
static void test_trim_until_quiet(void **state)
{
	struct port_store *store = store_make();
	struct port_chain chain = chain_make(store, 5, 1);
	struct port_chain other = chain_make(store, 5, 2);
	unsigned int trims = 1;
	int again;

	(void)state;
	port_chain_free(store, &chain, 5);
	while ((again = port_store_trim(store, false)) >= 0) {
		assert_true(++trims < 10);
		atomic_fetch_add(&clock_ms, (unsigned long)again);
	}
	assert_int_equal(store->dirty_pages, 0);
	assert_int_equal(resident(chain.base, 5), 0);
	assert_true(chain_holds(&other, 5, 2));
	port_chain_free(store, &other, 5);
	store_unmake(store);
}

/* Memory that the system does not take back is still the store's. */
static void test_advice_fails(void **state)
{
	struct port_store *store = store_make();
	struct port_chain chains[50];

	(void)state;
	atomic_store(&advice_fails, true);
	for (unsigned int i = 0; i < 50; i++)
		chains[i] = chain_make(store, 2, i);
	for (unsigned int i = 0; i < 50; i += 2)
		port_chain_free(store, &chains[i], 2);
	port_store_trim(store, true);
	for (unsigned int i = 0; i < 50; i += 2)
		chains[i] = chain_make(store, 2, i);
	atomic_store(&advice_fails, false);
	for (unsigned int i = 0; i < 50; i++) {
		assert_true(chain_holds(&chains[i], 2, i));
		port_chain_free(store, &chains[i], 2);
	}
	store_unmake(store);
}

/* Where address space is tight a small span will do. Without any the call fails. */
static void test_tight(void **state)
{
	const size_t region = REGION_PAGES * page_size();
	struct port_store *store = store_make();
	struct port_chain chains[3];

	(void)state;
	atomic_store(&map_most, region);
	assert_false(port_chain_alloc(store, &chains[0], 16, GFP_KERNEL, NUMA_NO_NODE));
	atomic_store(&map_most, 2 * region);
	for (unsigned int i = 0; i < 3; i++)
		chains[i] = chain_make(store, 16, i);
	atomic_store(&map_most, SIZE_MAX);
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(chain_holds(&chains[i], 16, i));
		port_chain_free(store, &chains[i], 16);
	}
	store_unmake(store);
}

static void test_nowait(void **state)
{
	struct port_store *store = store_make();
	struct port_chain chain;

	(void)state;
	atomic_store(&maps, 0);
	assert_false(port_chain_alloc(store, &chain, 1, GFP_NOWAIT, NUMA_NO_NODE));
	assert_int_equal(atomic_load(&maps), 0);
	chain = chain_make(store, 1, 1);
	port_chain_free(store, &chain, 1);
	assert_true(port_chain_alloc(store, &chain, 9, GFP_NOWAIT, NUMA_NO_NODE));
	port_chain_free(store, &chain, 9);
	store_unmake(store);
}

/* Reaches as far as the end of an object; returns the pages that this brings in. */
static size_t reach(struct port_chain *chain, unsigned int pages, size_t end)
{
	struct port_reach more = port_chain_reach(chain, pages, end);

	atomic_store(&populated, 0);
	if (more.bytes)
		port_reach_in(more);
	return atomic_load(&populated) / page_size();
}

/* Pages come in ahead of their first use, once, and never beyond the chain. */
static void test_reach(void **state)
{
	struct port_store *store = store_make();
	struct port_chain chain;

	(void)state;
	assert_true(port_chain_alloc(store, &chain, 5, GFP_KERNEL, 0));
	assert_int_equal(resident(chain.base, 5), 0);
	assert_int_equal(reach(&chain, 5, 0), 0);
	assert_int_equal(reach(&chain, 5, 1), 2);
	assert_int_equal(reach(&chain, 5, 2 * page_size()), 0);
	assert_int_equal(reach(&chain, 5, 2 * page_size() + 1), 2);
	assert_int_equal(reach(&chain, 5, 5 * page_size()), 1);
	assert_int_equal(reach(&chain, 5, 5 * page_size()), 0);
	/* A kernel before 5.14 refuses, and the pages come when they are written. */
	assert_true(resident(chain.base, 5) == 5 || resident(chain.base, 5) == 0);

	port_chain_discard(&chain, page_size() + 1, 5);
	assert_int_equal(resident(chain.base + 2 * page_size(), 3), 0);
	assert_int_equal(reach(&chain, 5, 2 * page_size()), 0);
	assert_int_equal(reach(&chain, 5, 3 * page_size()), 2);

	/* A chain that was in use has its pages. */
	random_fill(chain.base, 5 * page_size(), 1);
	port_chain_free(store, &chain, 5);
	assert_true(port_chain_alloc(store, &chain, 5, GFP_KERNEL, 0));
	assert_int_equal(reach(&chain, 5, 5 * page_size()), 0);
	port_chain_free(store, &chain, 5);
	store_unmake(store);
}

static bool is_zero(const struct port_page *page)
{
	const char *byte = (const char *)page;

	for (size_t i = sizeof(*page); i < page_size(); i++)
		if (byte[i])
			return false;
	return true;
}

/* Pages for the core are zeros, also those that were in use. Without @wait nothing is mapped. */
static void test_pages(void **state)
{
	struct port_store *store = store_make();
	struct port_page *page[REGION_PAGES];

	(void)state;
	atomic_store(&maps, 0);
	assert_null(port_page_alloc(store, false));
	assert_int_equal(atomic_load(&maps), 0);
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < REGION_PAGES; i++) {
			page[i] = port_page_alloc(store, !round);
			assert_non_null(page[i]);
			assert_true(is_zero(page[i]));
			random_fill(page[i] + 1, page_size() - sizeof(*page[i]), i);
		}
		for (unsigned int i = 0; i < REGION_PAGES; i++)
			port_page_free(store, page[i]);
	}
	/* A lock that is taken is no reason to wait. */
	port_lock(&store->lock);
	assert_null(port_page_alloc(store, false));
	port_unlock(&store->lock);
	store_unmake(store);
}

struct job {
	pthread_t thread;
	struct port_store *store;
	uint64_t seed;
	bool failed;
};

static atomic_uint running;

static void *use_store(void *arg)
{
	struct job *job = arg;
	struct {
		struct port_chain chain;
		unsigned int pages;
		uint64_t key;
	} own[64] = { 0 };

	for (unsigned int i = 0; i < 10000; i++) {
		unsigned int at = next_random(&job->seed) % 64;

		if (own[at].pages) {
			if (!chain_holds(&own[at].chain, 1, own[at].key))
				job->failed = true;
			port_chain_free(job->store, &own[at].chain, own[at].pages);
			own[at].pages = 0;
			continue;
		}
		own[at].pages = 1 + next_random(&job->seed) % PORT_MAX_CHAIN;
		own[at].key = next_random(&job->seed);
		if (!port_chain_alloc(job->store, &own[at].chain, own[at].pages, GFP_KERNEL, 0))
			return NULL;
		random_fill(own[at].chain.base, page_size(), own[at].key);
	}
	for (unsigned int i = 0; i < 64; i++)
		if (own[i].pages)
			port_chain_free(job->store, &own[i].chain, own[i].pages);
	atomic_fetch_sub(&running, 1);
	return arg;
}

/* Threads take and free while the store is trimmed: no page in use goes. */
static void test_threads(void **state)
{
	struct port_store *store = store_make();
	struct job jobs[4];
	void *done;

	(void)state;
	atomic_store(&running, 4);
	for (unsigned int i = 0; i < 4; i++) {
		jobs[i] = (struct job){ .store = store, .seed = i + 1 };
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, use_store, &jobs[i]), 0);
	}
	for (unsigned int i = 0; atomic_load(&running); i++)
		port_store_trim(store, i % 2);
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(jobs[i].thread, &done);
		assert_non_null(done);
		assert_false(jobs[i].failed);
	}
	port_store_trim(store, true);
	assert_int_equal(store->dirty_pages, 0);
	store_unmake(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_overlap),
		cmocka_unit_test(test_whole_region),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_cut_anew),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_trim_regions),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_trim_keeps),
		cmocka_unit_test(test_trim_until_quiet),
		cmocka_unit_test(test_advice_fails),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_tight),
		cmocka_unit_test(test_nowait),
		cmocka_unit_test(test_reach),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
