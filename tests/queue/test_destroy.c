/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Contract line 9: zs_destroy_pool() flushes first, and leaves nothing behind; AddressSanitizer
 * looks for leaks. What happens without memory for the queue is in tests/core/test_nomem.c.
 * (Reaches inside: src/pool.h. Wraps port_worker_stop(), to see what is pending when it is called.)
 */
#include "helpers.h"

#include "pool.h"

#define NOT_CALLED (~0ULL)

static u64 pending_at_stop;

void __real_port_worker_stop(struct port_worker *worker);
void __wrap_port_worker_stop(struct port_worker *worker);

void __wrap_port_worker_stop(struct port_worker *worker)
{
	pending_at_stop = queue_pending(&runtime.queue);
	__real_port_worker_stop(worker);
}

static void destroy(struct zs_pool *pool)
{
	pending_at_stop = NOT_CALLED;
	zs_destroy_pool(pool);
	assert_int_equal(pending_at_stop, 0);
}

static void test_flushes_first(void **state)
{
	const size_t sizes[] = { 10, 300, 1000, 4096 };

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct zs_pool *pool = make_lazy_pool();
		unsigned long *handles = objects_make(pool, sizes[i], 30);

		for (unsigned int j = 0; j < 30; j++)
			zs_free_deferred(pool, handles[j]);
		assert_int_equal(deferred_stat(pool, "pending"), 30);
		destroy(pool);
		free(handles);
	}
}

static void count_and_destroy(const void *arg)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.deferred_delay_ms = NEVER_MS,
		.misuse = ZS_MISUSE_COUNT,
	});
	unsigned long handle = object_make(pool, 1000, 1);

	(void)arg;
	zs_free_deferred(pool, handle);
	zs_free_deferred(pool, handle);
	zs_destroy_pool(pool);
}

/* The flush is a whole one: what was wrong about the handles is told. */
static void test_tells(void **state)
{
	struct child child = run_in_child(count_and_destroy, NULL);

	(void)state;
	assert_child_ended_well(&child);
	assert_non_null(strstr(child.said, "double free"));
}

/* A pool that goes while its worker has just been woken and drains. */
static void test_while_draining(void **state)
{
	uint64_t seed = random_seed();

	(void)state;
	for (unsigned int round = 0; round < 100; round++) {
		struct zs_pool *pool = make_pool((struct zs_pool_options){
			.deferred_budget = 200 * page_size(),
			.deferred_delay_ms = 1,
		});
		unsigned int count = next_random(&seed) % 400 + 1;
		unsigned long *handles = objects_make(pool, 500, count);

		for (unsigned int i = 0; i < count; i++)
			zs_free_deferred(pool, handles[i]);
		destroy(pool);
		free(handles);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flushes_first),
		cmocka_unit_test(test_tells),
		cmocka_unit_test(test_while_draining),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
