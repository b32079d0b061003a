/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Handles: no entry is given out twice, freed ones come back in whole blocks, each life of an entry
 * has a generation of its own, and a pool's tag is in all of them. (Reaches inside: src/handle.h.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "handle.h"

static struct handles *handles_make(void)
{
	struct handles *handles = calloc(1, sizeof(*handles));

	assert_non_null(handles);
	assert_int_equal(handles_init(handles), 0);
	return handles;
}

static void handles_unmake(struct handles *handles)
{
	handles_destroy(handles);
	free(handles);
}

static u32 take(struct handles *handles, struct handle_stock *stock)
{
	if (handle_stock_empty(stock))
		assert_int_equal(handles_refill(handles, stock, GFP_KERNEL), 0);
	return handle_stock_take(stock);
}

static void put(struct handles *handles, u32 index)
{
	struct handle_stock stock = {
		.free = 1ULL << index % HANDLE_BLOCK,
		.block = index / HANDLE_BLOCK,
	};

	handles_put(handles, stock);
}

#define INDICES 100000

static void test_no_index_twice(void **state)
{
	struct handles *handles = handles_make();
	struct handle_stock stock = { .free = 0 };
	bool *given = calloc(INDICES * 2, sizeof(*given));

	(void)state;
	for (u32 i = 0; i < INDICES; i++) {
		u32 index = take(handles, &stock);

		assert_in_range(index, 1, INDICES * 2 - 1);
		assert_false(given[index]);
		given[index] = true;
		/* There is an entry for it, that never lived. */
		assert_int_equal(atomic64_read(handle_entry_at(handles, index)), 0);
	}
	free(given);
	handles_unmake(handles);
}

/* Entries that are taken one after the other lie side by side. */
static void test_side_by_side(void **state)
{
	struct handles *handles = handles_make();
	struct handle_stock stock = { .free = 0 };
	u32 last = take(handles, &stock);

	(void)state;
	for (u32 i = 1; i < 10 * HANDLE_BLOCK; i++) {
		u32 index = take(handles, &stock);

		assert_int_equal(index, last + 1);
		last = index;
	}
	handles_unmake(handles);
}

/* However they come back: the table does not grow for what was there before. */
static void test_recycling(void **state)
{
	struct handles *handles = handles_make();
	struct handle_stock stock = { .free = 0 };
	u32 *taken = calloc(INDICES, sizeof(*taken));
	uint64_t seed = random_seed();
	u32 blocks;

	(void)state;
	for (u32 i = 0; i < INDICES; i++)
		taken[i] = take(handles, &stock);
	blocks = handles->next_block;
	for (unsigned int round = 0; round < 3; round++) {
		for (u32 i = INDICES - 1; i; i--) { /* in any order */
			u32 j = next_random(&seed) % (i + 1);
			u32 other = taken[j];

			taken[j] = taken[i];
			taken[i] = other;
		}
		for (u32 i = 0; i < INDICES; i++)
			put(handles, taken[i]);
		for (u32 i = 0; i < INDICES; i++)
			taken[i] = take(handles, &stock);
		assert_true(handles->next_block <= blocks);
	}
	free(taken);
	handles_unmake(handles);
}

/* Bits of one block that come back at once are given out again as they are. */
static void test_bits(void **state)
{
	struct handles *handles = handles_make();
	struct handle_stock stock;
	const u64 parts[] = { 0x8000000000000001ULL, 0x00ff00000000ff00ULL, 1ULL << 31 };
	u64 all = 0;
	u32 block;

	(void)state;
	assert_int_equal(handles_refill(handles, &stock, GFP_KERNEL), 0);
	assert_int_equal(stock.free, ~0ULL);
	block = stock.block;
	for (unsigned int i = 0; i < 3; i++) {
		handles_put(handles, (struct handle_stock){ .free = parts[i], .block = block });
		all |= parts[i];
	}
	assert_int_equal(handles_refill(handles, &stock, GFP_KERNEL), 0);
	assert_int_equal(stock.block, block);
	assert_int_equal(stock.free, all);
	assert_int_equal(handles_refill(handles, &stock, GFP_KERNEL), 0);
	assert_int_not_equal(stock.block, block);
	handles_unmake(handles);
}

#define MOST_CLASS ((1U << ENTRY_CLASS_BITS) - 1)
#define MOST_ZSPAGE ((1U << ENTRY_ZSPAGE_BITS) - 1)

/* Each life of an entry has its own generation, until all have been used. */
static void test_generations(void **state)
{
	struct handles *handles = handles_make();
	struct handle_stock stock = { .free = 0 };
	u32 index = take(handles, &stock);
	unsigned long first = handle_open(handles, index, 5, 7, 3);
	atomic64_t *entry = handle_entry(handles, first);
	unsigned long last = first;

	(void)state;
	assert_non_null(entry);
	for (u32 life = 1; life <= 1U << 16; life++) {
		u64 word = (u64)atomic64_read(entry);
		unsigned long next;

		assert_true(entry_is(word, last));
		assert_int_equal(entry_class(word), last == first ? 5 : MOST_CLASS);
		assert_int_equal(entry_zspage(word), last == first ? 7 : MOST_ZSPAGE);
		assert_int_equal(entry_slot(word), last == first ? 3 : 255);
		atomic64_set(entry, word & ~ENTRY_LIVE);
		assert_false(entry_is((u64)atomic64_read(entry), last));
		next = handle_open(handles, index, MOST_CLASS, MOST_ZSPAGE, 255);
		assert_int_equal(handle_entry(handles, next), entry);
		assert_false(zs_is_err(next));
		assert_int_equal((u32)next, index);
		assert_false(entry_is((u64)atomic64_read(entry), last));
		if (life < 1U << 16)
			assert_int_not_equal(next, first);
		else
			assert_int_equal(next, first); /* all round */
		last = next;
		if (last == first)
			break;
	}
	assert_int_equal(last, first);
	handles_unmake(handles);
}

