/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A pool for each tenant: 30,000 pools live in one process. They share the threads, and take few
 * mappings and little memory each.
 */
#include "helpers.h"

#define POOLS (30000 / (TEST_LESS * TEST_LESS))
#define OBJECTS 10
#define SIZE 300
#define POOL_KIB 32

static struct zs_pool *pools[POOLS];
static unsigned long handles[POOLS][OBJECTS];

static unsigned long lines_of(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned long lines = 0;
	int c;

	assert_non_null(file);
	while ((c = getc(file)) != EOF)
		lines += c == '\n';
	fclose(file);
	return lines;
}

static void test_many_pools(void **state)
{
	struct zs_pool *first = zs_create_pool("first"); /* makes what all share */
	unsigned long before = resident_kib(), mappings = lines_of("/proc/self/maps");
	unsigned int alone = threads_of_process();

	(void)state;
	for (size_t i = 0; i < POOLS; i++) {
		pools[i] = zs_create_pool("tenant");
		assert_non_null(pools[i]);
	}
#ifndef __SANITIZE_THREAD__ /* whose own memory grows, too */
	assert_true(resident_kib() - before <= POOL_KIB * (unsigned long)POOLS);
#else
	(void)before;
#endif
	for (size_t i = 0; i < POOLS; i++)
		for (size_t k = 0; k < OBJECTS; k++)
			handles[i][k] = object_make(pools[i], SIZE, i + k);
	assert_true(lines_of("/proc/self/maps") - mappings < 5000);
	assert_true(threads_of_process() - alone < 10);
	for (size_t i = 0; i < POOLS; i++) {
		for (size_t k = 0; k < OBJECTS; k++)
			assert_true(object_holds(pools[i], handles[i][k], SIZE, i + k));
		zs_free_deferred(pools[i], handles[i][0]);
		zs_destroy_pool(pools[i]);
	}
	zs_destroy_pool(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_pools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
