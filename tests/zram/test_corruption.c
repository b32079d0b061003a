/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Damage to what is stored is noticed: the page reads as -EIO, never as garbage, and the rest of
 * the store goes on.
 *
 * The test reaches inside. It takes a page's handle out of the store's table, and damages the
 * object through the pool. It damages what the slot says of it, with and without a checksum that
 * agrees.
 */
#include "zram_pages.h"

#include <errno.h>

#include "codec.h"
#include "zram_store.h"

/* A store whose page 0 is damaged by the tests, and whose page 1 is not. */
static struct zram *create_with_pages(const char *algorithm,
				      void (*make)(void *page, uint64_t seed))
{
	struct zram *zram = create_store(2, (struct zram_options){ .algorithm = algorithm });
	char *page = malloc(page_size());

	assert_non_null(page);
	for (uint64_t i = 0; i < 2; i++) {
		make(page, i);
		assert_int_equal(zram_write_page(zram, i, page), 0);
	}
	free(page);
	return zram;
}

static void assert_is_damaged(struct zram *zram)
{
	char *page = malloc(page_size());

	assert_non_null(page);
	assert_int_equal(zram_read_page(zram, 0, page), -EIO);
	/* The lock was given back. */
	assert_int_equal(zram_read_page(zram, 0, page), -EIO);
	free(page);
}

/* The other page reads, and the damaged one can be written anew. */
static void assert_goes_on(struct zram *zram, void (*make)(void *page, uint64_t seed))
{
	char *page = malloc(page_size());

	assert_non_null(page);
	make(page, 1);
	assert_page_is(zram, 1, page);
	assert_int_equal(zram_write_page(zram, 0, page), 0);
	assert_page_is(zram, 0, page);
	free(page);
}

/* Replace the object of page 0, and say that this is how it should be. */
static void replace_object(struct zram *zram, const void *bytes, size_t size)
{
	struct slot *slot = &zram->slots[0];
	unsigned long handle = zs_malloc(zram->pool, size, GFP_KERNEL, NUMA_NO_NODE);

	assert_false(zs_is_err(handle));
	zs_obj_write(zram->pool, handle, (void *)bytes, size);
	zs_free(zram->pool, slot->word);
	slot->word = handle;
	slot->check = entry_checksum(bytes, size);
	slot->state = (uint32_t)size << SLOT_SIZE_SHIFT;
}

static void flip_bit(struct zram *zram, size_t bit)
{
	const struct entry entry = slot_get(&zram->slots[0]);
	unsigned char *object = zs_obj_read_begin(zram->pool, entry.word, entry_size(&entry), NULL);

	assert_non_null(object);
	object[bit / 8] ^= (unsigned char)(1U << bit % 8);
	zs_obj_read_end(zram->pool, entry.word, entry_size(&entry), object);
}

/* Any bit of the object, compressed by any algorithm or not at all. */
static void test_every_flipped_bit(void **state)
{
	void (*const makes[])(void *page, uint64_t seed) = { make_text_page, make_random_page };

	(void)state;
	for (unsigned int a = 0; zram_algorithm(a); a++) {
		for (size_t m = 0; m < 2; m++) {
			struct zram *zram = create_with_pages(zram_algorithm(a), makes[m]);
			const struct entry entry = slot_get(&zram->slots[0]);
			char *page = malloc(page_size());

			assert_non_null(page);
			makes[m](page, 0);
			for (size_t bit = 0; bit < entry_size(&entry) * 8; bit += 5) {
				flip_bit(zram, bit);
				assert_is_damaged(zram);
				flip_bit(zram, bit);
			}
			assert_page_is(zram, 0, page);
			flip_bit(zram, 0);
			assert_goes_on(zram, makes[m]);
			free(page);
			zram_destroy(zram);
		}
	}
}

