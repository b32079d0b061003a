/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The geometry of size classes, at several page sizes. No other chain is much cheaper. Every size
 * finds the smallest class that it fits in. (Reaches inside: src/pool.h. The page size is the
 * port's variable, changed while no pool exists.)
 */
#include "helpers.h"

#include "pool.h"

static u64 slots_of(u64 pages, u64 size)
{
	u64 slots = pages * PORT_PAGE_SIZE / size;

	return slots > 256 ? 256 : slots;
}

/* The bytes of an object's share of a zspage, in thousandths: its pages and its descriptor. */
static u64 share(struct geometry geometry)
{
	u64 bytes = geometry.pages * PORT_PAGE_SIZE + descriptor_bytes(geometry);

	return bytes * 1000 / geometry.slots;
}

/* No chain is so short that another of at most the longest would save a tenth of an object. */
static void check_geometry(struct geometry geometry, unsigned int max_chain)
{
	for (u32 pages = 1; pages <= max_chain; pages++) {
		struct geometry other = {
			.size = geometry.size,
			.pages = (u16)pages,
			.slots = (u16)slots_of(pages, geometry.size),
		};

		if (geometry.size < PORT_PAGE_SIZE && share(geometry) > share(other) * 11 / 10)
			fail_msg("size %u, chains up to %u: %u pages are much better than %u",
				 geometry.size, max_chain, pages, geometry.pages);
	}
}

/* Classes are in order, and the last is that of the page size, a page for each object. */
static void check_order(const struct class_table *table, unsigned int max_chain)
{
	const struct geometry *last = &table->geometry[table->count - 1];

	assert_in_range(table->count, 2, ZS_SIZE_STEPS);
	for (u32 i = 0; i < table->count; i++) {
		const struct geometry *geometry = &table->geometry[i];

		assert_int_equal(geometry->size % (PORT_PAGE_SIZE / ZS_SIZE_STEPS), 0);
		assert_in_range(geometry->pages, 1, max_chain);
		assert_int_equal(geometry->slots, slots_of(geometry->pages, geometry->size));
		assert_true(i == 0 || geometry[-1].size < geometry->size);
		check_geometry(*geometry, max_chain);
	}
	assert_int_equal(last->size, PORT_PAGE_SIZE);
	assert_int_equal(last->pages, 1);
	assert_int_equal(last->slots, 1);
}

/* Every size has the smallest class that it fits in. */
static void check_lookup(const struct class_table *table)
{
	for (size_t size = 1; size <= PORT_PAGE_SIZE; size++) {
		u32 index = class_for(table, size);

		assert_true(table->geometry[index].size >= size);
		assert_true(index == 0 || table->geometry[index - 1].size < size);
	}
}

static void check_classes(void)
{
	for (unsigned int max_chain = 1; max_chain <= ZS_MAX_CHAIN; max_chain++) {
		struct class_table *table = classes_cut(max_chain);

		assert_non_null(table);
		check_order(table, max_chain);
		check_lookup(table);
		port_free(table, sizeof(*table));
	}
}

static void test_cheapest(void **state)
{
	(void)state;
	check_classes();
}

static void test_cheapest_16k(void **state)
{
	unsigned int shift = port_page_shift;

	(void)state;
	port_page_shift = 14;
	check_classes();
	port_page_shift = shift;
}

/* A pool as it is on a machine of larger pages. */
static void test_pool_16k(void **state)
{
	unsigned int shift = port_page_shift;
	struct zs_pool *pool;
	unsigned long *handles;
	size_t count = 0;

	(void)state;
	port_page_shift = 14;
	pool = zs_create_pool("16k");
	handles = calloc(PORT_PAGE_SIZE, sizeof(*handles));
	for (size_t size = 1; size <= PORT_PAGE_SIZE; size += 31, count++)
		handles[count] = object_make(pool, size, size);
	for (size_t i = 0; i < count; i++)
		assert_true(object_holds(pool, handles[i], 1 + 31 * i, 1 + 31 * i));
	zs_free_bulk(pool, handles, count);
	assert_int_equal(zs_get_total_pages(pool), 0);
	assert_true(zs_is_err(zs_malloc(pool, PORT_PAGE_SIZE + 1, GFP_KERNEL, NUMA_NO_NODE)));
	free(handles);
	zs_destroy_pool(pool);
	port_page_shift = shift;
}

/* What the API tells of classes is what they are. */
static void test_public(void **state)
{
	(void)state;
	for (unsigned int max_chain = 1; max_chain <= ZS_MAX_CHAIN; max_chain++) {
		struct zs_pool *pool =
			make_pool((struct zs_pool_options){ .max_chain = max_chain });
		size_t huge = zs_huge_class_size(pool);
		unsigned int last = zs_lookup_class_index(pool, (unsigned int)page_size());

		for (unsigned int size = 1; size <= page_size(); size++) {
			unsigned int index = zs_lookup_class_index(pool, size);

			assert_int_equal(index, class_for(pool->table, size));
			assert_int_equal(index == last, size >= huge);
		}
		assert_int_equal(zs_lookup_class_index(pool, (unsigned int)page_size() + 1), last);
		assert_int_equal(zs_lookup_class_index(pool, ~0U), last);
		zs_destroy_pool(pool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cheapest),
		cmocka_unit_test(test_cheapest_16k),
		cmocka_unit_test(test_pool_16k),
		cmocka_unit_test(test_public),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
