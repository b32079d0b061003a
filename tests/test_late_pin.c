/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A reader may be held up anywhere, also between looking up where the object is and pinning it
 * there, while compaction moves the object and its old place goes to others. It must read its own
 * object all the same. And wherever compaction is held up, the object is where its entry says.
 *
 * One object is moved round after round, and where it was is filled with other objects, by this
 * thread; another reads it, and is stopped, or lets others run while it has the object pinned.
 *
 * To stop the reader just before its pin, or compaction while it copies, the test reaches inside: the
 * zspages' descriptors, or the object's new place, are protected.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "faults.h"
#include "pool.h"
#include "random.h"
#include "zsmalloc.h"

#define ROUNDS 3000
#define STOPS 100
#define SLOTS 8 /* of a zspage of one page */
#define PATIENCE 1000 /* times that others are let run */

static struct zs_pool *pool;
static size_t size; /* of each object */
static unsigned long object;
static uint64_t content; /* of it */
static unsigned long other[2 * SLOTS];

static atomic_bool stop;
static atomic_bool wrong;
static atomic_ulong reads;

static unsigned long store(uint64_t what)
{
	unsigned long handle = zs_malloc(pool, size, GFP_KERNEL, NUMA_NO_NODE);
	char *buffer = malloc(size);

	assert_false(zs_is_err(handle));
	assert_non_null(buffer);
	random_fill(buffer, size, what);
	zs_obj_write(pool, handle, buffer, size);
	free(buffer);
	return handle;
}

static void free_others(unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		zs_free(pool, other[i]);
		other[i] = 0;
	}
}

static void store_others(unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++)
		other[i] = store(content + 1 + i);
}

/*
 * The object's zspage holds no other object, a second one has room: so compaction moves it, unless
 * it is pinned. Whatever comes next fills its old place.
 */
static void make_sparse(void)
{
	free_others(0, 2 * SLOTS);
	store_others(0, 2 * SLOTS - 1);
	free_others(0, SLOTS - 1);
	free_others(2 * SLOTS - 3, 2 * SLOTS - 1);
}

static void overwrite(void)
{
	store_others(0, SLOTS - 1);
	store_others(2 * SLOTS - 3, 2 * SLOTS);
}

static void read_once(bool linger)
{
	void *memory = zs_obj_read_begin(pool, object, size, NULL);

	if (linger)
		sched_yield();
	if (!memory || !random_is(memory, size, content))
		atomic_store(&wrong, true);
	zs_obj_read_end(pool, object, size, memory);
	atomic_fetch_add(&reads, 1);
}

static void *read_and_end(void *arg)
{
	read_once(false);
	return arg;
}

static void *linger(void *arg)
{
	while (!atomic_load(&stop))
		read_once(true);
	return arg;
}

static void setup_pool(void)
{
	const struct zs_pool_options options = { .size = sizeof(options), .max_chain = 1 };

	pool = zs_create_pool_with("late_pin", &options);
	assert_non_null(pool);
	size = (size_t)sysconf(_SC_PAGESIZE) / SLOTS;
	object = store(content);
	store_others(0, 2 * SLOTS);
	atomic_store(&stop, false);
	atomic_store(&wrong, false);
	atomic_store(&reads, 0);
}

static void end(pthread_t reader)
{
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_false(atomic_load(&wrong));
	zs_destroy_pool(pool);
}

static void test_reader_stopped_before_its_pin(void **state)
{
#ifdef __SANITIZE_THREAD__
	(void)state;
	skip();
#endif
	(void)state;
	setup_pool();
	for (unsigned int turn = 0; turn < STOPS; turn++) {
		unsigned long pages;
		pthread_t reader;

		make_sparse();
		pages = zs_get_total_pages(pool);
		faults_begin();
		protect_table(&pool->zspages.lines, PROT_NONE);
		assert_int_equal(pthread_create(&reader, NULL, read_and_end, NULL), 0);
		fault_await();
		protect_table(&pool->zspages.lines, PROT_READ | PROT_WRITE);
		assert_int_equal(zs_compact(pool), 1); /* it has no pin yet */
		assert_int_equal(zs_get_total_pages(pool), pages - 1);
		overwrite();
		fault_release();
		assert_int_equal(pthread_join(reader, NULL), 0);
		faults_end();
		assert_false(atomic_load(&wrong));
	}
	zs_destroy_pool(pool);
}

static void *compact(void *arg)
{
	zs_compact(pool);
	return arg;
}

static void test_stopped_in_its_copy(void **state)
{
	const atomic64_t *entry;
	struct zspage *target;
	u64 before, meanwhile;
	pthread_t compacting;

	(void)state;
	setup_pool();
	make_sparse();
	entry = handle_entry(&pool->handles, object);
	before = (u64)atomic64_read(entry);
	target = zspage_at(&pool->zspages,
			   entry_zspage(atomic64_read(handle_entry(&pool->handles, other[SLOTS]))));
	faults_begin();
	protect(target->chain.base, PORT_PAGE_SIZE, PROT_NONE);
	assert_int_equal(pthread_create(&compacting, NULL, compact, NULL), 0);
	fault_await();
	meanwhile = (u64)atomic64_read(entry);
	protect(target->chain.base, PORT_PAGE_SIZE, PROT_READ | PROT_WRITE);
	fault_release();
	assert_int_equal(pthread_join(compacting, NULL), 0);
	faults_end();
	assert_true(meanwhile == before);
	assert_true((u64)atomic64_read(entry) != before);
	read_once(false);
	assert_false(atomic_load(&wrong));
	zs_destroy_pool(pool);
}

static void test_reader_that_lingers(void **state)
{
	pthread_t reader;

	(void)state;
	setup_pool();
	assert_int_equal(pthread_create(&reader, NULL, linger, NULL), 0);
	for (unsigned int round = 0; round < 4 * ROUNDS || !atomic_load(&reads); round++) {
		make_sparse();
		zs_compact(pool);
		overwrite();
	}
	end(reader);
}

/* Nobody gets at what is frozen. */
static void test_reader_of_what_is_frozen(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 10; round++) {
		struct size_class *class;
		struct zspage *zspage;
		pthread_t reader;

		setup_pool();
		zspage = zspage_at(&pool->zspages, entry_zspage(atomic64_read(
							   handle_entry(&pool->handles, object))));
		class = zspage_class(zspage, &pool->classes);
		port_lock(&class->lock);
		assert_true(zspage_freeze(zspage));
		assert_false(zspage_pin(zspage));
		assert_int_equal(pthread_create(&reader, NULL, linger, NULL), 0);
		for (unsigned int i = 0; i < PATIENCE; i++) {
			assert_int_equal(atomic_load(&reads), 0);
			sched_yield();
		}
		zspage_thaw(zspage);
		port_unlock(&class->lock);
		while (!atomic_load(&reads))
			sched_yield();
		end(reader);
	}
}

static int setup(void **state)
{
	(void)state;
	content = random_seed();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_stopped_before_its_pin),
		cmocka_unit_test(test_stopped_in_its_copy),
		cmocka_unit_test(test_reader_that_lingers),
		cmocka_unit_test(test_reader_of_what_is_frozen),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
