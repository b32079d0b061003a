/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Density: what is resident of a pool's zspages is hardly more than the stored bytes. Longer chains
 * take less. So it is again when most objects are gone and the pool was compacted. The sizes are
 * such as compressed pages have, and always the same. (Reaches inside, to find the zspages:
 * src/pool.h.)
 */
#include <sys/mman.h>

#include "helpers.h"
#include "pool.h"

#define OBJECTS 100000

/* From a few bytes to the page size, mostly about half of it: the mean of three even ones. */
static size_t size_of(uint64_t *state)
{
	size_t sum = 0;

	for (int i = 0; i < 3; i++)
		sum += next_random(state) % (page_size() * 13 / 12);
	sum /= 3;
	return sum < 1 ? 1 : sum > page_size() ? page_size() : sum;
}

/* The bytes of a pool's zspages that are resident. */
static size_t resident(const struct zs_pool *pool)
{
	size_t pages = 0;

	for (u32 number = 1; number < zspages_end(&runtime.zspages); number++) {
		const struct zspage_ref *ref = zspage_ref(&runtime.zspages, number);
		const struct zspage *zspage = ref->zspage;
		unsigned char there[ZS_MAX_CHAIN];
		u32 count;

		if (!ref->where || zspage->class->pool != pool)
			continue;
		count = zspage->class->geometry.pages;
		assert_int_equal(mincore(zspage->chain.base, count * page_size(), there), 0);
		for (u32 i = 0; i < count; i++)
			pages += there[i] & 1;
	}
	return pages * page_size();
}

/* The overhead over the stored bytes, in units of a hundredth of a per cent. */
static unsigned long overhead(const struct zs_pool *pool, size_t stored)
{
	size_t taken = resident(pool);

	assert_true(taken >= stored);
	return (taken - stored) * 10000 / stored;
}

#define CONTENTS 65536

/* What objects hold, each from a place of its own on; made once, as that takes time. */
static char contents[2 * CONTENTS];

static const char *content_of(unsigned int object)
{
	return contents + object * 17 % CONTENTS;
}

static bool content_is(struct zs_pool *pool, unsigned long handle, size_t size, unsigned int object)
{
	void *memory = zs_obj_read_begin(pool, handle, size, NULL);
	bool same = memcmp(memory, content_of(object), size) == 0;

	zs_obj_read_end(pool, handle, size, memory);
	return same;
}

struct overheads {
	unsigned long fresh;
	unsigned long left; /* of a fifth of the objects, after zs_compact() */
};

static struct overheads overheads_of(unsigned int max_chain)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.max_chain = max_chain,
		.compact_share = ZS_COMPACT_NEVER, /* it is zs_compact() that is looked at */
	});
	unsigned long *handles = calloc(OBJECTS, sizeof(*handles));
	struct overheads overheads;
	uint64_t state = 42;
	size_t stored = 0;

	assert_non_null(handles);
	for (unsigned int i = 0; i < OBJECTS; i++) {
		size_t size = size_of(&state);

		handles[i] = object_alloc(pool, size);
		zs_obj_write(pool, handles[i], (void *)(uintptr_t)content_of(i), size);
		stored += size;
	}
	overheads.fresh = overhead(pool, stored);

	state = 42;
	for (unsigned int i = 0; i < OBJECTS; i++) {
		size_t size = size_of(&state);

		if (i % 5) {
			zs_free(pool, handles[i]);
			stored -= size;
		}
	}
	zs_compact(pool);
	overheads.left = overhead(pool, stored);

	state = 42;
	for (unsigned int i = 0; i < OBJECTS; i++) {
		size_t size = size_of(&state);

		if (i % 5 == 0)
			assert_true(content_is(pool, handles[i], size, i));
	}
	free(handles);
	zs_destroy_pool(pool);
	return overheads;
}

static void test_overhead(void **state)
{
	struct overheads of_4, by_default;

	(void)state;
	if (TEST_LESS > 2) /* it takes long, and is one thread */
		skip();
	random_fill(contents, sizeof(contents), 42);
	of_4 = overheads_of(4);
	by_default = overheads_of(0);
	printf("overhead in hundredths of a per cent: %lu, of a fifth of it %lu; "
	       "with chains up to 4 pages %lu and %lu\n",
	       by_default.fresh, by_default.left, of_4.fresh, of_4.left);
	assert_true(by_default.fresh < of_4.fresh);
	/* Pages come in two at a time; an object of a page has a zspage of its own. */
	assert_true(by_default.fresh <= 120);
	assert_true(by_default.left <= 250);
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
