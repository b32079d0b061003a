/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * GFP_NOWAIT makes no system call that can block: it succeeds while there is memory at hand, and
 * else fails, which leaves everything as it was.
 */
#include "helpers.h"

#include <errno.h>
#include <sys/mman.h>

#include "syscall_filter.h"

#define MOST 200000

/*
 * A wake-up of the worker, a lock that the worker holds for a moment, and what the vDSO falls back
 * on; of memory none.
 */
static const unsigned int harmless[] = { SYS_futex, SYS_clock_gettime, SYS_getcpu,
					 SYS_sched_yield };
#define HARMLESS (sizeof(harmless) / sizeof(harmless[0]))

/* The filter does bite. */
static void ask_for_memory(const void *arg)
{
	(void)arg;
	CHILD_CHECK(filter_syscalls(harmless, HARMLESS));
	(void)mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void test_filter(void **state)
{
	struct child child;

	(void)state;
	if (!FILTER_POSSIBLE)
		skip();
	child = run_in_child(ask_for_memory, NULL);
	assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGSYS);
}

static void take_from_nothing(const void *arg)
{
	struct zs_pool *pool = zs_create_pool("nothing");

	(void)arg;
	CHILD_CHECK(pool && filter_syscalls(harmless, HARMLESS));
	for (size_t size = 1; size <= page_size(); size += 1000) {
		unsigned long handle = zs_malloc(pool, size, GFP_NOWAIT, NUMA_NO_NODE);

		CHILD_CHECK(!zs_is_err(handle) || zs_err(handle) == -ENOMEM);
		CHILD_CHECK(size > 1 || zs_is_err(handle));
	}
}

/* A pool that has no memory yet has none for a caller that does not wait. */
static void test_nothing_at_hand(void **state)
{
	struct child child = run_in_child(take_from_nothing, NULL);

	(void)state;
	assert_child_ended_well(&child);
}

/* Take all that there is, and see that none of it is spoilt when there is no more. */
static void take_all(const void *arg)
{
	size_t size = *(const size_t *)arg;
	static unsigned long handles[MOST];
	struct zs_pool *pool = zs_create_pool("some");
	size_t count = 0;

	handles[count++] = zs_malloc(pool, size, GFP_KERNEL, NUMA_NO_NODE);
	CHILD_CHECK(!zs_is_err(handles[0]));
	CHILD_CHECK(filter_syscalls(harmless, HARMLESS));
	while (count < MOST) {
		unsigned long handle = zs_malloc(pool, size, GFP_NOWAIT, NUMA_NO_NODE);

		if (zs_is_err(handle)) {
			CHILD_CHECK(zs_err(handle) == -ENOMEM);
			break;
		}
		handles[count++] = handle;
	}
	CHILD_CHECK(count >= 1900 && count < MOST); /* the first span is 2048 pages */
	for (size_t i = 0; i < count; i++)
		zs_obj_write(pool, handles[i], &i, size < sizeof(i) ? size : sizeof(i));
	for (size_t i = 0; i < count; i++) {
		void *memory = zs_obj_read_begin(pool, handles[i], size, NULL);

		CHILD_CHECK(memcmp(memory, &i, size < sizeof(i) ? size : sizeof(i)) == 0);
		zs_obj_read_end(pool, handles[i], size, memory);
	}
	/* What is freed is at hand again. */
	zs_free(pool, handles[0]);
	handles[0] = zs_malloc(pool, size, GFP_NOWAIT, NUMA_NO_NODE);
	CHILD_CHECK(!zs_is_err(handles[0]));
	for (size_t i = 0; i < count; i++)
		zs_free(pool, handles[i]);
}

static void test_at_hand(void **state)
{
	const size_t sizes[] = { 3, 100, 1500, page_size() };

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct child child = run_in_child(take_all, &sizes[i]);

		assert_child_ended_well(&child);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_nothing_at_hand),
		cmocka_unit_test(test_at_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
