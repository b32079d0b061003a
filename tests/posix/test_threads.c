/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The program's threads: they come and go, are more than there are lanes, and end in any way. The
 * library comes and goes, too, and leaves neither a thread nor a mapping. Its path is the argument.
 */
#include "helpers.h"

#include <dlfcn.h>
#include <pthread.h>

#define SHORT_LIVES (100000 / (TEST_LESS * TEST_LESS))
#define MANY_THREADS 300 /* there are 255 lanes */
#define OBJECTS 200
#define SIZE 500

static const char *library;
static struct zs_pool *pool;
static pthread_barrier_t together;

static void *live_briefly(void *arg)
{
	zs_free_deferred(pool, zs_malloc(pool, SIZE, GFP_KERNEL, NUMA_NO_NODE));
	return arg;
}

/* What threads have queued that are gone is freed; the entries that they had in stock are used. */
static void test_come_and_go(void **state)
{
	pthread_t threads[8];

	(void)state;
	pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });
	for (unsigned int i = 0; i < SHORT_LIVES; i += 8) {
		for (unsigned int k = 0; k < 8; k++)
			assert_int_equal(pthread_create(&threads[k], NULL, live_briefly, NULL), 0);
		for (unsigned int k = 0; k < 8; k++)
			pthread_join(threads[k], NULL);
	}
	zs_free_deferred_flush(pool);
	assert_int_equal(deferred_stat(pool, "pending"), 0);
	assert_int_equal(zs_get_total_pages(pool), 0);
	zs_destroy_pool(pool);
}

static void *live_together(void *arg)
{
	unsigned long handles[OBJECTS];

	for (size_t i = 0; i < OBJECTS; i++)
		handles[i] = object_make(pool, SIZE, i);
	pthread_barrier_wait(&together); /* all have asked for a lane */
	for (size_t i = 0; i < OBJECTS; i++) {
		assert_true(object_holds(pool, handles[i], SIZE, i));
		zs_free_deferred(pool, handles[i]);
	}
	pthread_barrier_wait(&together); /* before one ends, and gives its lane back */
	return arg;
}

static void test_more_threads_than_lanes(void **state)
{
	pthread_t threads[MANY_THREADS];

	(void)state;
	pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });
	pthread_barrier_init(&together, NULL, MANY_THREADS);
	for (unsigned int i = 0; i < MANY_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, live_together, NULL), 0);
	for (unsigned int i = 0; i < MANY_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(deferred_stat(pool, "fallbacks_contended") > 0);
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	pthread_barrier_destroy(&together);
	zs_destroy_pool(pool);
}

static void *outlive_main(void *arg)
{
	struct zs_pool *own = zs_create_pool("late");

	usleep(20000);
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free_deferred(own, object_make(own, SIZE, i));
	zs_free_deferred_flush(own);
	CHILD_CHECK(zs_get_total_pages(own) == 0);
	zs_destroy_pool(own);
	_exit(0);
	return arg;
}

static void main_ends(const void *arg)
{
	pthread_t thread;

	(void)arg;
	CHILD_CHECK(pthread_create(&thread, NULL, outlive_main, NULL) == 0);
	pthread_exit(NULL);
}

/* A pool works on when the main thread has ended. */
static void test_main_ends(void **state)
{
	struct child child;

	(void)state;
#if defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
	skip(); /* it knows no threads in a child; musl 1.2.3 leaves a lock held there */
#endif
	child = run_in_child(main_ends, NULL);
	assert_child_ended_well(&child);
}

static void exit_while_draining(const void *arg)
{
	struct zs_pool *own = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });
	unsigned long *handles = objects_make(own, SIZE, 50000);

	(void)arg;
	for (size_t i = 0; i < 50000; i++)
		zs_free_deferred(own, handles[i]);
	free(handles);
	exit(0);
}

static void test_exit_while_draining(void **state)
{
	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* as above */
#endif
	for (unsigned int i = 0; i < 20; i++) {
		struct child child = run_in_child(exit_while_draining, NULL);

		assert_child_ended_well(&child);
	}
}

static bool is_mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	const char *name = strrchr(library, '/') + 1;
	char line[4096];
	bool found = false;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		found |= strstr(line, name) != NULL;
	fclose(maps);
	return found;
}

/* The calls of a library that was loaded by hand. */
struct calls {
	struct zs_pool *(*create)(const char *name);
	unsigned long (*malloc)(struct zs_pool *pool, size_t size, gfp_t flags, const int nid);
	void (*free_deferred)(struct zs_pool *pool, unsigned long handle);
	void (*destroy)(struct zs_pool *pool);
};

static void *symbol(void *loaded, const char *name)
{
	void *found = dlsym(loaded, name);

	assert_non_null(found);
	return found;
}

static void use(void *loaded)
{
	struct zs_pool *own;
	struct calls calls;

	*(void **)&calls.create = symbol(loaded, "zs_create_pool");
	*(void **)&calls.malloc = symbol(loaded, "zs_malloc");
	*(void **)&calls.free_deferred = symbol(loaded, "zs_free_deferred");
	*(void **)&calls.destroy = symbol(loaded, "zs_destroy_pool");
	own = calls.create("loaded");
	assert_non_null(own);
	for (unsigned int i = 0; i < OBJECTS; i++)
		calls.free_deferred(own, calls.malloc(own, SIZE, GFP_KERNEL, NUMA_NO_NODE));
	calls.destroy(own);
}

static void does_nothing(const void *arg)
{
	(void)arg;
}

static void test_loaded_again_and_again(void **state)
{
	unsigned int before = threads_of_process();

	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		void *loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);

		if (!loaded)
			fail_msg("%s", dlerror());
		use(loaded);
		assert_int_equal(dlclose(loaded), 0);
		assert_int_equal(threads_of_process(), before);
#ifdef __GLIBC__ /* musl unloads nothing */
		assert_false(is_mapped());
#else
		(void)is_mapped;
#endif
		if (i % 10 == 0) { /* no handler of a fork was left */
			struct child child = run_in_child(does_nothing, NULL);

			assert_child_ended_well(&child);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_come_and_go),
		cmocka_unit_test(test_more_threads_than_lanes),
		cmocka_unit_test(test_main_ends),
		cmocka_unit_test(test_exit_while_draining),
		cmocka_unit_test(test_loaded_again_and_again),
	};

	if (argc != 2)
		return 2;
	library = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
