/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Holes give memory back. A random part of the objects is freed, and the test does not call
 * zs_compact(). Then a pool holds hardly more than the objects that are left. Linux's own allocator
 * keeps a chain of at most 8 pages for each object that is left in it.
 */
#include "helpers.h"

#include "pool.h"

#define OBJECTS 40000

static struct {
	struct zs_pool *pool;
	unsigned long most; /* pages */
} waiting;

static bool holds_little(void *arg)
{
	(void)arg;
	return zs_get_total_pages(waiting.pool) <= waiting.most;
}

static size_t size_of(uint64_t *random)
{
	return page_size() / 4 + next_random(random) % (page_size() / 2);
}

/* Leaves one object of @left in @of, here and there. */
static void check_left(unsigned int left, unsigned int of)
{
	unsigned long *handles = calloc(OBJECTS, sizeof(*handles));
	uint64_t random = 17;
	size_t stored = 0;

	waiting.pool = zs_create_pool("holes");
	for (size_t i = 0; i < OBJECTS; i++)
		handles[i] = object_alloc(waiting.pool, size_of(&random));
	random = 17;
	for (size_t i = 0; i < OBJECTS; i++) {
		size_t size = size_of(&random);

		if ((i * 7919 + i / 13) % of < left)
			stored += size;
		else
			(i % 2 ? zs_free : zs_free_deferred)(waiting.pool, handles[i]);
	}
	/* Sparse is a 64th of the pages and 4 MiB; a class may have one zspage that is not full. */
	waiting.most = stored / page_size() * 66 / 64 + (4 << 20) / page_size() + 512;
	assert_true(wait_for(holds_little, NULL));
	free(handles);
	zs_destroy_pool(waiting.pool);
}

static void test_objects(void **state)
{
	(void)state;
	check_left(1, 2);
	check_left(1, 4);
	check_left(1, 10);
}

/*
 * An object of a page has a zspage of one page: its page is the pool's no more as soon as it is
 * free.
 */
static void test_pages(void **state)
{
	struct zs_pool *pool = zs_create_pool("pages");
	unsigned long handles[1000];

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		handles[i] = object_make(pool, page_size(), i);
	assert_int_equal(zs_get_total_pages(pool), 1000);
	for (unsigned int i = 0; i < 1000; i++)
		if (i % 4)
			zs_free(pool, handles[i]);
	assert_int_equal(zs_get_total_pages(pool), 250);
	for (unsigned int i = 0; i < 1000; i += 4)
		assert_true(object_holds(pool, handles[i], page_size(), i));
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
