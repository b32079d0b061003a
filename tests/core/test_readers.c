/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Readers and movers. A reader keeps its object where it is, and no other. A reader that meets a
 * frozen zspage waits for one hold of the class lock. What is read while everything moves is right.
 * (Reaches inside: src/read.h.)
 */
#include "faults.h"
#include "helpers.h"
#include "invariants.h"

#include <pthread.h>
#include <stdatomic.h>

#include "read.h"

#define SIZE 500

static struct zspage *zspage_of(unsigned long handle)
{
	u64 word = (u64)atomic64_read(handle_entry(&runtime.handles, handle_name(handle)));

	return zspage_ref(&runtime.zspages, entry_zspage(word))->zspage;
}

/* A read counts once from begin to end, a write not beyond its end. */
static void test_counts(void **state)
{
	struct zs_pool *pool = zs_create_pool("counts");
	unsigned long handle = object_make(pool, SIZE, 1);
	const atomic_t *count = reading_count((u32)handle);
	void *memory[10];

	(void)state;
	for (int i = 0; i < 10; i++) {
		memory[i] = zs_obj_read_begin(pool, handle, SIZE, NULL);
		assert_ptr_equal(memory[i], memory[0]);
		assert_int_equal(atomic_read(count), i + 1);
	}
	object_fill(pool, handle, SIZE, 2); /* a reader does not keep writers out */
	assert_int_equal(atomic_read(count), 10);
	for (int i = 0; i < 10; i++)
		zs_obj_read_end(pool, handle, SIZE, memory[i]);
	check_invariants(pool, 1, 0);
	assert_true(object_holds(pool, handle, SIZE, 2));
	zs_destroy_pool(pool);
}

/* What goes wrong leaves no count. */
static void test_misuse(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .misuse = ZS_MISUSE_COUNT });
	unsigned long handle = object_make(pool, SIZE, 1);

	(void)state;
	assert_null(zs_obj_read_begin(pool, handle, page_size(), NULL));
	assert_null(zs_obj_read_begin(pool, handle + 1, SIZE, NULL));
	zs_obj_read_end(pool, handle, SIZE, pool); /* without a begin */
	assert_int_equal(misuses_of(pool), 3);
	check_invariants(pool, 1, 0);
	zs_destroy_pool(pool);
}

/* The object that is read stays; the others of its zspage move all the same. */
static void test_others_move(void **state)
{
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.compact_share = ZS_COMPACT_NEVER,
	});
	const u32 slots = pool->table->geometry[class_for(pool->table, SIZE)].slots;
	unsigned long *handles = objects_make(pool, SIZE, 2UL * slots);
	struct zspage *first = zspage_of(handles[0]);
	const struct size_class *class = first->class;
	u64 left = 2UL * slots;
	void *memory;

	(void)state;
	/* A quarter of the first zspage is free, and all but a few of the second. */
	for (u32 i = 0; i < 2 * slots; i++) {
		if (i < slots ? i % 4 != 0 : i % 16 == 0)
			continue;
		zs_free(pool, handles[i]);
		handles[i] = 0;
		left--;
	}
	memory = zs_obj_read_begin(pool, handles[slots / 16 * 16 + 16], SIZE, NULL);
	assert_non_null(memory);
	assert_ptr_not_equal(zspage_of(handles[slots / 16 * 16 + 16]), first);
	zs_compact(pool);
	assert_true(random_is(memory, SIZE, slots / 16 * 16 + 16));
	/* One zspage is left: that of the object which is read, and the others have come there. */
	assert_int_equal(class->zspages, 1);
	for (u32 i = 0; i < 2 * slots; i++)
		if (handles[i])
			assert_true(object_holds(pool, handles[i], SIZE, i));
	zs_obj_read_end(pool, handles[slots / 16 * 16 + 16], SIZE, memory);
	check_invariants(pool, left, 0);
	free(handles);
	zs_destroy_pool(pool);
}

struct reader {
	pthread_t thread;
	struct zs_pool *pool;
	unsigned long handle;
};

static void *read_one(void *arg)
{
	struct reader *reader = arg;

	return object_holds(reader->pool, reader->handle, SIZE, 1) ? arg : NULL;
}

static void reader_start(struct reader *reader)
{
	assert_int_equal(pthread_create(&reader->thread, NULL, read_one, reader), 0);
}

static void assert_has_read(struct reader *reader)
{
	void *right;

	assert_int_equal(pthread_join(reader->thread, &right), 0);
	assert_non_null(right);
}

static bool is_wanted(void *lock)
{
	return atomic_read(&((struct port_lock *)lock)->state) == PORT_LOCK_WANTED;
}

/*
 * A reader that meets a frozen zspage waits for its class lock, and then reads. Until then the
 * number may have become that of another pool's zspage, with a class that the reader's pool has
 * not.
 */
