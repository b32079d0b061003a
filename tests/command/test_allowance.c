/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The command sees the least of what the machine, its control groups and its resource limits leave.
 * A tree of files stands for /proc and /sys/fs/cgroup. (Reaches inside: tools/allowance.h.)
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../../tools/allowance.h"
#include "../tree.h"

#define MIB ((uint64_t)1 << 20)

/* The tree of a machine. */
static int make_machine(void **state)
{
	if (make_tree(state))
		return -1;
	put("/proc/meminfo", "MemTotal: 4096000 kB\nMemAvailable: 2048000 kB\n");
	return 0;
}

static void mount_v2(const char *part)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "21 1 0:20 / /proc rw shared:1 - proc proc rw\n"
		 "30 23 0:26 %s /cg rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
		 part);
	put("/proc/self/mountinfo", line);
}

static void assert_memory(uint64_t bytes)
{
	assert_int_equal(allowance_find(root).memory, bytes);
}

static unsigned int cpus_here(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	return (unsigned int)CPU_COUNT(&set);
}

static void test_machine(void **state)
{
	(void)state;
	assert_memory(2000 * MIB);
	assert_int_equal(allowance_find(root).cpus, cpus_here());
	put("/proc/meminfo", "MemTotal: 4096000 kB\n");
	assert_memory(UINT64_MAX);
}

/* Each level may have the least. */
static void test_v2(void **state)
{
	(void)state;
	mount_v2("/");
	put("/proc/self/cgroup", "0::/a/b/c\n");
	put("/cg/a/b/c/memory.max", "max\n");
	put("/cg/a/b/c/memory.current", "1048576\n");
	assert_memory(2000 * MIB);
	put("/cg/a/b/memory.max", "536870912\n");
	put("/cg/a/b/memory.current", "104857600\n");
	put("/cg/a/b/memory.stat", "anon 1\ninactive_file 52428800\nactive_file 7\n");
	put("/cg/a/b/cpu.max", "max 100000\n");
	assert_memory(462 * MIB);
	assert_int_equal(allowance_find(root).cpus, cpus_here());
	put("/cg/a/memory.max", "max\n");
	put("/cg/a/memory.high", "209715200\n");
	put("/cg/a/memory.current", "104857600\n");
	put("/cg/a/cpu.max", "50000 100000\n");
	assert_memory(100 * MIB);
	assert_int_equal(allowance_find(root).cpus, 1);
	put("/cg/a/memory.current", "309715200\n");
	assert_memory(0);
}

/* A container may see a part of the hierarchy, by a path in it or in the whole. */
static void test_container(void **state)
{
	static const char *const paths[] = { "0::/\n", "0::/docker/1\n", "0::/../2\n" };
	static const char *const parts[] = { "/", "/docker/1", "/docker/1" };

	(void)state;
	put("/cg/memory.max", "536870912\n");
	put("/cg/memory.current", "0\n");
	for (unsigned int i = 0; i < 3; i++) {
		put("/proc/self/cgroup", paths[i]);
		mount_v2(parts[i]);
		assert_memory(512 * MIB);
	}
}

static void test_v1(void **state)
{
	(void)state;
	put("/proc/self/mountinfo", "33 25 0:29 / /v1/memory rw - cgroup cgroup rw,memory\n"
				    "34 25 0:30 /x /v1/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
				    "35 25 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	put("/proc/self/cgroup", "5:memory:/a/b\n4:cpu,cpuacct:/x/y\n0::/a\n");
	put("/v1/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("/v1/memory/memory.usage_in_bytes", "1048576\n");
	assert_memory(2000 * MIB);
	put("/v1/memory/a/memory.limit_in_bytes", "536870912\n");
	put("/v1/memory/a/memory.usage_in_bytes", "524288000\n");
	put("/v1/memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 104857600\n");
	assert_memory(112 * MIB);
	put("/v1/cpu/cpu.cfs_quota_us", "-1\n");
	put("/v1/cpu/cpu.cfs_period_us", "100000\n");
	assert_int_equal(allowance_find(root).cpus, cpus_here());
	put("/v1/cpu/y/cpu.cfs_quota_us", "100000\n");
	put("/v1/cpu/y/cpu.cfs_period_us", "100000\n");
	assert_int_equal(allowance_find(root).cpus, 1);
}

static void check_resource(int resource, const char *status)
{
	struct rlimit old, limit;

	put("/proc/self/status", status);
	assert_int_equal(getrlimit(resource, &old), 0);
	limit = old;
	limit.rlim_cur = 1000 * MIB;
	assert_int_equal(setrlimit(resource, &limit), 0);
	assert_memory(450 * MIB);
	assert_int_equal(setrlimit(resource, &old), 0);
}

static void test_resources(void **state)
{
	(void)state;
	check_resource(RLIMIT_AS, "Name:\tx\nVmSize:\t  102400 kB\n");
	check_resource(RLIMIT_DATA, "Name:\tx\nVmData:\t  102400 kB\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_machine, make_machine, remove_tree),
		cmocka_unit_test_setup_teardown(test_v2, make_machine, remove_tree),
		cmocka_unit_test_setup_teardown(test_container, make_machine, remove_tree),
		cmocka_unit_test_setup_teardown(test_v1, make_machine, remove_tree),
		cmocka_unit_test_setup_teardown(test_resources, make_machine, remove_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
