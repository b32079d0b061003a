/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The memory of dead descriptors goes back to the system when a pool is compacted, and comes back when
 * they are used again; every object stays what it was, whatever others do meanwhile. (Reaches inside:
 * src/pool.h. Wraps port_discard(), table_grow() and zspage_replace(), to use the pool in the middle of
 * them.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "invariants.h"
#include "pool.h"

#define OBJECTS 30000

struct object {
	unsigned long handle; /* 0 for none */
	size_t size;
};

static struct zs_pool *pool;
static struct object object[OBJECTS];
static uint64_t state_of_random;
static void (*meanwhile)(void); /* called before the memory goes */
static atomic_uint discards;

void __real_port_discard(void *memory, size_t size);
void __wrap_port_discard(void *memory, size_t size);

/* Whether memory is that of descriptors. Entries are discarded, too. */
static bool is_of_lines(const char *memory)
{
	const struct table *lines = &pool->zspages.lines;

	for (u32 chunk = 0; chunk < lines->chunks; chunk++) {
		const char *start = table_chunk(lines, chunk);

		if (memory >= start && memory < start + PORT_CHUNK_SIZE)
			return true;
	}
	return false;
}

void __wrap_port_discard(void *memory, size_t size)
{
	atomic_fetch_add(&discards, 1);
	if (meanwhile && is_of_lines(memory))
		meanwhile();
	__real_port_discard(memory, size);
}

static void store(size_t i)
{
	object[i].handle = object_make(pool, object[i].size, i);
}

/* Short chains, so that there are many descriptors; of several lengths. */
static void setup_pool(void)
{
	pool = make_pool((struct zs_pool_options){
		.max_chain = 1,
		.compact_share = ZS_COMPACT_NEVER, /* it is zs_compact() that is looked at */
		.deferred_delay_ms = NEVER_MS,
		.misuse = ZS_MISUSE_COUNT,
	});
	for (size_t i = 0; i < OBJECTS; i++) {
		object[i].size = page_size() / 64 + next_random(&state_of_random) % page_size() / 4;
		store(i);
	}
}

static void free_most(void)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		if (!object[i].handle || next_random(&state_of_random) % 20 == 0)
			continue;
		zs_free(pool, object[i].handle);
		object[i].handle = 0;
	}
}

static void store_the_rest(void)
{
	for (size_t i = 0; i < OBJECTS; i++)
		if (!object[i].handle)
			store(i);
}

/* All objects that there are hold what they should. Returns how many they are. */
static size_t check_objects(void)
{
	size_t stored = 0;

	for (size_t i = 0; i < OBJECTS; i++) {
		if (!object[i].handle)
			continue;
		assert_true(object_holds(pool, object[i].handle, object[i].size, i));
		stored++;
	}
	return stored;
}

static void teardown_pool(void)
{
	zs_destroy_pool(pool);
	memset(object, 0, sizeof(object));
}

/* The bytes of all descriptors that are resident. */
static size_t resident(void)
{
	const struct table *lines = &pool->zspages.lines;
	size_t pages = 0;

	for (u32 chunk = 0; chunk < lines->chunks; chunk++) {
		unsigned char there[PORT_CHUNK_SIZE / 4096];

		assert_int_equal(mincore(table_chunk(lines, chunk), PORT_CHUNK_SIZE, there), 0);
		for (size_t i = 0; i < PORT_CHUNK_SIZE / page_size(); i++)
			pages += there[i] & 1;
	}
	return pages * page_size();
}

/* The bytes of the descriptors that are alive. */
static size_t needed(void)
{
	size_t lines = 0;

	for (u32 number = 0; (number = zspage_next(&pool->zspages, number));)
		lines += zspage_lines(
			zspage_class(zspage_at(&pool->zspages, number), &pool->classes)->geometry);
	return lines * ZSPAGE_LINE;
}

/* A third more than what is needed, where it is not worth while, and a page begun at either end. */
static void check_bytes(void)
{
	size_t most = needed() / 3 * 4;

	for (u32 lines = 1; lines <= ZSPAGE_MAX_LINES; lines++)
		if (pool->zspages.of[lines].alive)
			most += 2 * page_size();
	assert_true(descriptors_bytes(&pool->zspages) <= most);
}

static u32 number_of(unsigned long handle)
{
	return entry_zspage(handle_word(&pool->handles, (u32)handle));
}

