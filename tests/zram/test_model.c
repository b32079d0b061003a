/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A random run of every call of the store against a plain model: an array of the pages' seeds. The
 * run prints its seed, see seed.h.
 */
#include "backing_file.h"
#include "zram_pages.h"

#include <errno.h>

#define NR_PAGES 512
#define ESTIMATE_ERRS 4 /* pages, of a limit of 128 */
#define EMPTY 0 /* the seed of a page that was never written: make_any_page() makes it zeros */

struct model {
	struct zram *zram;
	uint64_t seed[NR_PAGES];
	bool written[NR_PAGES];
	bool limited;
	bool backed;
	unsigned int secondaries;
	char *page;
	uint64_t random;
};

static void check_page(struct model *model, uint64_t index)
{
	make_any_page(model->page, model->seed[index]);
	assert_page_is(model->zram, index, model->page);
}

static void forget(struct model *model, uint64_t index)
{
	model->seed[index] = EMPTY;
	model->written[index] = false;
}

static void check_counts(struct model *model)
{
	uint64_t stored = 0, same = 0, huge = 0;
	struct zram_mm_stat stat;

	/* The memory of what waits is an estimate. */
	zs_free_deferred_flush(zram_get_pool(model->zram));
	stat = stat_of(model->zram);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		stored += model->written[i];
		same += model->written[i] && model->seed[i] % 4 == 0;
		huge += model->written[i] && model->seed[i] % 4 == 1;
	}
	assert_int_equal(stat.orig_data_size, stored * page_size());
	assert_int_equal(stat.same_pages, same);
	if (model->backed) {
		struct zram_bd_stat bd;

		zram_get_bd_stat(model->zram, &bd);
		assert_true(bd.bd_count <= bd.bd_capacity);
		assert_true(stat.huge_pages <= huge);
		assert_true(stat.huge_pages + bd.bd_count >= huge);
	} else {
		assert_int_equal(stat.huge_pages, huge);
	}
	assert_true(stat.compr_data_size >= stat.huge_pages * page_size());
	assert_true(stat.compr_data_size <= (stored - same) * page_size());
	assert_true(stat.mem_used_total >= stat.compr_data_size);
	/* What waited at a write was left out by an estimate, which may err by some pages. */
	assert_true(!model->limited ||
		    stat.mem_used_total <= stat.mem_limit + ESTIMATE_ERRS * page_size());
}

static void write_random(struct model *model, uint64_t index)
{
	uint64_t seed = next_random(&model->random) >> 16;
	int err;

	make_any_page(model->page, seed);
	err = zram_write_page(model->zram, index, model->page);
	if (err) {
		assert_true(model->limited);
		assert_int_equal(err, -ENOMEM);
	} else {
		model->seed[index] = seed;
		model->written[index] = true;
	}
	check_page(model, index);
}

static void discard_random(struct model *model, uint64_t index)
{
	uint64_t count = next_random(&model->random) % 300;

	if (index + count > NR_PAGES) {
		assert_int_equal(zram_discard(model->zram, index, count), -EINVAL);
		return;
	}
	assert_int_equal(zram_discard(model->zram, index, count), 0);
	for (uint64_t i = index; i < index + count; i++)
		forget(model, i);
}

/* What a page reads as stays, whatever keeps it. */
static void recompress_random(struct model *model, uint64_t index)
{
	const struct zram_select select = {
		.size = sizeof(select),
		.marks = next_random(&model->random) % 2 ? ZRAM_IDLE : 0,
		.first = index,
		.max_pages = next_random(&model->random) % 64,
	};
	unsigned int number = (unsigned int)(next_random(&model->random) % 4);
	int64_t done = zram_recompress(model->zram, &select, number);

	if (model->secondaries == 0 || number > model->secondaries)
		assert_int_equal(done, -EINVAL);
	else
		assert_true(done >= 0);
}

/* On a device of half the pages, so that it is full now and then. */
static void write_back_random(struct model *model, uint64_t index)
{
	const struct zram_select select = {
		.size = sizeof(select),
		.marks = (unsigned int)(next_random(&model->random) % 8),
		.first = index,
		.max_pages = next_random(&model->random) % 200,
	};
	int64_t done = zram_writeback(model->zram, &select);

	assert_true(done >= 0 || done == (model->backed ? -ENOSPC : -ENODEV));
}

static void one_operation(struct model *model)
{
	uint64_t random = next_random(&model->random);
	uint64_t index = random % NR_PAGES;

	switch (random / NR_PAGES % 256) {
	case 0:
		discard_random(model, index);
		break;
	case 1:
		zs_compact(zram_get_pool(model->zram));
		break;
	case 2:
		zs_free_deferred_flush(zram_get_pool(model->zram));
		break;
	case 3:
		check_counts(model);
		break;
	case 4:
		assert_int_equal(zram_mark_idle(model->zram, 0), 0);
		break;
	case 5:
		recompress_random(model, index);
		break;
	case 6:
		write_back_random(model, index);
		break;
	case 7 ... 89:
		write_random(model, index);
		break;
	case 90 ... 149:
		assert_int_equal(zram_slot_free_notify(model->zram, index), 0);
		forget(model, index);
		break;
	default:
		check_page(model, index);
	}
}

static void run_on(struct zram_options options, const char *path)
{
	unsigned long operations = random_operations(10000);
	struct model model = {
		.zram = create_store(NR_PAGES, options),
		.backed = path != NULL,
		.limited = options.mem_limit != 0,
		.page = malloc(page_size()),
		.random = random_seed(),
	};

	while (model.secondaries < ZRAM_SECONDARY_MAX &&
	       options.secondary[model.secondaries].algorithm)
		model.secondaries++;
	assert_non_null(model.page);
	if (path)
		assert_int_equal(zram_set_backing(model.zram, path), 0);
	while (operations--)
		one_operation(&model);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		check_page(&model, i);
	check_counts(&model);
	zram_destroy(model.zram);
	free(model.page);
}

static void run(struct zram_options options)
{
	run_on(options, NULL);
}

static void test_deferred(void **state)
{
	(void)state;
	run((struct zram_options){ 0 });
}

/* A queue so small that most frees fall back. */
static void test_small_queue(void **state)
{
	(void)state;
	run((struct zram_options){ .algorithm = "zstd", .deferred_budget = 8 * page_size() });
}

static void test_freed_now(void **state)
{
	(void)state;
	run((struct zram_options){ .algorithm = "deflate", .free_policy = ZRAM_FREE_NOW });
}

static void test_limited(void **state)
{
	(void)state;
	run((struct zram_options){ .mem_limit = NR_PAGES / 4 * page_size() });
}

static void test_recompressed(void **state)
{
	(void)state;
	run((struct zram_options){ .secondary = { { .algorithm = "zstd" },
						  { .algorithm = "deflate", .level = 12 } } });
}

static void test_written_back(void **state)
{
	struct backing_file file = create_file(NR_PAGES / 2);

	(void)state;
	run_on((struct zram_options){ .secondary = { { .algorithm = "zstd" } } }, file.path);
	remove_file(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deferred),     cmocka_unit_test(test_small_queue),
		cmocka_unit_test(test_freed_now),    cmocka_unit_test(test_limited),
		cmocka_unit_test(test_recompressed), cmocka_unit_test(test_written_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