static void test_reader_waits(void **state)
{
	struct reader reader = { .pool = make_pool((struct zs_pool_options){ .max_chain = 1 }) };
	struct zspage_ref *ref;
	struct zspage *zspage;
	struct port_lock *lock;
	u64 where;

	(void)state;
	reader.handle = object_make(reader.pool, SIZE, 1);
	zspage = zspage_of(reader.handle);
	ref = zspage_ref(&runtime.zspages, zspage->number);
	lock = zspage->class->lock;
	port_lock(lock);
	zspage_freeze(zspage);
	where = ref->where;
	WRITE_ONCE(ref->where, where | (ZS_SIZE_STEPS - 1ULL) << WHERE_CLASS_SHIFT);
	reader_start(&reader);
	assert_true(wait_for(is_wanted, lock));
	WRITE_ONCE(ref->where, where);
	zspage_thaw(zspage);
	port_unlock(lock);
	assert_has_read(&reader);
	check_invariants(reader.pool, 1, 0);
	zs_destroy_pool(reader.pool);
}

/* Moves an object whose reader has come too late for the mover to see. */
static void move(unsigned long handle, struct zspage *target)
{
	atomic64_t *entry = handle_entry(&runtime.handles, handle_name(handle));
	u64 word = (u64)atomic64_read(entry);
	struct zspage *source = zspage_of(handle);
	size_t size = source->class->geometry.size;
	size_t from = entry_slot(word) * size, to;

	port_lock(source->class->lock);
	zspage_freeze(source);
	to = zspage_take(target, (u32)handle);
	port_chain_copy(&target->chain, to * size, &source->chain, from, size);
	atomic64_set_release(entry,
			     entry_make(entry_gen(word), target->number, entry_lock(word), (u8)to));
	zspage_put(&runtime.zspages, source, entry_slot(word));
	zspage_thaw(source);
	port_unlock(source->class->lock);
	memset(source->chain.base + from, 0xff, size);
}

/* A mover comes and goes between a reader's look at the entry and the one at its zspage. */
static void test_moved_between_looks(void **state)
{
#ifdef __SANITIZE_THREAD__
	(void)state;
	skip();
#endif
	struct reader reader = { .pool = make_pool((struct zs_pool_options){ .max_chain = 1 }) };
	const u32 slots = reader.pool->table->geometry[class_for(reader.pool->table, SIZE)].slots;
	unsigned long *others = objects_make(reader.pool, SIZE, slots);
	void *refs = table_at(&runtime.zspages.refs, 0, PORT_CHUNK_SIZE);

	(void)state;
	reader.handle = others[0]; /* its zspage is full, so the next object is in another one */
	object_fill(reader.pool, reader.handle, SIZE, 1);
	others[0] = object_make(reader.pool, SIZE, 0);
	faults_begin(refs, PORT_CHUNK_SIZE);
	reader_start(&reader);
	fault_await(refs, PORT_CHUNK_SIZE);
	assert_ptr_not_equal(zspage_of(reader.handle), zspage_of(others[0]));
	move(reader.handle, zspage_of(others[0]));
	fault_release();
	assert_has_read(&reader);
	faults_end();
	check_invariants(reader.pool, slots + 1, 0);
	free(others);
	zs_destroy_pool(reader.pool);
}

#define OBJECTS 2000
#define READERS 6 /* more than this machine may have CPUs */

struct job {
	pthread_t thread;
	struct zs_pool *pool;
	const unsigned long *handles;
	atomic_bool *stop;
	uint64_t seed;
	bool failed;
};

/* Reads objects, some of them for a while, and finds each as it was written. */
static void *read_all(void *arg)
{
	struct job *job = arg;

	while (!atomic_load(job->stop)) {
		size_t at = next_random(&job->seed) % OBJECTS;
		void *memory = zs_obj_read_begin(job->pool, job->handles[at], SIZE, NULL);

		if (!memory || !random_is(memory, SIZE, at))
			job->failed = true;
		if (at % 16 == 0)
			sched_yield();
		if (!memory || !random_is(memory, SIZE, at))
			job->failed = true;
		zs_obj_read_end(job->pool, job->handles[at], SIZE, memory);
	}
	return NULL;
}

/* Two movers and many readers: holes come and go, and everything moves all the time. */
static void test_while_all_moves(void **state)
{
	struct zs_pool *pool = zs_create_pool("moving");
	unsigned long *handles = objects_make(pool, SIZE, OBJECTS);
	atomic_bool stop = false;
	struct job jobs[READERS];

	(void)state;
	for (unsigned int i = 0; i < READERS; i++) {
		jobs[i] = (struct job){
			.pool = pool, .handles = handles, .stop = &stop, .seed = i + 1
		};
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, read_all, &jobs[i]), 0);
	}
	for (unsigned int round = 0; round < 100 / TEST_LESS; round++) {
		unsigned long *more = objects_make(pool, SIZE, OBJECTS);

		for (size_t i = 0; i < OBJECTS; i++)
			zs_free(pool, more[i * 7 % OBJECTS]);
		for (size_t i = 0; i < OBJECTS;
		     i += 2 + round % 3) { /* new holes among those that stay */
			zs_free(pool, object_make(pool, SIZE, i));
		}
		zs_compact(pool);
		free(more);
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < READERS; i++) {
		pthread_join(jobs[i].thread, NULL);
		assert_false(jobs[i].failed);
	}
	check_invariants(pool, OBJECTS, 0);
	free(handles);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_others_move),
		cmocka_unit_test(test_reader_waits),
		cmocka_unit_test(test_moved_between_looks),
		cmocka_unit_test(test_while_all_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
