/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 11: a pool does not grow while frees wait, and a limit that is compared with
 * zs_get_total_pages() never fails for what only waits. (Reaches inside: src/pool.h.)
 */
#include "helpers.h"

#include <pthread.h>

#include "pool.h"

/* Objects that wait make room for others of their size, which then take no zspage of their own. */
static void test_waiting_makes_room(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *handles = objects_make(pool, 1000, 3000);
	u64 pages = (u64)atomic64_read(&pool->pages);

	(void)state;
	for (unsigned int round = 0; round < 5; round++) {
		for (size_t i = 0; i < 3000; i++)
			zs_free_deferred(pool, handles[i]);
		free(handles);
		handles = objects_make(pool, 1000, 3000);
		assert_in_range(atomic64_read(&pool->pages), pages, pages * 11 / 10);
	}
	free(handles);
	zs_destroy_pool(pool);
}

#define SOME 128 /* handles that a call of zs_malloc() frees at a time, at most */

struct part {
	struct zs_pool *pool;
	unsigned long *handles;
	size_t count;
};

static void *defer_part(void *arg)
{
	const struct part *part = arg;

	for (size_t i = 0; i < part->count; i++)
		zs_free_deferred(part->pool, part->handles[i]);
	return NULL;
}

static void *alloc_part(void *arg)
{
	const struct part *part = arg;

	for (size_t i = 0; i < part->count; i++)
		part->handles[i] = zs_malloc(part->pool, 1000, GFP_KERNEL, NUMA_NO_NODE);
	return NULL;
}

/* A class whose zspages are all full. */
static struct part full_class(void)
{
	struct part all = { .pool = make_lazy_pool() };
	u32 slots = all.pool->table->geometry[class_for(all.pool->table, 1000)].slots;

	all.count = 4UL * SOME / slots * slots;
	all.handles = objects_make(all.pool, 1000, all.count);
	return all;
}

/* What waits in a lane that the pass under way has left behind makes room, too. */
static void test_pass_under_way(void **state)
{
	struct part all = full_class(), part = all;
	u64 pages = (u64)atomic64_read(&all.pool->pages);
	pthread_t other;

	(void)state;
	part.count = SOME;
	assert_int_equal(pthread_create(&other, NULL, defer_part, &part), 0);
	pthread_join(other, NULL);
	assert_int_equal(drain_some(GFP_NOWAIT), SOME);
	assert_int_equal(runtime.queue.lane, 2); /* the pass is behind this thread's lane */
	alloc_part(&part);
	part.handles += SOME;
	part.count = 10;
	for (unsigned int round = 0; round < 3; round++) {
		defer_part(&part);
		alloc_part(&part);
		assert_int_equal(atomic64_read(&all.pool->pages), pages);
	}
	free(all.handles);
	zs_destroy_pool(all.pool);
}

static bool is_wanted(void *lock)
{
	return atomic_read(&((struct port_lock *)lock)->state) == PORT_LOCK_WANTED;
}

/* A call that may sleep waits for a drain that is under way. */
static void test_waits_for_drain(void **state)
{
	struct part all = full_class(), part = all;
	u64 pages = (u64)atomic64_read(&all.pool->pages);
	pthread_t other;

	(void)state;
	part.count = 10;
	defer_part(&part);
	port_mutex_lock(&runtime.queue.drain);
	assert_int_equal(pthread_create(&other, NULL, alloc_part, &part), 0);
	assert_true(wait_for(is_wanted, &runtime.queue.drain.lock));
	assert_true(READ_ONCE(runtime.queue.wanted)); /* the worker pauses */
	port_mutex_unlock(&runtime.queue.drain);
	pthread_join(other, NULL);
	assert_int_equal(atomic64_read(&all.pool->pages), pages);
	free(all.handles);
	zs_destroy_pool(all.pool);
}

/* The total leaves out what waits, and is exact again once nothing does. */
static void test_total_leaves_out(void **state)
{
	struct zs_pool *pool = make_lazy_pool();
	unsigned long *handles = objects_make(pool, 1000, 4000);
	unsigned long pages = zs_get_total_pages(pool);

	(void)state;
	for (size_t i = 0; i < 3000; i++)
		zs_free_deferred(pool, handles[i]);
	assert_in_range(zs_get_total_pages(pool), pages / 4 - 2, pages / 4 + 2);
	zs_free_deferred_flush(pool);
	assert_in_range(zs_get_total_pages(pool), pages / 4, pages / 4 + 40);
	assert_int_equal(zs_get_total_pages(pool), atomic64_read(&pool->pages));
	free(handles);
	zs_destroy_pool(pool);
}

#define PAGES 10240 /* 40 MiB of pages, which a store keeps in about half of that */

struct writer {
	pthread_t thread;
	struct zs_pool *pool;
	unsigned long *slots;
	uint64_t seed;
	unsigned long limit;
	unsigned long failed;
	unsigned long highest;
	void (*free_one)(struct zs_pool *pool, unsigned long handle);
};

/* Writes its pages anew as zram does: store the new, compare with the limit, free the old. */
static void *rewrite(void *arg)
{
	struct writer *writer = arg;

	for (unsigned int round = 0; round < 4; round++) {
		for (size_t i = 0; i < PAGES / 2; i++) {
			size_t size = 1000 + next_random(&writer->seed) % 2200;
			unsigned long handle = zs_malloc(writer->pool, size, GFP_KERNEL, -1);
			unsigned long total = zs_get_total_pages(writer->pool);

			if (total > writer->limit) {
				writer->failed++;
				zs_free(writer->pool, handle);
				continue;
			}
			if (writer->slots[i])
				writer->free_one(writer->pool, writer->slots[i]);
			writer->slots[i] = handle;
			total = (unsigned long)atomic64_read(&writer->pool->pages);
			writer->highest = total > writer->highest ? total : writer->highest;
		}
	}
	return NULL;
}

/*
 * Two writers on a pool with a limit. Returns how often it struck; *@highest is the most pages
 * held.
 */
static unsigned long run_writers(void (*free_one)(struct zs_pool *pool, unsigned long handle),
				 unsigned long limit, unsigned long *highest)
{
	struct zs_pool *pool = zs_create_pool("limited");
	struct writer writers[2];
	unsigned long failed = 0;

	*highest = 0;
	for (unsigned int i = 0; i < 2; i++) {
		writers[i] = (struct writer){
			.pool = pool,
			.slots = calloc(PAGES / 2, sizeof(unsigned long)),
			.seed = i + 1,
			.limit = limit,
			.free_one = free_one,
		};
		assert_int_equal(pthread_create(&writers[i].thread, NULL, rewrite, &writers[i]), 0);
	}
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(writers[i].thread, NULL);
		failed += writers[i].failed;
		*highest = writers[i].highest > *highest ? writers[i].highest : *highest;
		free(writers[i].slots);
	}
	zs_destroy_pool(pool);
	return failed;
}

/* Deferred frees never fail a write that frees at once would not have, and the limit stays real. */
static void test_limit(void **state)
{
	unsigned long most, limit, held;

	(void)state;
	assert_int_equal(run_writers(zs_free, ~0UL, &most), 0);
	/* The order in which two threads come makes a difference of several per cent. */
	limit = most + most / 8;
	assert_int_equal(run_writers(zs_free, limit, &held), 0);
	assert_int_equal(run_writers(zs_free_deferred, limit, &held), 0);
	assert_true(held <= limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waiting_makes_room),
		cmocka_unit_test(test_pass_under_way),
		cmocka_unit_test(test_waits_for_drain),
		cmocka_unit_test(test_total_leaves_out),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
