/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Memory that is being given back to the system is given to no caller: what is stored then stays.
 *
 * The linker wraps madvise(). In the middle of each call the test stores objects, or takes chains
 * of the page store itself, which it reaches into.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "invariants.h"
#include "port.h"
#include "random.h"
#include "wrap_process_madvise.h"

#define OBJECTS 4000
#define MEANWHILE 50 /* objects stored in each call */

struct object {
	unsigned long handle; /* 0 for none */
	size_t size;
	uint64_t content;
};

static struct zs_pool *pool;
static struct object object[OBJECTS];
static uint64_t state_of_random;
static unsigned int calls;
static void (*meanwhile)(void); /* called in the middle of madvise() */

static void store(struct object *new)
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
	assert_int_equal(port_store_init(&chains), 0);
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
		cmocka_unit_test(test_chain_taken_while_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
