/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Memory goes back: from each way to free to the page store, and from there to the system, without
 * a call. Memory that is being given back is given to no caller: what is stored then stays.
 *
 * The linker wraps madvise(). In the middle of each call the test stores objects, or takes chains
 * of the page store itself, which it reaches into. Wraps the functions that take chains and free
 * them, to count.
 */
#include "helpers.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "invariants.h"
#include "pool.h"
#include "wrap_process_madvise.h"

#define OBJECTS 4000
#define MEANWHILE 50 /* objects stored in each call */

struct stored {
	unsigned long handle; /* 0 for none */
	size_t size;
	uint64_t content;
};

static struct zs_pool *pool;
static struct stored object[OBJECTS];
static uint64_t state_of_random;
static unsigned int calls;
static void (*meanwhile)(void); /* called in the middle of madvise() */

static void store(struct stored *new)
{
	char *buffer;

	new->size = random_size(&state_of_random);
	new->content = next_random(&state_of_random);
	new->handle = zs_malloc(pool, new->size, GFP_KERNEL, NUMA_NO_NODE);
	buffer = malloc(new->size);
	assert_false(zs_is_err(new->handle));
	assert_non_null(buffer);
	random_fill(buffer, new->size, new->content);
	zs_obj_write(pool, new->handle, buffer, new->size);
	free(buffer);
}

static void store_objects(unsigned int count)
{
	for (unsigned int i = 0; i < OBJECTS && count; i++) {
		if (object[i].handle)
			continue;
		store(&object[i]);
		count--;
	}
}

static uint64_t check_objects(void)
{
	uint64_t stored = 0;

	for (unsigned int i = 0; i < OBJECTS; i++) {
		void *memory;

		if (!object[i].handle)
			continue;
		memory = zs_obj_read_begin(pool, object[i].handle, object[i].size, NULL);
		assert_true(random_is(memory, object[i].size, object[i].content));
		zs_obj_read_end(pool, object[i].handle, object[i].size, memory);
		stored++;
	}
	return stored;
}

int __real_madvise(void *memory, size_t bytes, int advice);

int __wrap_madvise(void *memory, size_t bytes, int advice)
{
	void (*now)(void) = meanwhile;

	if (advice != MADV_DONTNEED)
		return __real_madvise(memory, bytes, advice);
	calls++;
	meanwhile = NULL; /* not within itself */
	if (now)
		now();
	meanwhile = now;
	return __real_madvise(memory, bytes, advice);
}

void __real_port_chain_discard(struct port_chain *chain, size_t offset, unsigned int pages);
void __wrap_port_chain_discard(struct port_chain *chain, size_t offset, unsigned int pages);

/* The class lock is held: no thread can store in that class meanwhile. */
void __wrap_port_chain_discard(struct port_chain *chain, size_t offset, unsigned int pages)
{
	void (*later)(void) = meanwhile;

	meanwhile = NULL;
	__real_port_chain_discard(chain, offset, pages);
	meanwhile = later;
}

static void store_some_objects(void)
{
	store_objects(MEANWHILE);
}

static void test_stored_while_trimmed(void **state)
{
	(void)state;
	meanwhile = store_some_objects;
	state_of_random = random_seed();
	pool = zs_create_pool("trim");
	assert_non_null(pool);
	pool_pause(pool); /* it is this thread that trims */
	store_objects(OBJECTS);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < OBJECTS; i++) {
			if (next_random(&state_of_random) % 4 == 0)
				continue;
			zs_free(pool, object[i].handle);
			object[i].handle = 0;
		}
		zs_compact(pool);
		check_objects();
		store_objects(OBJECTS);
		assert_int_equal(check_objects(), OBJECTS);
	}
	assert_true(calls > 20);
	meanwhile = NULL;
	pool_resume(pool);
	check_invariants(pool, OBJECTS, 0);
	zs_destroy_pool(pool);
}

static atomic_long chain_pages; /* that zspages have */

bool __real_port_chain_alloc(struct port_store *from, struct port_chain *chain, unsigned int pages,
			     gfp_t flags, int nid);
bool __wrap_port_chain_alloc(struct port_store *from, struct port_chain *chain, unsigned int pages,
			     gfp_t flags, int nid);

bool __wrap_port_chain_alloc(struct port_store *from, struct port_chain *chain, unsigned int pages,
			     gfp_t flags, int nid)
{
	bool done = __real_port_chain_alloc(from, chain, pages, flags, nid);

	if (done)
		atomic_fetch_add(&chain_pages, (long)pages);
	return done;
}

int __real_port_chain_free(struct port_store *to, struct port_chain *chain, unsigned int pages);
int __wrap_port_chain_free(struct port_store *to, struct port_chain *chain, unsigned int pages);

int __wrap_port_chain_free(struct port_store *to, struct port_chain *chain, unsigned int pages)
{
	atomic_fetch_sub(&chain_pages, (long)pages);
	return __real_port_chain_free(to, chain, pages);
}

#define MANY 5000 /* objects, of 3 MB */

