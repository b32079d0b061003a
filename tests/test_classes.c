/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The geometry of size classes: no other chain is cheaper, no other cut into classes is, and every
 * size finds the smallest class that it fits in; at several page sizes. (Reaches inside: src/pool.h;
 * the page size is the port's variable, changed while no pool exists.)
 */
#include "helpers.h"

#include "pool.h"

/* Bytes that a zspage costs: its pages, and whole cache lines of descriptor. */
static u64 zspage_cost(u64 pages, u64 slots)
{
	u64 descriptor = offsetof(struct zspage, chain) + sizeof(struct port_chain) + 4 * slots;

	return pages * PORT_PAGE_SIZE + (descriptor + 63) / 64 * 64;
}

static u64 slots_of(u64 pages, u64 size)
{
	u64 slots = pages * PORT_PAGE_SIZE / size;

	return slots > 256 ? 256 : slots;
}

/* What a class costs: its objects' shares of zspages, and half a page that is written in part. */
static u64 class_cost(u64 pages, u64 slots, u64 objects)
{
	return objects * zspage_cost(pages, slots) / slots + PORT_PAGE_SIZE / 2;
}

static void check_geometry(size_t size, u64 objects, unsigned int max_chain)
{
	struct geometry best = geometry_best(size, objects, max_chain);
	u64 chosen = class_cost(best.pages, best.slots, objects);

	assert_in_range(best.pages, 1, max_chain);
	assert_int_equal(best.slots, slots_of(best.pages, size));
	for (u32 pages = 1; pages <= max_chain; pages++) {
		u64 other = class_cost(pages, slots_of(pages, size), objects);

		if (other < chosen || (other == chosen && pages < best.pages))
			fail_msg("%zu objects of %zu, chains up to %u: %u pages are better than %u",
				 (size_t)objects, size, max_chain, pages, best.pages);
	}
}

/* Every size, and not only those that slots have; for few objects and for many. */
static void check_geometries(void)
{
	size_t least = PORT_PAGE_SIZE / ZS_SIZE_STEPS * ZS_MIN_STEPS;

	for (unsigned int max_chain = 1; max_chain <= ZS_MAX_CHAIN; max_chain++)
		for (size_t size = least; size <= PORT_PAGE_SIZE; size++) {
			check_geometry(size, 1, max_chain);
			check_geometry(size, size * 7 % 10000, max_chain);
			check_geometry(size, 1000000000, max_chain);
		}
}

static bool same(struct geometry a, struct geometry b)
{
	return a.pages == b.pages && a.slots == b.slots;
}

/* No cut is cheaper than the one that was found, each class with its best chain: all are tried. */
static void check_cut(unsigned int max_chain)
{
	static u64 least[ZS_SIZE_STEPS + 1];
	struct class_cut cuts[ZS_SIZE_STEPS + 1];
	size_t step = PORT_PAGE_SIZE / ZS_SIZE_STEPS;

	memset(cuts, 0, sizeof(cuts));
	classes_cut(cuts, max_chain);
	for (u32 last = ZS_MIN_STEPS; last <= ZS_SIZE_STEPS; last++) {
		u64 objects = 0;

		least[last] = UINT64_MAX;
		for (u32 first = last; first >= ZS_MIN_STEPS; first--) {
			struct geometry best;
			u64 cost;

			objects += CUT_OBJECTS + CUT_PAGES * ZS_SIZE_STEPS / first;
			best = geometry_best(last * step, objects, max_chain);
			cost = least[first - 1] + class_cost(best.pages, best.slots, objects);
			if (cost < least[last])
				least[last] = cost;
		}
		assert_int_equal(cuts[last].cost, least[last]);
	}
}

static void check_cuts(void)
{
	check_cut(1);
	check_cut(4);
	check_cut(ZS_MAX_CHAIN);
}

/* Classes are in order, none is as its neighbour, and the last is that of the page size. */
static void check_order(const struct classes *classes, unsigned int max_chain)
{
	assert_in_range(classes->count, 2, ZS_SIZE_STEPS);
	for (u32 i = 0; i < classes->count; i++) {
		const struct size_class *class = &classes->class[i];

		assert_int_equal(class->index, i);
		assert_int_equal(class->size % (PORT_PAGE_SIZE / ZS_SIZE_STEPS), 0);
		assert_in_range(class->geometry.pages, 1, max_chain);
		assert_int_equal(class->geometry.slots,
				 slots_of(class->geometry.pages, class->size));
		if (i) {
			assert_true(class[-1].size < class->size);
			assert_false(same(class[-1].geometry, class->geometry));
		}
		assert_int_equal(class->size == PORT_PAGE_SIZE, i == classes->count - 1);
	}
}

/* Every size has the smallest class that it fits in. */
static void check_lookup(const struct classes *classes)
{
	for (size_t size = 1; size <= PORT_PAGE_SIZE; size++) {
		const struct size_class *class = class_for(classes, size);

		assert_true(class->size >= size);
		assert_true(class->index == 0 || class[-1].size < size);
	}
}

static void check_classes(void)
{
	for (unsigned int max_chain = 1; max_chain <= ZS_MAX_CHAIN; max_chain++) {
		struct classes classes;

		memset(&classes, 0, sizeof(classes));
		assert_int_equal(classes_init(&classes, max_chain), 0);
		check_order(&classes, max_chain);
		check_lookup(&classes);
		classes_destroy(&classes);
	}
}

static void test_cheapest(void **state)
{
	(void)state;
	check_geometries();
	check_cuts();
	check_classes();
}

static void test_cheapest_16k(void **state)
{
	unsigned int shift = port_page_shift;

	(void)state;
	port_page_shift = 14;
	check_geometries();
	check_cuts();
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

			assert_int_equal(index, class_for(&pool->classes, size)->index);
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
