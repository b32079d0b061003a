/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A process at a limit of the system: address space, data, the number of mappings. A store is
 * ENOMEM then, nothing is lost, and it goes on when there is room again.
 */
#include "helpers.h"

#include <errno.h>
#include <sys/mman.h>

#define MOST 20000
#define SIZE 4000
#define SOME 2000

struct stored {
	struct zs_pool *pool;
	unsigned long handles[MOST];
	size_t count;
};

static void store_until_refused(struct stored *stored)
{
	while (stored->count < MOST) {
		unsigned long handle = zs_malloc(stored->pool, SIZE, GFP_KERNEL, NUMA_NO_NODE);

		if (zs_is_err(handle)) {
			CHILD_CHECK(zs_err(handle) == -ENOMEM);
			break;
		}
		object_fill(stored->pool, handle, SIZE, stored->count);
		stored->handles[stored->count++] = handle;
	}
}

static void goes_on(struct stored *stored)
{
	for (size_t i = 0; i < stored->count; i++)
		CHILD_CHECK(object_holds(stored->pool, stored->handles[i], SIZE, i));
	for (size_t i = 0; i < SOME; i++)
		zs_free_deferred(stored->pool, stored->handles[i]);
	for (size_t i = 0; i < SOME; i++)
		stored->handles[i] = object_make(stored->pool, SIZE, i);
	zs_compact(stored->pool);
	for (size_t i = 0; i < stored->count; i++)
		CHILD_CHECK(object_holds(stored->pool, stored->handles[i], SIZE, i));
	zs_destroy_pool(stored->pool);
}

static struct stored *begin(void)
{
	struct stored *stored = calloc(1, sizeof(*stored));

	CHILD_CHECK(stored);
	stored->pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });
	for (; stored->count < SOME; stored->count++)
		stored->handles[stored->count] = object_make(stored->pool, SIZE, stored->count);
	return stored;
}

static void lives_limited(const void *arg)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	const int resource = *(const int *)arg;
	struct stored *stored = begin();
	struct rlimit limit = none;
	unsigned long pages;
	FILE *file = fopen("/proc/self/statm", "r");

	/* What there is now, and less than the objects take. */
	CHILD_CHECK(file && fscanf(file, resource == RLIMIT_AS ? "%lu" : "%*u %*u %*u %*u %*u %lu",
				   &pages) == 1);
	fclose(file);
	limit.rlim_cur = (pages * page_size()) + (32UL << 20);
	CHILD_CHECK(setrlimit(resource, &limit) == 0);
	store_until_refused(stored);
	CHILD_CHECK(stored->count < MOST);
	goes_on(stored);
}

static void assert_child_lives(void (*body)(const void *arg), const void *arg)
{
	struct child child;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* they map terabytes, and many pieces */
#endif
	child = run_in_child(body, arg);
	assert_child_ended_well(&child);
}

static void test_address_space(void **state)
{
	const int resource = RLIMIT_AS;

	(void)state;
	assert_child_lives(lives_limited, &resource);
}

static void test_data(void **state)
{
	const int resource = RLIMIT_DATA;

	(void)state;
	assert_child_lives(lives_limited, &resource);
}

/* Maps single pages that cannot be merged, until the system has no more mappings. */
static size_t take_mappings(void **pages, size_t most)
{
	size_t count = 0;

	for (; count < most; count++) {
		int protection = count % 2 ? PROT_READ : PROT_NONE;

		pages[count] =
			mmap(NULL, page_size(), protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (pages[count] == MAP_FAILED)
			break;
	}
	return count;
}

static void has_no_mappings(const void *arg)
{
	static void *pages[1 << 20];
	struct stored *stored = begin();
	size_t count = take_mappings(pages, sizeof(pages) / sizeof(pages[0]));

	(void)arg;
	if (count == sizeof(pages) / sizeof(pages[0]))
		_exit(0); /* this system has more than a test can take */
	store_until_refused(stored);
	CHILD_CHECK(stored->count < MOST);
	for (size_t i = 0; i < count / 2; i++)
		munmap(pages[i], page_size());
	store_until_refused(stored);
	CHILD_CHECK(stored->count == MOST);
	goes_on(stored);
}

static void test_mappings(void **state)
{
	(void)state;
	assert_child_lives(has_no_mappings, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_space),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_mappings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