/* No handle is 0 or an error, and none is another pool's. */
static void test_tags(void **state)
{
	struct handles *pools[50];

	(void)state;
	for (unsigned int i = 0; i < 50; i++) {
		struct handle_stock stock = { .free = 0 };
		unsigned long handle;

		pools[i] = handles_make();
		handle = handle_open(pools[i], take(pools[i], &stock), 0, 1, 0);
		assert_int_not_equal(handle, 0);
		assert_false(zs_is_err(handle));
		assert_non_null(handle_entry(pools[i], handle));
		for (unsigned int j = 0; j < i; j++) {
			assert_int_not_equal(pools[i]->tag, pools[j]->tag);
			assert_null(handle_entry(pools[j], handle));
		}
	}
	for (unsigned int i = 0; i < 50; i++)
		handles_unmake(pools[i]);
}

/* The tag never comes near the error values, whatever number of pools there have been. */
static void test_all_tags(void **state)
{
	(void)state;
	for (u32 i = 0; i < HANDLE_TAGS + 10; i++) {
		struct handles handles;

		memset(&handles, 0, sizeof(handles));
		assert_int_equal(handles_init(&handles), 0);
		assert_int_not_equal(handles.tag, 0);
		assert_false(zs_is_err(handle_make(&handles, ~0U, 0xffff)));
		handles_destroy(&handles);
	}
}

#define THREADS 4
#define ROUNDS 20000

static struct handles *shared;
static atomic_uchar owned[THREADS * 110 * HANDLE_BLOCK + 2 * HANDLE_BLOCK];
static atomic_uint twice;

static void *take_and_put(void *arg)
{
	struct handle_stock stock = { .free = 0 };
	uint64_t seed = (uint64_t)(uintptr_t)arg;
	u32 mine[100];
	u32 count = 0;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (count < 100 && next_random(&seed) % 2) {
			if (handle_stock_empty(&stock) &&
			    handles_refill(shared, &stock, GFP_KERNEL))
				return NULL;
			mine[count] = handle_stock_take(&stock);
			if (mine[count] >= sizeof(owned))
				return NULL; /* there can't be so many in use */
			if (atomic_exchange(&owned[mine[count]], 1))
				atomic_fetch_add(&twice, 1);
			count++;
		} else if (count) {
			u32 at = next_random(&seed) % count;
			u32 index = mine[at];

			mine[at] = mine[--count];
			atomic_store(&owned[index], 0);
			put(shared, index);
		}
	}
	return arg;
}

/* Threads never have the same entry. */
static void test_threads(void **state)
{
	pthread_t threads[THREADS];
	void *done;

	(void)state;
	shared = handles_make();
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_put, (void *)(i + 1)),
				 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &done);
		assert_non_null(done);
	}
	assert_int_equal(atomic_load(&twice), 0);
	handles_unmake(shared);
}

static void grow_to(struct table *table, size_t element, u64 elements)
{
	u32 chunk;

	while (table_size(table, element) < elements)
		assert_int_equal(table_grow(table, GFP_KERNEL, &chunk), 0);
}

/*
 * Threads that want room at the same time make tables grow further than one needs: what is given out has
 * something of each table, and what is not has no word.
 */
static void test_tables_ahead(void **state)
{
	u32 page_blocks = (u32)(page_size() / sizeof(atomic64_t) / HANDLE_BLOCK);
	u32 blocks = (u32)(PORT_CHUNK_SIZE / sizeof(struct fold *) + 2) * page_blocks;
	struct handles *handles = handles_make();
	struct handle_stock stock = { .free = 0 };

	(void)state;
	grow_to(&handles->blocks, sizeof(struct handle_block), blocks);
	grow_to(&handles->entries, sizeof(atomic64_t), (u64)blocks * HANDLE_BLOCK);
	while (stock.block < blocks - 1) {
		assert_int_equal(handle_word(handles, (blocks - 1) * HANDLE_BLOCK), 0);
		assert_int_equal(handles_refill(handles, &stock, GFP_KERNEL), 0);
		assert_true(stock.block / page_blocks <
			    table_size(&handles->folds, sizeof(struct fold *)));
	}
	handles_unmake(handles);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_index_twice), cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_recycling),      cmocka_unit_test(test_bits),
		cmocka_unit_test(test_generations),    cmocka_unit_test(test_tags),
		cmocka_unit_test(test_all_tags),       cmocka_unit_test(test_threads),
		cmocka_unit_test(test_tables_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
