/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A limit in per cent is that of the least that the process's control groups and those above leave.
 * A tree of files stands for /proc and /sys/fs/cgroup. Reaches inside: container_memory().
 */
#include "helpers.h"

#include "cache.h"
#include "tree.h"

#define MIB ((uint64_t)1 << 20)

static uint64_t machine(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * page_size();
}

static void test_no_groups(void **state)
{
	(void)state;
	assert_int_equal(container_memory(root), machine());
}

static void test_version_2(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/a/b\n");
	put("/sys/fs/cgroup/a/b/memory.max", "max\n");
	assert_int_equal(container_memory(root), machine());
	put("/sys/fs/cgroup/a/memory.max", "67108864\n");
	assert_int_equal(container_memory(root), 64 * MIB);
	put("/sys/fs/cgroup/a/b/memory.high", "33554432\n");
	assert_int_equal(container_memory(root), 32 * MIB);
	put("/sys/fs/cgroup/memory.max", "16777216\n");
	assert_int_equal(container_memory(root), 16 * MIB);
	/* Not its own. */
	put("/sys/fs/cgroup/a/b/c/memory.max", "4096\n");
	assert_int_equal(container_memory(root), 16 * MIB);
}

static void test_version_1(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n");
	put("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "9223372036854771712\n");
	put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "4096\n");
	assert_int_equal(container_memory(root), machine());
	/* A container sees its own group as the root. */
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
	assert_int_equal(container_memory(root), 64 * MIB);
}

static void test_limit_of_a_cache(void **state)
{
	struct zram_cache_options options = { .size = sizeof(options), .limit_percent = 10 };
	struct zram_cache_stat stat;
	struct zram_cache *cache;

	(void)state;
	cache = zram_cache_create(&options);
	assert_non_null(cache);
	zram_cache_get_stat(cache, &stat);
	zram_cache_destroy(cache);
	assert_true(stat.limit >= container_memory("") / 100 * 10);
	assert_true(stat.limit <= container_memory("") / 100 * 10 + page_size());
	/* The smaller of both. */
	options.limit = 10 * page_size();
	cache = zram_cache_create(&options);
	assert_non_null(cache);
	zram_cache_get_stat(cache, &stat);
	zram_cache_destroy(cache);
	assert_int_equal(stat.limit, 10 * page_size());
	assert_int_equal(stat.accept, 9 * page_size());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_groups, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_version_2, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_version_1, make_tree, remove_tree),
		cmocka_unit_test(test_limit_of_a_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
