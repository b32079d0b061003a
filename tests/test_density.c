/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Density: what the pool takes for objects of sizes such as compressed pages have is hardly more
 * than their bytes, and longer chains take less. The sizes are always the same.
 */
#include "helpers.h"

#define OBJECTS 400000

/* From a few bytes to the page size, mostly about half of it: the mean of three even ones. */
static size_t size_of(uint64_t *state)
{
	size_t sum = 0;

	for (int i = 0; i < 3; i++)
		sum += next_random(state) % (page_size() * 13 / 12);
	sum /= 3;
	return sum < 1 ? 1 : sum > page_size() ? page_size() : sum;
}

/* The overhead over the stored bytes, in units of a hundredth of a per cent. */
static unsigned long overhead(unsigned int max_chain)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .max_chain = max_chain });
	uint64_t state = 42;
	size_t stored = 0, taken;

	for (unsigned int i = 0; i < OBJECTS; i++) {
		size_t size = size_of(&state);

		object_alloc(pool, size);
		stored += size;
	}
	taken = zs_get_total_pages(pool) * page_size();
	assert_true(taken >= stored);
	zs_destroy_pool(pool);
	return (taken - stored) * 10000 / stored;
}

static void test_overhead(void **state)
{
	unsigned long of_4 = overhead(4), by_default = overhead(0);

	(void)state;
	printf("overhead in hundredths of a per cent: %lu, of chains up to 4 pages %lu\n",
	       by_default, of_4);
	assert_true(by_default < of_4);
	assert_true(by_default <= 200);
}

/* No byte is wasted on whole pages, and hardly one on small slots of which many fill a page. */
static void test_one_size(void **state)
{
	struct zs_pool *pool = zs_create_pool("one size");

	(void)state;
	for (unsigned int i = 0; i < 1024; i++)
		object_alloc(pool, page_size());
	assert_int_equal(zs_get_total_pages(pool), 1024);
	zs_destroy_pool(pool);

	pool = zs_create_pool("small");
	for (unsigned int i = 0; i < 256 * 100; i++)
		object_alloc(pool, page_size() / 256);
	assert_int_equal(zs_get_total_pages(pool), 100);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overhead),
		cmocka_unit_test(test_one_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
