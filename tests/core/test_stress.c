/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Every call at once, from many threads. Objects are stored, read, written, handed to another
 * thread and freed there in each way. Meanwhile the pool is flushed, compacted and asked for
 * statistics. A reader finds what was written. In the end nothing is lost or leaked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "invariants.h"
#include "seed.h"
#include "zsmalloc.h"

#define OPERATIONS 60000 /* of each thread, unless TEST_OPERATIONS says otherwise */
#define THREADS 4
#define OWN_OBJECTS 256
#define SHARED_OBJECTS 64
#define MAILBOXES 16
#define BULK 32

struct object {
	unsigned long handle;
	size_t size;
	uint64_t content;
};

struct worker {
	pthread_t thread;
	uint64_t random;
	unsigned long operations;
	struct object *own[OWN_OBJECTS];
	size_t count;
};

static struct zs_pool *pool;

/* Objects on their way from one thread to another; NULL for none. */
static struct object *_Atomic mailbox[MAILBOXES];

/* Objects that all threads read, and none writes or frees. */
static struct object *shared[SHARED_OBJECTS];

/* A thread has no cmocka to fail in. */
static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "test_stress: %s\n", what);
	abort();
}

/* Few sizes, so that threads meet in the same classes and zspages. */
static size_t stress_size(uint64_t *random)
{
	static const size_t usual[] = { 40, 600, 2200, 3000 };
	uint64_t choice = next_random(random) >> 32;

	return choice % 8 ? usual[choice / 8 % 4] : random_size(random);
}

static void write_object(struct object *object, uint64_t content)
{
	char *buffer = malloc(object->size);

	must(buffer, "no memory");
	object->content = content;
	random_fill(buffer, object->size, content);
	zs_obj_write(pool, object->handle, buffer, object->size);
	free(buffer);
}

static void read_object(const struct object *object)
{
	void *memory = zs_obj_read_begin(pool, object->handle, object->size, NULL);

	must(memory, "an object can't be read");
	must(random_is(memory, object->size, object->content),
	     "an object does not hold what was written");
	zs_obj_read_end(pool, object->handle, object->size, memory);
}

/* NULL if GFP_NOWAIT finds no memory. */
static struct object *store_object(uint64_t *random)
{
	gfp_t flags = next_random(random) >> 60 ? GFP_KERNEL : GFP_NOWAIT;
	struct object *object = malloc(sizeof(*object));

	must(object, "no memory");
	object->size = stress_size(random);
	object->handle = zs_malloc(pool, object->size, flags, NUMA_NO_NODE);
	if (zs_is_err(object->handle)) {
		must(flags == GFP_NOWAIT, "no memory for an object");
		free(object);
		return NULL;
	}
	write_object(object, next_random(random));
	return object;
}

/* Forget an object. Returns its handle, which the caller frees. */
static unsigned long forget(struct object *object)
{
	unsigned long handle = object->handle;

	free(object);
	return handle;
}

static struct object *worker_pick(struct worker *worker)
{
	return worker->own[next_random(&worker->random) % worker->count];
}

static struct object *worker_take(struct worker *worker)
{
	size_t i = next_random(&worker->random) % worker->count;
	struct object *object = worker->own[i];

	worker->own[i] = worker->own[--worker->count];
	return object;
}

static void worker_add(struct worker *worker, struct object *object)
{
	if (object)
		worker->own[worker->count++] = object;
}

/* Leave an object for another thread, and take what one has left. */
static void worker_swap(struct worker *worker)
{
	unsigned int box = next_random(&worker->random) % MAILBOXES;
	struct object *other = atomic_exchange(&mailbox[box], worker_take(worker));

	if (other)
		read_object(other);
	worker_add(worker, other);
}

static void worker_free_bulk(struct worker *worker)
{
	unsigned long handles[BULK];
	size_t count = 0;

	while (worker->count && count < BULK)
		handles[count++] = forget(worker_take(worker));
	zs_free_bulk(pool, handles, count);
}

static void worker_free_deferred_all(struct worker *worker)
{
	while (worker->count)
		zs_free_deferred(pool, forget(worker_take(worker)));
}