static void test_given_back(void **state)
{
	size_t before;
	u32 chunks;

	(void)state;
	setup_pool();
	before = resident();
	chunks = pool->zspages.lines.chunks;
	for (unsigned int round = 0; round < 3; round++) {
		free_most();
		zs_compact(pool);
		check_bytes();
		assert_int_equal(resident(), descriptors_bytes(&pool->zspages));
		assert_true(resident() < before / 3);
		check_invariants(pool, check_objects(), 0);
		store_the_rest();
		assert_int_equal(check_objects(), OBJECTS);
		check_invariants(pool, OBJECTS, 0);
		/* There was room for them. */
		assert_int_equal(pool->zspages.lines.chunks, chunks);
	}
	teardown_pool();
}

/* A pool without objects has no descriptors, and one that did not change gains nothing. */
static void test_all_and_nothing(void **state)
{
	unsigned int calls;

	(void)state;
	setup_pool();
	free_most();
	zs_compact(pool);
	calls = atomic_load(&discards);
	zs_compact(pool);
	assert_int_equal(atomic_load(&discards), calls);
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free(pool, object[i].handle);
	zs_compact(pool);
	assert_int_equal(descriptors_bytes(&pool->zspages), 0);
	assert_int_equal(resident(), 0);
	check_empty(pool);
	teardown_pool();
}

/* What was freed is known to be, wherever its zspage's descriptor is now. */
static void test_misuse(void **state)
{
	unsigned long stale[10];
	size_t stales = 0;

	(void)state;
	setup_pool();
	for (size_t i = 0; i < 10; i++)
		stale[i] = object[i].handle;
	free_most();
	zs_compact(pool);
	for (unsigned int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < 10; i++) {
			if (object[i].handle == stale[i])
				continue;
			zs_free(pool, stale[i]);
			assert_null(zs_obj_read_begin(pool, stale[i], 1, NULL));
			stales += 2;
		}
		assert_int_equal(misuses_of(pool), stales);
		store_the_rest();
	}
	assert_true(stales > 0);
	assert_int_equal(check_objects(), OBJECTS);
	teardown_pool();
}

/* The object that is left whose zspage has the highest number of all. */
static const struct object *last_object(void)
{
	const struct object *last = NULL;

	for (size_t i = 0; i < OBJECTS; i++)
		if (object[i].handle &&
		    (!last || number_of(object[i].handle) > number_of(last->handle)))
			last = &object[i];
	assert_non_null(last);
	return last;
}

static void test_pinned(void **state)
{
	const struct object *last;
	void *memory;
	u32 number;

	(void)state;
	setup_pool();
	free_most();
	last = last_object();
	number = number_of(last->handle);
	memory = zs_obj_read_begin(pool, last->handle, last->size, NULL);
	zs_compact(pool);
	assert_int_equal(number_of(last->handle), number);
	assert_true(random_is(memory, last->size, (uint64_t)(last - object)));
	zs_obj_read_end(pool, last->handle, last->size, memory);
	zs_compact(pool);
	check_invariants(pool, check_objects(), 0);
	assert_int_equal(misuses_of(pool), 0);
	teardown_pool();
}

/* Whether an object's zspage has its descriptor in two pages, the first of which is one in four. */
static bool lies_across_pages(size_t i)
{
	const char *first = (const char *)zspage_at(&pool->zspages, number_of(object[i].handle));
	u32 lines = zspage_lines(class_for(&pool->classes, object[i].size)->geometry);
	size_t page = (size_t)first / page_size();

	return page % 4 == 0 && (size_t)(first + lines * ZSPAGE_LINE - 1) / page_size() != page;
}

/* What lies across two pages keeps both of them. */
static void test_across_pages(void **state)
{
	void **memory = calloc(OBJECTS, sizeof(*memory));
	size_t read = 0;

	(void)state;
	assert_non_null(memory);
	setup_pool();
	for (size_t i = 0; i < OBJECTS; i++) {
		if (!lies_across_pages(i))
			continue;
		memory[i] = zs_obj_read_begin(pool, object[i].handle, object[i].size, NULL);
		read++;
	}
	for (size_t i = 0; i < OBJECTS; i++) {
		if (memory[i])
			continue;
		zs_free(pool, object[i].handle);
		object[i].handle = 0;
	}
	assert_true(read > 0 || page_size() == PORT_CHUNK_SIZE);
	zs_compact(pool);
	check_invariants(pool, read, read);
	for (size_t i = 0; i < OBJECTS; i++)
		if (memory[i])
			zs_obj_read_end(pool, object[i].handle, object[i].size, memory[i]);
	assert_int_equal(check_objects(), read);
	assert_int_equal(misuses_of(pool), 0);
	free(memory);
	teardown_pool();
}

