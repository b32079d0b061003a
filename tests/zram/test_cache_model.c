/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A random run of every call of a cache against a plain model: an array of the pages' seeds. The
 * cache has two areas and a tiny limit. The shrinker is at work all the time, and a slower store
 * fails now and then. The run prints its seed, see seed.h.
 */
#include "slow_store.h"

#define NR_PAGES 300
#define LIMIT_PAGES 64

struct side {
	struct zram_area *area;
	struct slow_store *slow;
	uint64_t seed[NR_PAGES]; /* of what the page reads as; 0 is zeros */
};

struct model {
	struct zram_cache *cache;
	struct side side[2];
	uint64_t random;
};

static void check_page(struct side *side, uint64_t index)
{
	assert_true(cache_reads(side->area, index, side->seed[index]));
}

static void write_random(struct model *model, struct side *side, uint64_t index)
{
	uint64_t seed = next_random(&model->random) >> 16;
	int err = cache_write(side->area, index, seed);

	if (!err)
		side->seed[index] = seed;
	else
		assert_true(err == -EIO && atomic_load(&side->slow->fail_writes));
	check_page(side, index);
}

static void free_random(struct model *model, struct side *side, uint64_t index)
{
	uint64_t count = next_random(&model->random) % 8;

	if (index + count > NR_PAGES)
		count = NR_PAGES - index;
	assert_int_equal(zram_cache_free(side->area, index, count), 0);
	for (uint64_t i = index; i < index + count; i++)
		side->seed[i] = 0;
}

static void one_operation(struct model *model)
{
	uint64_t random = next_random(&model->random);
	struct side *side = &model->side[random % 2];
	uint64_t index = random / 2 % NR_PAGES;
	int64_t done;

	switch (random / 2 / NR_PAGES % 256) {
	case 0:
		done = zram_cache_shrink(model->cache, next_random(&model->random) % 50);
		assert_true(done >= 0 || done == -EIO);
		break;
	case 1:
		done = zram_cache_flush(side->area);
		assert_true(done == 0 || done == -EIO);
		break;
	case 2:
		atomic_store(&side->slow->fail_writes, EIO);
		break;
	case 3 ... 5:
		atomic_store(&side->slow->fail_writes, 0);
		break;
	case 6 ... 110:
		write_random(model, side, index);
		break;
	case 111 ... 140:
		free_random(model, side, index);
		break;
	default:
		check_page(side, index);
	}
	assert_true(cache_stat(model->cache).pages <= 2 * NR_PAGES);
}

static void check_end(struct model *model)
{
	uint64_t used = 0;

	for (unsigned int s = 0; s < 2; s++) {
		struct side *side = &model->side[s];

		for (uint64_t i = 0; i < NR_PAGES; i++) {
			check_page(side, i);
			used += side->seed[i] != 0;
		}
	}
	/* A page of zeros may have been written. */
	assert_true(cache_stat(model->cache).pages + cache_stat(model->cache).slower_pages >= used);
	for (unsigned int s = 0; s < 2; s++) {
		atomic_store(&model->side[s].slow->fail_writes, 0);
		assert_int_equal(zram_cache_free(model->side[s].area, 0, NR_PAGES), 0);
	}
	assert_int_equal(cache_stat(model->cache).pages, 0);
	assert_int_equal(cache_stat(model->cache).same_pages, 0);
	assert_int_equal(cache_stat(model->cache).slower_pages, 0);
}

static void run(const char *algorithm, uint64_t limit_pages)
{
	unsigned long operations = random_operations(20000 / TEST_LESS);
	struct model model = {
		.random = random_seed(),
		.cache = make_cache((struct zram_cache_options){
			.algorithm = algorithm,
			.limit = limit_pages * page_size(),
		}),
	};

	for (unsigned int s = 0; s < 2; s++) {
		model.side[s].slow = slow_create();
		model.side[s].area = attach(model.cache, model.side[s].slow);
	}
	while (operations--)
		one_operation(&model);
	check_end(&model);
	/* The last page that was just written back is freed there by the shrinker. */
	zram_cache_destroy(model.cache);
	for (unsigned int s = 0; s < 2; s++) {
		assert_int_equal(model.side[s].slow->nr_pages, 0);
		slow_destroy(model.side[s].slow);
	}
}

static void test_tiny_limit(void **state)
{
	(void)state;
	run("lz4", LIMIT_PAGES);
}

/* Smaller than the longest zspage. */
static void test_tiniest_limit(void **state)
{
	(void)state;
	run("zstd", 8);
}

static void test_far_limit(void **state)
{
	(void)state;
	run("lz4", 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiny_limit),
		cmocka_unit_test(test_tiniest_limit),
		cmocka_unit_test(test_far_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
