/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Tables: elements stay where they are while the table grows, beyond one directory too, and can be
 * looked up meanwhile. (Reaches inside: src/table.h. Wraps madvise(), to see what the system is
 * told.)
 */
#include "helpers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "table.h"

#define CHUNKS 300 /* several directories */

static struct table *table_make(void)
{
	struct table *table = calloc(1, sizeof(*table));

	assert_non_null(table);
	assert_int_equal(table_init(table, sizeof(u64), 32), 0);
	return table;
}

/* Adds a chunk. Returns its number, which no other call has. */
static u32 grow_one(struct table *table)
{
	u32 chunks = table->chunks;

	assert_int_equal(table_grow(table, GFP_KERNEL), 0);
	return chunks;
}

static void *table_chunk(struct table *table, u32 number)
{
	return table_at(table, number, PORT_CHUNK_SIZE);
}

static void table_unmake(struct table *table)
{
	table_destroy(table);
	free(table);
}

static void test_growth(void **state)
{
	struct table *table = table_make();
	u64 *first[CHUNKS];

	(void)state;
	assert_int_equal(table_size(table, sizeof(u64)), 0);
	for (u32 i = 0; i < CHUNKS; i++) {
		assert_int_equal(grow_one(table), i);
		assert_int_equal(table_size(table, sizeof(u64)),
				 (i + 1) * (PORT_CHUNK_SIZE / sizeof(u64)));
		first[i] = table_chunk(table, i);
		for (u32 j = 0; j < PORT_CHUNK_SIZE / sizeof(u64); j++)
			assert_int_equal(first[i][j], 0);
		*first[i] = i + 1;
	}
	assert_non_null(table->dir->older);
	for (u32 i = 0; i < CHUNKS; i++) {
		assert_ptr_equal(table_chunk(table, i), first[i]);
		assert_int_equal(*first[i], i + 1);
	}
	table_unmake(table);
}

/* No element has an index that does not fit. */
static void test_bounded(void **state)
{
	const unsigned int index_bits = 19; /* more chunks than the first directory has room for */
	const u32 most = (1U << index_bits) / (u32)(PORT_CHUNK_SIZE / sizeof(u64));
	struct table table = { 0 };

	(void)state;
	assert_int_equal(table_init(&table, sizeof(u64), index_bits), 0);
	for (u32 i = 0; i < most; i++)
		assert_int_equal(table_grow(&table, GFP_KERNEL), 0);
	assert_non_null(table.dir->older);
	assert_int_equal(table_size(&table, sizeof(u64)), 1U << index_bits);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(table_grow(&table, GFP_KERNEL), -ENOMEM);
	assert_int_equal(table_size(&table, sizeof(u64)), 1U << index_bits);
	table_destroy(&table);
}

static _Thread_local void *small; /* the memory that was last kept out of huge pages */
static _Thread_local size_t small_bytes;

int __real_madvise(void *memory, size_t bytes, int advice);
int __wrap_madvise(void *memory, size_t bytes, int advice);

int __wrap_madvise(void *memory, size_t bytes, int advice)
{
	if (advice == MADV_NOHUGEPAGE) {
		small = memory;
		small_bytes = bytes;
	}
	return __real_madvise(memory, bytes, advice);
}

/* What was discarded would come again in a huge page, so no chunk is in one. */
static void test_small_pages(void **state)
{
	struct table *table = table_make();

	(void)state;
	for (u32 i = 0; i < 3; i++) {
		u32 number = grow_one(table);

		assert_ptr_equal(small, table_chunk(table, number));
		assert_int_equal(small_bytes, PORT_CHUNK_SIZE);
	}
	table_unmake(table);
}

/* Elements of any size lie in one chunk, and none upon another. */
static void test_elements(void **state)
{
	const size_t elements[] = { 8, 12, 16, 64, 1000 };
	struct table *table = table_make();

	(void)state;
	for (u32 i = 0; i < 3; i++)
		grow_one(table);
	for (unsigned int i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		size_t element = elements[i];
		u64 count = table_size(table, element);

		assert_int_equal(count, 3 * (PORT_CHUNK_SIZE / element));
		for (u32 j = 0; j < count; j++) {
			char *start = table_at(table, j, element);
			char *chunk = table_chunk(table, (u32)(j / (PORT_CHUNK_SIZE / element)));

			assert_true(start >= chunk);
			assert_true(start + element <= chunk + PORT_CHUNK_SIZE);
			if (j % (PORT_CHUNK_SIZE / element))
				assert_ptr_equal(start,
						 (char *)table_at(table, j - 1, element) + element);
			else
				assert_ptr_equal(start, chunk);
		}
	}
	table_unmake(table);
}

/* A caller that may not wait gets nothing, and changes nothing. */
static void test_nowait(void **state)
{
	struct table *table = table_make();

	(void)state;
	assert_int_equal(table_grow(table, GFP_NOWAIT), -ENOMEM);
	assert_int_equal(table_size(table, 8), 0);
	assert_int_equal(table_grow(table, GFP_KERNEL), 0);
	assert_int_equal(table_size(table, PORT_CHUNK_SIZE), 1);
	table_unmake(table);
}

static struct table *shared;
static atomic_bool grown;

static void *grow(void *arg)
{
	for (u32 i = 0; i < CHUNKS; i++)
		if (table_grow(shared, GFP_KERNEL))
			return NULL;
	return arg;
}

/* Marks each chunk with its own number, and finds those that it has marked. */
static void *look_up(void *arg)
{
	u64 marked = 0;
	bool last = false;

	while (!last) {
		last = atomic_load(&grown);
		for (u64 i = 0; i < marked; i++)
			if (*(u64 *)table_at(shared, (u32)i, PORT_CHUNK_SIZE) != i + 1)
				return NULL;
		for (; marked < table_size(shared, PORT_CHUNK_SIZE); marked++) {
			u64 *mark = table_at(shared, (u32)marked, PORT_CHUNK_SIZE);

			if (*mark)
				return NULL;
			*mark = marked + 1;
		}
	}
	return arg;
}

static void test_threads(void **state)
{
	pthread_t growers[4], reader;
	char yes;
	void *done;

	(void)state;
	shared = table_make();
	assert_int_equal(pthread_create(&reader, NULL, look_up, &yes), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&growers[i], NULL, grow, &yes), 0);
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(growers[i], &done);
		assert_non_null(done);
	}
	atomic_store(&grown, true);
	pthread_join(reader, &done);
	assert_non_null(done);
	assert_int_equal(table_size(shared, PORT_CHUNK_SIZE), 4 * CHUNKS);
	table_unmake(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth),	 cmocka_unit_test(test_small_pages),
		cmocka_unit_test(test_elements), cmocka_unit_test(test_nowait),
		cmocka_unit_test(test_threads),	 cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