/* A zspage that is full is not moved by compaction: only its number is changed. */
static void test_moves_no_object(void **state)
{
	struct size_class *class;
	unsigned long *handles;
	size_t count;
	void *before;
	u32 number;

	(void)state;
	pool = make_lazy_pool();
	class = class_for(&pool->classes, page_size());
	count = 1000UL * class->geometry.slots;
	handles = objects_make(pool, page_size(), count);
	number = number_of(handles[count - 1]);
	before = zspage_at(&pool->zspages, number)->chain.base;
	for (size_t i = 0; i < count - class->geometry.slots; i++)
		zs_free(pool, handles[i]);
	zs_compact(pool);
	assert_true(number_of(handles[count - 1]) < number);
	assert_ptr_equal(zspage_at(&pool->zspages, number_of(handles[count - 1]))->chain.base,
			 before);
	assert_true(object_holds(pool, handles[count - 1], page_size(), count - 1));
	check_invariants(pool, class->geometry.slots, 0);
	free(handles);
	zs_destroy_pool(pool);
}

/* Who was late has a descriptor pinned that has died: its page stays until the pin is gone. */
static void test_late_pin(void **state)
{
	struct zspage *zspage;

	(void)state;
	setup_pool();
	zspage = zspage_at(&pool->zspages, number_of(object[0].handle));
	assert_true(zspage_pin(zspage));
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free(pool, object[i].handle);
	zs_compact(pool);
	assert_int_equal(zspage_pins(zspage), 1);
	assert_false(zspage_pin(zspage));
	assert_true(descriptors_bytes(&pool->zspages) > 0);
	zspage_unpin(zspage);
	zs_compact(pool);
	assert_int_equal(descriptors_bytes(&pool->zspages), 0);
	check_empty(pool);
	teardown_pool();
}

/* Nobody is given a descriptor that is just being discarded. */
static void test_stored_while_discarded(void **state)
{
	(void)state;
	setup_pool();
	for (unsigned int round = 0; round < 5; round++) {
		free_most();
		meanwhile = store_the_rest;
		zs_compact(pool);
		meanwhile = NULL;
		assert_int_equal(check_objects(), OBJECTS);
		check_invariants(pool, OBJECTS, 0);
	}
	teardown_pool();
}

static struct zspages *grown; /* whose table of lines others grow at the same time */
static u32 growers; /* that are still to come */

int __real_table_grow(struct table *table, gfp_t flags, u32 *number);
int __wrap_table_grow(struct table *table, gfp_t flags, u32 *number);

/* There is memory to say of one chunk of chunks how they are cut, and not of a second. */
int __wrap_table_grow(struct table *table, gfp_t flags, u32 *number)
{
	if (grown && table == &grown->chunks && table->chunks)
		return -ENOMEM;
	if (grown && table == &grown->lines && growers) {
		growers--;
		descriptor_alloc(grown, 1, flags);
	}
	return __real_table_grow(table, flags, number);
}

/* One more wants a chunk of lines than there is room to say how it is cut: none is added, and lost. */
static void test_grown_by_many(void **state)
{
	const u32 room = (u32)(PORT_CHUNK_SIZE / sizeof(struct zspage_chunk));
	struct classes none = { .count = 0 };
	struct zspages *zspages = calloc(1, sizeof(*zspages));

	(void)state;
	assert_non_null(zspages);
	assert_int_equal(zspages_init(zspages), 0);
	grown = zspages;
	growers = room;
	assert_int_not_equal(descriptor_alloc(zspages, 1, GFP_KERNEL), 0);
	grown = NULL;
	assert_int_equal(growers, 0);
	assert_int_equal(table_size(&zspages->lines, PORT_CHUNK_SIZE), room);
	assert_int_equal(zspages->of[1].alive, room);

	/* Once there is memory, they go on. */
	assert_int_not_equal(descriptor_alloc(zspages, 2, GFP_KERNEL), 0);
	assert_int_equal(table_size(&zspages->lines, PORT_CHUNK_SIZE), room + 1);
	zspages_destroy(zspages, &none);
	free(zspages);
}

static bool use_now;

static bool is_wanted(void *arg)
{
	struct port_lock *lock = arg;

	return atomic_read(&lock->state) == PORT_LOCK_WANTED;
}

static struct object *used[3]; /* while their zspage is renumbered: freed, freed in bulk, read */
static pthread_t user[3];

static void *use(void *arg)
{
	struct object **use = arg;
	size_t i = (size_t)(*use - object);

	if (use == &used[0])
		zs_free(pool, (*use)->handle);
	else if (use == &used[1])
		zs_free_bulk(pool, &(*use)->handle, 1);
	else
		return object_holds(pool, (*use)->handle, (*use)->size, i) ? use : NULL;
	return use;
}

