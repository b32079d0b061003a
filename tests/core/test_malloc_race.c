/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Two threads that store objects of one class may find at once that it lacks a zspage. Each then
 * makes one, and that of the slower thread is not lost.
 *
 * The linker wraps zspage_create(): just after it another object is stored, as by a faster thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "invariants.h"
#include "pool.h"
#include "zsmalloc.h"

#define SLOTS 8 /* of a zspage of one page */

static struct zs_pool *pool;
static unsigned long stored[2 * SLOTS];
static unsigned int count;
static bool create_is_slow; /* the next */

static void store(void)
{
	unsigned long handle = zs_malloc(pool, PORT_PAGE_SIZE / SLOTS, GFP_KERNEL, NUMA_NO_NODE);

	assert_false(zs_is_err(handle));
	assert_true(count < 2 * SLOTS);
	stored[count++] = handle;
}

/* Another thread stores an object, if the caller is the slow one. */
static void overtake(bool *is_slow)
{
	if (!*is_slow)
		return;
	*is_slow = false;
	store();
}

struct zspage *__real_zspage_create(struct zspages *zspages, struct size_class *class, gfp_t flags,
				    int nid);
struct zspage *__wrap_zspage_create(struct zspages *zspages, struct size_class *class, gfp_t flags,
				    int nid);

struct zspage *__wrap_zspage_create(struct zspages *zspages, struct size_class *class, gfp_t flags,
				    int nid)
{
	struct zspage *zspage = __real_zspage_create(zspages, class, flags, nid);

	overtake(&create_is_slow);
	return zspage;
}

static void setup_pool(void)
{
	const struct zs_pool_options options = { .size = sizeof(options), .max_chain = 1 };

	pool = zs_create_pool_with("malloc_race", &options);
	assert_non_null(pool);
	count = 0;
}

/* All that was stored is there, in this number of pages, and goes. */
static void check_and_destroy(unsigned int objects, unsigned int pages)
{
	assert_false(create_is_slow);
	assert_int_equal(count, objects);
	assert_int_equal(zs_get_total_pages(pool), pages);
	check_invariants(pool, objects, 0);
	while (count)
		zs_free(pool, stored[--count]);
	check_empty(pool);
	zs_destroy_pool(pool);
}

static void test_zspage_fetched_twice(void **state)
{
	(void)state;
	setup_pool();
	for (unsigned int i = 0; i < SLOTS; i++)
		store();
	create_is_slow = true;
	store();
	check_and_destroy(SLOTS + 2, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zspage_fetched_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
