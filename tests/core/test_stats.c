/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The table of size classes agrees with what is stored, column by column and in total, and
 * zs_pool_stats() with what was done.
 */
#include "helpers.h"

#include <errno.h>

#define TENTHS 11

struct row {
	unsigned int index;
	unsigned int size;
	unsigned long zspages[TENTHS];
	unsigned long allocated;
	unsigned long used;
	unsigned long pages;
	unsigned long chain;
	unsigned long freeable;
};

static const char header[] =
	" class  size    10%    20%    30%    40%    50%    60%    70%    80%    90%    99%   100%"
	" obj_allocated   obj_used pages_used pages_per_zspage freeable\n";

static unsigned long number(const char **at)
{
	char *end;
	unsigned long value = strtoul(*at, &end, 10);

	assert_ptr_not_equal(end, *at);
	*at = end;
	return value;
}

/* A line of the table; the last has no chain, nor what stands before the zspages. */
static struct row row_read(const char **at, bool is_total)
{
	struct row row = { .index = 0 };

	if (!is_total) {
		row.index = (unsigned int)number(at);
		row.size = (unsigned int)number(at);
	}
	for (int i = 0; i < TENTHS; i++)
		row.zspages[i] = number(at);
	row.allocated = number(at);
	row.used = number(at);
	row.pages = number(at);
	if (!is_total)
		row.chain = number(at);
	row.freeable = number(at);
	assert_int_equal(**at, '\n');
	++*at;
	return row;
}

static unsigned long zspages_of(const struct row *row)
{
	unsigned long sum = 0;

	for (int i = 0; i < TENTHS; i++)
		sum += row->zspages[i];
	return sum;
}

/* Read the whole table, see that its sums are right, and give the row of a class. */
static struct row check_table(struct zs_pool *pool, unsigned int wanted, struct row *total)
{
	char *text = text_of(pool, zs_stats_classes);
	const char *at = text + strlen(header);
	struct row sum = { .index = 0 }, found = { .index = ~0U };
	unsigned int rows = 0, last_size = 0;

	assert_memory_equal(text, header, strlen(header));
	while (*at != '\n') {
		struct row row = row_read(&at, false);
		unsigned long zspages = zspages_of(&row);

		assert_int_equal(row.index, rows++);
		assert_true(row.size > last_size);
		last_size = row.size;
		assert_true(row.pages <= zspages * row.chain);
		assert_true(row.used <= row.allocated);
		assert_int_equal(row.allocated % (zspages ? zspages : 1), 0);
		for (int i = 0; i < TENTHS; i++)
			sum.zspages[i] += row.zspages[i];
		sum.allocated += row.allocated;
		sum.used += row.used;
		sum.pages += row.pages;
		sum.freeable += row.freeable;
		if (row.index == wanted)
			found = row;
	}
	assert_int_equal(last_size, page_size());
	assert_memory_equal(at, "\n Total", strlen("\n Total"));
	at += strlen("\n Total");
	*total = row_read(&at, true);
	assert_int_equal(*at, '\0');
	assert_memory_equal(total->zspages, sum.zspages, sizeof(sum.zspages));
	assert_int_equal(total->allocated, sum.allocated);
	assert_int_equal(total->used, sum.used);
	assert_int_equal(total->pages, sum.pages);
	assert_int_equal(total->freeable, sum.freeable);
	assert_int_equal(total->pages, zs_get_total_pages(pool));
	assert_int_equal(found.index, wanted);
	free(text);
	return found;
}

static void test_empty(void **state)
{
	struct zs_pool *pool = zs_create_pool("empty");
	struct row total;

	(void)state;
	check_table(pool, 0, &total);
	assert_int_equal(total.used, 0);
	assert_int_equal(total.pages, 0);
	zs_destroy_pool(pool);
}

/* Fill one zspage object by object: it goes from tenth to tenth. */
static void test_tenths(void **state)
{
	const unsigned int size = 333;
	struct zs_pool *pool = zs_create_pool("tenths");
	unsigned int class = zs_lookup_class_index(pool, size);
	unsigned long slots = 1;
	struct row total;

	(void)state;
	for (unsigned long used = 1; used <= slots; used++) {
		unsigned int tenth;
		struct row row;

		object_alloc(pool, size);
		row = check_table(pool, class, &total);
		slots = row.allocated;
		assert_true(row.size >= size);
		assert_int_equal(zspages_of(&row), 1);
		assert_int_equal(row.used, used);
		assert_int_equal(row.pages, (used * row.size + page_size() - 1) / page_size());
		assert_int_equal(row.freeable, 0);
		for (tenth = 0; !row.zspages[tenth]; tenth++)
			;
		/* At most this number of tenths full, and more than one less; then 99 %. */
		assert_int_equal(tenth == 10, used == slots);
		assert_true(tenth == 10 || used * 10 <= slots * (tenth + 1));
		assert_true(used * 10 > slots * tenth || tenth == 10);
	}
	zs_destroy_pool(pool);
}

/* Objects of all sizes, of which some are freed again. */
static void test_agrees(void **state)
{
	struct zs_pool *pool = zs_create_pool("agrees");
	unsigned long *handles = calloc(page_size() + 1, sizeof(*handles));
	struct row before, after;
	unsigned long freed, pages;

	(void)state;
	for (size_t size = 1; size <= page_size(); size++)
		handles[size] = object_alloc(pool, size);
	check_table(pool, 0, &before);
	assert_int_equal(before.used, page_size());
	for (size_t size = 1; size <= page_size(); size++)
		if (size % 10)
			zs_free(pool, handles[size]);
	check_table(pool, 0, &after);
	assert_int_equal(after.used, page_size() / 10);
	/* What the table calls freeable is what compaction frees. */
	assert_true(after.freeable > 0);
	pages = after.pages;
	freed = zs_compact(pool);
	assert_int_equal(freed, after.freeable);
	check_table(pool, 0, &after);
	assert_int_equal(after.pages, pages - freed);
	assert_int_equal(after.freeable, 0);
	assert_int_equal(after.used, page_size() / 10);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_pool_stats(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .misuse = ZS_MISUSE_COUNT });
	unsigned long *handles = objects_make(pool, 1000, 1000);
	struct zs_pool_stats stats;
	unsigned long freed = 0;

	(void)state;
	memset(&stats, 0xff, sizeof(stats));
	zs_pool_stats(pool, &stats);
	assert_int_equal(stats.pages_compacted, 0);
	assert_int_equal(stats.misuses, 0);
	for (unsigned int round = 2; round <= 8; round *= 2) {
		for (unsigned int i = 0; i < 1000; i++)
			if (i % round == round / 2)
				zs_free(pool, handles[i]);
		freed += zs_compact(pool);
		zs_free(pool, 1);
	}
	assert_true(freed > 0);
	memset(&stats, 0xff, sizeof(stats));
	zs_pool_stats(pool, &stats);
	assert_int_equal(stats.pages_compacted, freed);
	assert_int_equal(stats.misuses, 3);
	for (unsigned int i = 0; i < sizeof(stats.reserved) / sizeof(stats.reserved[0]); i++)
		assert_int_equal(stats.reserved[i], 0);
	free(handles);
	zs_destroy_pool(pool);
}

static void test_errors(void **state)
{
	struct zs_pool *pool = zs_create_pool("errors");
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_int_equal(zs_stats_classes(pool, NULL), -EINVAL);
	assert_non_null(full);
	assert_int_equal(zs_stats_classes(pool, full), -EIO);
	fclose(full);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),  cmocka_unit_test(test_tenths),
		cmocka_unit_test(test_agrees), cmocka_unit_test(test_pool_stats),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