/* Some of the objects in a zspage that can be freed. */
static bool find_used(u32 number)
{
	unsigned int count = 0;

	for (size_t i = 0; i < OBJECTS && count < 3; i++)
		if (object[i].handle && number_of(object[i].handle) == number)
			used[count++] = &object[i];
	if (count < 3)
		used[0] = NULL;
	return count == 3;
}

void __real_zspage_replace(struct zspages *zspages, struct size_class *class, u32 number, u32 by);
void __wrap_zspage_replace(struct zspages *zspages, struct size_class *class, u32 number, u32 by);

/* Each user comes to where it can't go on but for the class lock, which this thread has. */
void __wrap_zspage_replace(struct zspages *zspages, struct size_class *class, u32 number, u32 by)
{
	if (use_now && !used[0] && find_used(number))
		for (unsigned int i = 0; i < 3; i++) {
			atomic_set(&class->lock.state,
				   PORT_LOCK_HELD); /* as if nobody waited yet */
			assert_int_equal(pthread_create(&user[i], NULL, use, &used[i]), 0);
			assert_true(wait_for(is_wanted, &class->lock));
		}
	__real_zspage_replace(zspages, class, number, by);
}

/* An object is freed, or read, that has just been given another number: where it is then. */
static void test_used_while_renumbered(void **state)
{
	(void)state;
	setup_pool();
	free_most();
	memset(used, 0, sizeof(used));
	use_now = true;
	zs_compact(pool);
	use_now = false;
	assert_non_null(used[0]);
	for (unsigned int i = 0; i < 3; i++) {
		void *result;

		assert_int_equal(pthread_join(user[i], &result), 0);
		assert_ptr_equal(result, &used[i]);
	}
	used[0]->handle = 0;
	used[1]->handle = 0;
	assert_int_equal(misuses_of(pool), 0);
	check_invariants(pool, check_objects(), 0);
	teardown_pool();
}

#define KEPT 500
#define TURNS 20

struct job {
	pthread_t thread;
	uint64_t seed;
	bool failed;
};

static atomic_uint running;

/* Whatever is renumbered, the objects that stay read as they were written. */
static void *read_kept(void *arg)
{
	struct job *job = arg;

	while (atomic_load(&running) > 1) {
		size_t i = next_random(&job->seed) % KEPT;

		if (!object_holds(pool, object[i].handle, object[i].size, i))
			job->failed = true;
	}
	return NULL;
}

/* Store a part of the objects, and free most of them in all ways, again and again. */
static void *churn(void *arg)
{
	struct job *job = arg;
	size_t first = KEPT + (size_t)(job->seed & 1) * (OBJECTS - KEPT) / 2;

	for (unsigned int turn = 0; turn < TURNS; turn++) {
		for (size_t i = first; i < first + (OBJECTS - KEPT) / 2; i++) {
			if (!object[i].handle) {
				store(i);
				continue;
			}
			if (!object_holds(pool, object[i].handle, object[i].size, i))
				job->failed = true;
			if (turn % 2 && next_random(&job->seed) % 20) {
				if (i % 2)
					zs_free(pool, object[i].handle);
				else
					zs_free_deferred(pool, object[i].handle);
				object[i].handle = 0;
			}
		}
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void test_beside_others(void **state)
{
	struct job jobs[4];

	(void)state;
	setup_pool();
	atomic_store(&running, 3); /* those that churn, and this one */
	for (unsigned int i = 0; i < 4; i++) {
		jobs[i] = (struct job){ .seed = next_random(&state_of_random) | 1 };
		if (i < 2)
			jobs[i].seed ^= i;
		assert_int_equal(
			pthread_create(&jobs[i].thread, NULL, i < 2 ? churn : read_kept, &jobs[i]),
			0);
	}
	while (atomic_load(&running) > 1)
		zs_compact(pool);
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(jobs[i].thread, NULL);
		assert_false(jobs[i].failed);
	}
	assert_int_equal(misuses_of(pool), 0);
	zs_compact(pool);
	check_bytes();
	check_invariants(pool, check_objects(), 0);
	teardown_pool();
}

static int setup(void **state)
{
	(void)state;
	state_of_random = random_seed();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_back),    cmocka_unit_test(test_all_and_nothing),
		cmocka_unit_test(test_misuse),	      cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_across_pages),  cmocka_unit_test(test_moves_no_object),
		cmocka_unit_test(test_late_pin),      cmocka_unit_test(test_stored_while_discarded),
		cmocka_unit_test(test_beside_others), cmocka_unit_test(test_used_while_renumbered),
		cmocka_unit_test(test_grown_by_many),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