/* Objects that are in order, but of half a page, or of two. */
static void test_not_exactly_a_page(void **state)
{
	const size_t sizes[] = { page_size() / 2, page_size() - 1, page_size() + 1,
				 page_size() * 2 };
	char *pages = malloc(page_size() * 2);
	char *object = malloc(page_size() * CODEC_BUFFER_PAGES);

	(void)state;
	assert_non_null(pages);
	assert_non_null(object);
	for (size_t i = 0; i < page_size() * 2; i++)
		pages[i] = (char)(i / 100 * 7);
	for (unsigned int a = 0; zram_algorithm(a); a++) {
		const struct codec *codec = codec_find(zram_algorithm(a));
		void *context = codec->create(codec->default_level, page_size() * 2);

		assert_non_null(context);
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			struct zram *zram = create_with_pages(zram_algorithm(a), make_text_page);
			ssize_t size =
				codec->compress(context, pages, sizes[s], object, page_size() - 1);

			assert_in_range(size, 1, page_size() - 1);
			replace_object(zram, object, (size_t)size);
			assert_is_damaged(zram);
			assert_goes_on(zram, make_text_page);
			zram_destroy(zram);
		}
		codec->destroy(context);
	}
	free(object);
	free(pages);
}

/* Objects that end too early, and garbage: whatever a codec makes of them, it stays in the page. */
static void test_truncated_and_garbage(void **state)
{
	uint64_t seed = random_seed();
	char *bytes = malloc(page_size());
	char *page = malloc(page_size() + 64);

	(void)state;
	assert_non_null(bytes);
	assert_non_null(page);
	for (unsigned int a = 0; zram_algorithm(a); a++) {
		struct zram *zram = create_with_pages(zram_algorithm(a), make_text_page);
		const struct entry entry = slot_get(&zram->slots[0]);
		const void *object =
			zs_obj_read_begin(zram->pool, entry.word, entry_size(&entry), NULL);

		assert_non_null(object);
		memcpy(bytes, object, entry_size(&entry));
		zs_obj_read_end(zram->pool, entry.word, entry_size(&entry), (void *)object);
		for (size_t size = entry_size(&entry) - 1; size > 0; size -= size / 16 + 1) {
			replace_object(zram, bytes, size);
			assert_is_damaged(zram);
		}
		for (int i = 0; i < 2000; i++) {
			int err;

			make_random_page(bytes, next_random(&seed));
			memset(page + page_size(), 0x5a, 64);
			replace_object(zram, bytes, 1 + next_random(&seed) % (page_size() - 1));
			err = zram_read_page(zram, 0, page);
			assert_true(err == 0 || err == -EIO);
			for (size_t j = 0; j < 64; j++)
				assert_int_equal(page[page_size() + j], 0x5a);
		}
		assert_goes_on(zram, make_text_page);
		zram_destroy(zram);
	}
	free(page);
	free(bytes);
}

/* A slot that claims more than a page has, up to as much as can be said. */
static void test_impossible_sizes(void **state)
{
	struct zram *zram = create_with_pages(NULL, make_random_page);
	struct slot *slot = &zram->slots[0];
	const uint32_t good = slot->state;
	const uint32_t bad[] = {
		(uint32_t)(page_size() + 1) << SLOT_SIZE_SHIFT,
		UINT32_MAX >> SLOT_SIZE_SHIFT << SLOT_SIZE_SHIFT,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		slot->state = bad[i];
		assert_is_damaged(zram);
	}
	slot->state = good;
	assert_goes_on(zram, make_random_page);
	zram_destroy(zram);
}

/* The object was freed behind the store's back. */
static void test_lost_object(void **state)
{
	struct zram *zram;

	(void)state;
	assert_int_equal(setenv("ZSMALLOC_MISUSE", "count", 1), 0);
	zram = create_with_pages(NULL, make_text_page);
	zs_free(zram->pool, zram->slots[0].word);
	assert_is_damaged(zram);
	assert_goes_on(zram, make_text_page);
	zram_destroy(zram);
	assert_int_equal(unsetenv("ZSMALLOC_MISUSE"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_flipped_bit),
		cmocka_unit_test(test_not_exactly_a_page),
		cmocka_unit_test(test_truncated_and_garbage),
		cmocka_unit_test(test_impossible_sizes),
		cmocka_unit_test(test_lost_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
