/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Pins: who reads keeps a zspage from being frozen, who freezes it keeps readers out, and neither
 * leaves anything behind. (Reaches inside: src/pool.h.)
 */
#include "helpers.h"
#include "invariants.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "pool.h"

static struct zspage *zspage_of(struct zs_pool *pool, unsigned long handle)
{
	u64 entry = (u64)atomic64_read(handle_entry(&pool->handles, handle));

	return zspage_at(&pool->zspages, entry_zspage(entry));
}

static void test_pin_and_freeze(void **state)
{
	struct zspage zspage;

	(void)state;
	memset(&zspage, 0, sizeof(zspage));
	atomic_set(&zspage.pins, ZSPAGE_ALIVE);
	assert_true(zspage_pin(&zspage));
	assert_true(zspage_pin(&zspage));
	assert_int_equal(zspage_pins(&zspage), 2);
	assert_false(zspage_freeze(&zspage));
	zspage_unpin(&zspage);
	assert_false(zspage_freeze(&zspage));
	zspage_unpin(&zspage);
	assert_true(zspage_freeze(&zspage));
	assert_false(zspage_freeze(&zspage));
	assert_int_equal(zspage_pins(&zspage), 0);
	assert_false(zspage_pin(&zspage));
	assert_false(zspage_pin(&zspage));
	assert_int_equal(zspage_pins(&zspage), 0);
	zspage_thaw(&zspage);
	assert_true(zspage_pin(&zspage));
	assert_int_equal(zspage_pins(&zspage), 1);
	zspage_unpin(&zspage);
	assert_int_equal(atomic_read(&zspage.pins), ZSPAGE_ALIVE);
}

/* What is dead can't be pinned, and a try does not write to it. */
static void test_dead(void **state)
{
	const struct zspage dead = { .class = 0 };
	struct zspage *zspage =
		mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(zspage, MAP_FAILED);
	assert_true(zspage_is_idle(zspage));
	assert_false(zspage_pin(zspage));
	assert_memory_equal(zspage, &dead, sizeof(dead));
	assert_int_equal(munmap(zspage, page_size()), 0);
}

/* A read holds one pin from begin to end, a write none when it is over. */
static void test_calls(void **state)
{
	struct zs_pool *pool = zs_create_pool("pins");
	unsigned long handle = object_make(pool, 500, 1);
	struct zspage *zspage = zspage_of(pool, handle);
	void *memory[10];

	(void)state;
	assert_int_equal(zspage_pins(zspage), 0);
	for (int i = 0; i < 10; i++) {
		memory[i] = zs_obj_read_begin(pool, handle, 500, NULL);
		assert_ptr_equal(memory[i], memory[0]);
		assert_int_equal(zspage_pins(zspage), i + 1);
	}
	object_fill(pool, handle, 500, 2); /* a reader does not keep writers out */
	assert_int_equal(zspage_pins(zspage), 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(zspage_pins(zspage), 10 - i);
		zs_obj_read_end(pool, handle, 500, memory[i]);
	}
	assert_int_equal(zspage_pins(zspage), 0);
	assert_true(object_holds(pool, handle, 500, 2));
	zs_destroy_pool(pool);
}

/* What goes wrong leaves no pin. */
static void test_misuse(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .misuse = ZS_MISUSE_COUNT });
	unsigned long handle = object_make(pool, 500, 1);
	struct zspage *zspage = zspage_of(pool, handle);

	(void)state;
	assert_null(zs_obj_read_begin(pool, handle, page_size(), NULL));
	assert_int_equal(atomic_read(&zspage->pins), ZSPAGE_ALIVE);
	zs_obj_read_end(pool, handle, 500, zspage);
	assert_int_equal(atomic_read(&zspage->pins), ZSPAGE_ALIVE);
	assert_int_equal(misuses_of(pool), 2);
	zs_destroy_pool(pool);
}

/* The host of a chunk of the deferred queue is pinned until the chunk is drained. */
static void test_host(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long handle = host_make(pool, 1000, 1);
	unsigned long neighbour = object_make(pool, 1000, 2);
	struct zspage *zspage = zspage_of(pool, handle);

	(void)state;
	assert_ptr_equal(zspage_of(pool, neighbour), zspage);
	zs_free_deferred(pool, handle);
	assert_int_equal(zspage_pins(zspage), 1);
	zs_free_deferred_flush(pool);
	assert_int_equal(atomic_read(&zspage->pins), ZSPAGE_ALIVE);
	assert_true(object_holds(pool, neighbour, 1000, 2));
	zs_destroy_pool(pool);
}

/* Who frees an object that may not host does not expect it to. */
static void test_no_host(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long handle;

	(void)state;
	do
		handle = object_make(pool, 1000, 1);
	while (deferred_may_host(handle));
	zs_free_deferred(pool, handle);
	assert_int_equal(zspage_pins(zspage_of(pool, handle)), 0);
	assert_int_equal(deferred_stat(pool, "pending"), 1);
	zs_free_deferred_flush(pool);
	assert_int_equal(misuses_of(pool), 0);
	zs_destroy_pool(pool);
}

struct freezing {
	struct zs_pool *pool;
	unsigned long handle;
	atomic_bool read;
};

static void *read_frozen(void *arg)
{
	struct freezing *freezing = arg;
	bool right = object_holds(freezing->pool, freezing->handle, 500, 1);

	atomic_store(&freezing->read, true);
	return right ? arg : NULL;
}

/* A reader that meets a frozen zspage waits for its class lock, and then reads. */
static void test_reader_waits(void **state)
{
	struct freezing freezing = { .pool = zs_create_pool("frozen") };
	struct size_class *class = class_for(&freezing.pool->classes, 500);
	struct zspage *zspage;
	pthread_t reader;
	void *right;

	(void)state;
	freezing.handle = object_make(freezing.pool, 500, 1);
	zspage = zspage_of(freezing.pool, freezing.handle);
	port_lock(&class->lock);
	assert_true(zspage_freeze(zspage));
	assert_int_equal(pthread_create(&reader, NULL, read_frozen, &freezing), 0);
	/* It can't have read before it is thawed; whether it has begun nobody knows. */
	for (int i = 0; i < 100; i++) {
		sched_yield();
		assert_false(atomic_load(&freezing.read));
	}
	zspage_thaw(zspage);
	port_unlock(&class->lock);
	assert_int_equal(pthread_join(reader, &right), 0);
	assert_non_null(right);
	assert_int_equal(atomic_read(&zspage->pins), ZSPAGE_ALIVE);
	zs_destroy_pool(freezing.pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pin_and_freeze), cmocka_unit_test(test_dead),
		cmocka_unit_test(test_calls),	       cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_host),	       cmocka_unit_test(test_no_host),
		cmocka_unit_test(test_reader_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