/* A reader that takes its time. */
static void worker_read_shared(struct worker *worker)
{
	const struct object *object = shared[next_random(&worker->random) % SHARED_OBJECTS];
	void *memory = zs_obj_read_begin(pool, object->handle, object->size, NULL);

	must(memory, "an object can't be read");
	sched_yield();
	must(random_is(memory, object->size, object->content),
	     "an object does not hold what was written");
	zs_obj_read_end(pool, object->handle, object->size, memory);
}

static void worker_stats(void)
{
	struct zs_pool_stats stats;
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	must(out, "no memory");
	must(!zs_stats_classes(pool, out) && !zs_stats_deferred(pool, out), "no statistics");
	fclose(out);
	free(text);
	zs_pool_stats(pool, &stats);
	must(!stats.misuses, "misuse");
}

static void worker_rare(struct worker *worker)
{
	switch (next_random(&worker->random) % 5) {
	case 0:
		zs_free_deferred_flush(pool);
		break;
	case 1:
		zs_compact(pool);
		break;
	case 2:
		worker_stats();
		break;
	case 3:
		worker_free_bulk(worker);
		break;
	default:
		worker_free_deferred_all(worker);
	}
}

static void worker_operate(struct worker *worker)
{
	unsigned int choice = next_random(&worker->random) % 256;

	if (choice < 2)
		worker_rare(worker);
	else if (choice < 40)
		worker_read_shared(worker);
	else if (!worker->count || (choice < 120 && worker->count < OWN_OBJECTS))
		worker_add(worker, store_object(&worker->random));
	else if (choice < 160)
		worker_swap(worker);
	else if (choice < 200)
		zs_free_deferred(pool, forget(worker_take(worker)));
	else if (choice < 220)
		zs_free(pool, forget(worker_take(worker)));
	else if (choice < 230)
		write_object(worker_pick(worker), next_random(&worker->random));
	else
		read_object(worker_pick(worker));
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	while (worker->operations--)
		worker_operate(worker);
	return NULL;
}

/* What the threads have left, freed. Returns how many objects that is. */
static uint64_t clear_away(struct worker *workers)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < THREADS; i++) {
		for (; workers[i].count; count++) {
			struct object *object = workers[i].own[--workers[i].count];

			read_object(object);
			zs_free_deferred(pool, forget(object));
		}
	}
	for (unsigned int i = 0; i < MAILBOXES; i++) {
		struct object *object = atomic_exchange(&mailbox[i], NULL);

		if (!object)
			continue;
		read_object(object);
		zs_free(pool, forget(object));
		count++;
	}
	return count;
}

static void run(const struct zs_pool_options *options)
{
	struct worker *workers = calloc(THREADS, sizeof(*workers));
	uint64_t random = random_seed();

	assert_non_null(workers);
	pool = zs_create_pool_with("stress", options);
	assert_non_null(pool);
	for (unsigned int i = 0; i < SHARED_OBJECTS; i++)
		while (!(shared[i] = store_object(&random)))
			;
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i].random = next_random(&random);
		workers[i].operations = random_operations(OPERATIONS / TEST_LESS);
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);

	assert_true(clear_away(workers) > 0);
	check_invariants(pool, SHARED_OBJECTS, 0);
	for (unsigned int i = 0; i < SHARED_OBJECTS; i++) {
		read_object(shared[i]);
		zs_free_deferred(pool, forget(shared[i]));
	}
	check_empty(pool);
	zs_destroy_pool(pool);
	free(workers);
}

static void test_default_pool(void **state)
{
	const struct zs_pool_options options = { .size = sizeof(options) };

	(void)state;
	run(&options);
}

/* A queue that is often full, or at its threshold, or due: the worker joins in. */
static void test_small_queue(void **state)
{
	const struct zs_pool_options options = {
		.size = sizeof(options),
		.deferred_budget = 128 * (size_t)sysconf(_SC_PAGESIZE),
		.deferred_delay_ms = 1,
		.max_chain = 4,
	};

	(void)state;
	run(&options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_pool),
		cmocka_unit_test(test_small_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