static unsigned long *many_make(struct zs_pool *owner)
{
	unsigned long *handles = calloc(MANY, sizeof(*handles));

	assert_non_null(handles);
	for (size_t i = 0; i < MANY; i++)
		handles[i] = object_alloc(owner, 1 + i * 37 % 1200);
	assert_true(atomic_load(&chain_pages) > 700);
	return handles;
}

static void free_each(struct zs_pool *owner, unsigned long *handles)
{
	for (size_t i = 0; i < MANY; i++)
		zs_free(owner, handles[i * 7 % MANY]);
}

static void free_deferred(struct zs_pool *owner, unsigned long *handles)
{
	for (size_t i = 0; i < MANY; i++)
		zs_free_deferred(owner, handles[i * 7 % MANY]);
	zs_free_deferred_flush(owner);
}

static void free_bulk(struct zs_pool *owner, unsigned long *handles)
{
	zs_free_bulk(owner, handles, MANY);
}

/* Leaves one object of each 20, compacts, and frees the rest. */
static void free_and_compact(struct zs_pool *owner, unsigned long *handles)
{
	long before = atomic_load(&chain_pages), classes = (long)owner->table->count;

	for (size_t i = 0; i < MANY; i++)
		if (i % 20)
			zs_free(owner, handles[i]);
	zs_compact(owner);
	assert_true(atomic_load(&chain_pages) < before / 20 + classes * PORT_MAX_CHAIN);
	for (size_t i = 0; i < MANY; i += 20)
		zs_free(owner, handles[i]);
}

/* The last object of a zspage takes the zspage's chain along, whichever way it goes. */
static void test_chains_come_back(void **state)
{
	void (*const ways[])(struct zs_pool * owner,
			     unsigned long *handles) = { free_each, free_deferred, free_bulk,
							 free_and_compact };
	struct zs_pool *stays = make_lazy_pool(), *goes = make_lazy_pool();

	(void)state;
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		unsigned long *handles = many_make(stays);

		ways[i](stays, handles);
		assert_int_equal(atomic_load(&chain_pages), 0);
		free(handles);
	}
	free(many_make(goes));
	zs_destroy_pool(goes);
	assert_int_equal(atomic_load(&chain_pages), 0);
	zs_destroy_pool(stays);
}

static bool nothing_is_dirty(void *from)
{
	struct port_store *pages = from;
	bool nothing;

	port_lock(&pages->lock);
	nothing = !pages->dirty_pages;
	port_unlock(&pages->lock);
	return nothing;
}

/* The worker gives free memory back to the system, without a call. */
static void test_memory_goes_back(void **state)
{
	struct zs_pool *idle = zs_create_pool("idle");
	unsigned long *handles = many_make(idle);

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		(i % 2 ? zs_free : zs_free_deferred)(idle, handles[i]);
	zs_free_deferred_flush(idle);
	assert_int_equal(atomic_load(&chain_pages), 0);
	assert_true(wait_for(nothing_is_dirty, &runtime.zspages.store));
	assert_int_equal(zs_get_total_pages(idle), 0);
	free(handles);
	zs_destroy_pool(idle);
}

#define REGION 512 /* chains of a page in a region of the page store */

static struct port_store chains;
static struct port_chain taken;

static void take_chain(void)
{
	if (taken.base)
		return;
	assert_true(port_chain_alloc(&chains, &taken, 1, GFP_KERNEL, NUMA_NO_NODE));
	memset(taken.base, 0xa5, PORT_PAGE_SIZE);
}

/* A region of which @kept chains are in use is trimmed, and a chain is taken meanwhile. */
static void take_while_trimmed(unsigned int kept)
{
	struct port_chain chain[REGION];

	memset(&chains, 0, sizeof(chains));
	memset(&taken, 0, sizeof(taken));
	port_store_init(&chains);
	for (unsigned int i = 0; i < REGION; i++) {
		assert_true(port_chain_alloc(&chains, &chain[i], 1, GFP_KERNEL, NUMA_NO_NODE));
		memset(chain[i].base, 1, PORT_PAGE_SIZE);
	}
	for (unsigned int i = kept; i < REGION; i++)
		port_chain_free(&chains, &chain[i], 1);
	meanwhile = take_chain;
	port_store_trim(&chains, true);
	meanwhile = NULL;
	assert_non_null(taken.base);
	for (size_t i = 0; i < PORT_PAGE_SIZE; i++)
		assert_int_equal((unsigned char)taken.base[i], 0xa5);
	port_chain_free(&chains, &taken, 1);
	for (unsigned int i = 0; i < kept; i++)
		port_chain_free(&chains, &chain[i], 1);
	port_store_destroy(&chains);
}

static void test_chain_taken_while_trimmed(void **state)
{
	(void)state;
	take_while_trimmed(0);
	take_while_trimmed(1);
	take_while_trimmed(REGION / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored_while_trimmed),
		cmocka_unit_test(test_chains_come_back),
		cmocka_unit_test(test_memory_goes_back),
		cmocka_unit_test(test_chain_taken_while_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
