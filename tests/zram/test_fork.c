/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * fork(): the child goes on with every store, while other threads of its parent read and write.
 */
#include "no_worker.h"
#include "zram_pages.h"

#include <pthread.h>
#include <stdatomic.h>

#define PAGES 16 /* of each thread */
#define THREADS 4
#define FORKS 500 /* by each thread */

struct forker {
	pthread_t thread;
	struct zram *store;
	uint64_t first; /* page of this thread's */
	/*
	 * While a thread begins or ends it allocates. A sanitizer's allocator, unlike malloc(),
	 * does not let the child of a fork() at that moment go on.
	 */
	pthread_barrier_t *together;
};

static void child_uses(const void *arg)
{
	const struct forker *forker = arg;
	char *page = malloc(page_size()), *got = malloc(page_size());

	CHILD_CHECK(page && got);
	for (uint64_t i = forker->first; i < forker->first + PAGES; i++) {
		make_text_page(page, i);
		CHILD_CHECK(zram_read_page(forker->store, i, got) == 0);
		CHILD_CHECK(memcmp(page, got, page_size()) == 0);
		make_text_page(page, i + 1000);
		CHILD_CHECK(zram_write_page(forker->store, i, page) == 0);
		CHILD_CHECK(zram_read_page(forker->store, i, got) == 0);
		CHILD_CHECK(memcmp(page, got, page_size()) == 0);
		CHILD_CHECK(zram_slot_free_notify(forker->store, i) == 0);
	}
	zs_free_deferred_flush(zram_get_pool(forker->store));
	/* Of the other threads the pages, too, are whole, whatever they are. */
	for (uint64_t i = 0; i < (uint64_t)THREADS * PAGES; i++)
		CHILD_CHECK(zram_read_page(forker->store, i, got) == 0);
	zram_destroy(forker->store);
}

static void *fork_often(void *arg)
{
	struct forker *forker = arg;
	char *page = malloc(page_size());

	assert_non_null(page);
	pthread_barrier_wait(forker->together);
	for (unsigned int i = 0; i < FORKS / TEST_LESS; i++) {
		struct child child;

		for (uint64_t k = forker->first; k < forker->first + PAGES; k++) {
			zram_slot_free_notify(forker->store, k);
			make_text_page(page, k);
			assert_int_equal(zram_write_page(forker->store, k, page), 0);
			assert_int_equal(zram_read_page(forker->store, k, page), 0);
		}
		child = run_in_child(child_uses, forker);
		assert_child_ended_well(&child);
	}
	pthread_barrier_wait(forker->together);
	free(page);
	return NULL;
}

static void test_child_goes_on_with_a_store(void **state)
{
	struct forker forkers[THREADS];
	pthread_barrier_t together;
	struct zram *store;

	(void)state;
	assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
	store = create_store((size_t)THREADS * PAGES, (struct zram_options){ .algorithm = "lz4" });
	for (unsigned int i = 0; i < THREADS; i++) {
		forkers[i].store = store;
		forkers[i].first = (uint64_t)i * PAGES;
		forkers[i].together = &together;
		assert_int_equal(pthread_create(&forkers[i].thread, NULL, fork_often, &forkers[i]),
				 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(forkers[i].thread, NULL);
	zram_destroy(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_goes_on_with_a_store),
	};

	refuse_threads_in_children();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
