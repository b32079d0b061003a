/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Entries of which few are live are folded when a pool is compacted, and their memory goes back to the
 * system. Their handles are what they were: good ones find their objects, wrong ones are told apart; and free
 * entries are used again before there are new ones. (Reaches inside: src/pool.h. Wraps port_discard(), to
 * use the pool in the middle of it.)
 */
#include "helpers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "invariants.h"
#include "pool.h"

#define OBJECTS 40000
#define KEEP_ONE_IN 20

struct object {
	unsigned long handle; /* 0 for none */
	unsigned long stale; /* what it was before */
	size_t size;
};

static struct zs_pool *pool;
static struct object object[OBJECTS];
static uint64_t state_of_random;
static void (*meanwhile)(void); /* called before the memory goes */

void __real_port_discard(void *memory, size_t size);
void __wrap_port_discard(void *memory, size_t size);

void __wrap_port_discard(void *memory, size_t size)
{
	if (meanwhile)
		meanwhile();
	__real_port_discard(memory, size);
}

static void store(size_t i)
{
	object[i].handle = object_make(pool, object[i].size, i);
}

static void setup_pool(void)
{
	pool = make_pool((struct zs_pool_options){
		.compact_share = ZS_COMPACT_NEVER, /* it is zs_compact() that is looked at */
		.deferred_delay_ms = NEVER_MS,
		.misuse = ZS_MISUSE_COUNT,
	});
	memset(object, 0, sizeof(object));
	for (size_t i = 0; i < OBJECTS; i++) {
		object[i].size = 64 + next_random(&state_of_random) % 1000;
		store(i);
	}
}

static void lose(size_t i)
{
	object[i].stale = object[i].handle;
	object[i].handle = 0;
}

/* Free an object, in each of the ways that there are. */
static void drop(size_t i)
{
	switch (i % 3) {
	case 0:
		zs_free(pool, object[i].handle);
		break;
	case 1:
		zs_free_deferred(pool, object[i].handle);
		break;
	default:
		zs_free_bulk(pool, &object[i].handle, 1);
	}
	lose(i);
}

static void drop_most(void)
{
	for (size_t i = 0; i < OBJECTS; i++)
		if (object[i].handle && next_random(&state_of_random) % KEEP_ONE_IN)
			drop(i);
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

/* No handle that was good once is taken for one that is. */
static void check_stale(void)
{
	unsigned long before = misuses_of(pool), stales = 0;

	for (size_t i = 0; i < OBJECTS; i++) {
		if (!object[i].stale)
			continue;
		zs_free(pool, object[i].stale);
		assert_null(zs_obj_read_begin(pool, object[i].stale, 1, NULL));
		stales += 2;
	}
	assert_int_equal(misuses_of(pool), before + stales);
}

static size_t resident(void)
{
	const struct table *entries = &pool->handles.entries;
	size_t pages = 0;

	for (u32 chunk = 0; chunk < entries->chunks; chunk++) {
		unsigned char there[PORT_CHUNK_SIZE / 4096];

		assert_int_equal(mincore(table_chunk(entries, chunk), PORT_CHUNK_SIZE, there), 0);
		for (size_t i = 0; i < PORT_CHUNK_SIZE / page_size(); i++)
			pages += there[i] & 1;
	}
	return pages * page_size();
}

static void test_folded_and_unfolded(void **state)
{
	u32 chunks;

	(void)state;
	setup_pool();
	chunks = pool->handles.entries.chunks;
	for (unsigned int round = 0; round < 4; round++) {
		size_t before = resident(), left;

		drop_most();
		zs_compact(pool);
		assert_true(pool->handles.folded_pages >= OBJECTS * 8 / page_size() * 8 / 10);
		/* Later on some that are still folded have been looked at: then zeros are there. */
		if (round == 0)
			assert_int_equal(resident(),
					 before - pool->handles.folded_pages * page_size());
		left = check_objects();
		check_invariants(pool, left, 0);
		store_the_rest();
		assert_int_equal(check_objects(), OBJECTS);
		check_invariants(pool, OBJECTS, 0);
		assert_int_equal(pool->handles.entries.chunks, chunks);
	}
	zs_destroy_pool(pool);
}

static void test_stale(void **state)
{
	(void)state;
	setup_pool();
	for (unsigned int round = 0; round < 3; round++) {
		drop_most();
		zs_compact(pool);
		check_stale();
		store_the_rest();
		check_stale();
		assert_int_equal(check_objects(), OBJECTS);
		check_invariants(pool, OBJECTS, 0);
	}
	zs_destroy_pool(pool);
}

/* Objects whose entries are folded are moved, and their zspages are given other numbers. */
static void test_compacted_while_folded(void **state)
{
	(void)state;
	setup_pool();
	drop_most();
	zs_compact(pool);
	for (unsigned int round = 0; round < 3; round++) {
		for (size_t i = 0; i < OBJECTS; i++)
			if (object[i].handle && next_random(&state_of_random) % 2)
				drop(i);
		zs_compact(pool);
		check_invariants(pool, check_objects(), 0);
		check_stale();
	}
	for (size_t i = 0; i < OBJECTS; i++)
		if (object[i].handle)
			drop(i);
	zs_free_deferred_flush(pool);
	check_stale();
	check_empty(pool);
	store_the_rest();
	check_invariants(pool, check_objects(), 0);
	zs_destroy_pool(pool);
}

/* What is pinned stays pinned where it is, folded or not. */
static void test_read_while_folded(void **state)
{
	void **memory = calloc(OBJECTS, sizeof(*memory));
	size_t read = 0;

	(void)state;
	assert_non_null(memory);
	setup_pool();
	drop_most();
	zs_free_deferred_flush(pool);
	for (size_t i = 0; i < OBJECTS; i += 7)
		if (object[i].handle) {
			memory[i] = zs_obj_read_begin(pool, object[i].handle, object[i].size, NULL);
			read++;
		}
	zs_compact(pool);
	assert_true(pool->handles.folded_pages > 0);
	check_invariants(pool, check_objects(), read);
	for (size_t i = 0; i < OBJECTS; i++)
		if (memory[i]) {
			assert_true(random_is(memory[i], object[i].size, i));
			zs_obj_read_end(pool, object[i].handle, object[i].size, memory[i]);
		}
	assert_int_equal(misuses_of(pool), 0);
	free(memory);
	zs_destroy_pool(pool);
}

/* For handles_fold(): there is nobody to wait for. */
static void nobody_else(void *arg)
{
	(void)arg;
}

/* An entry that hosts a chunk of the deferred queue keeps its page, until that is drained. */
static void test_hosts(void **state)
{
	(void)state;
	setup_pool();
	for (size_t i = 0; i < OBJECTS; i++)
		if (next_random(&state_of_random) % KEEP_ONE_IN) {
			zs_free_deferred(pool, object[i].handle);
			lose(i);
		}
	handles_destock(&pool->handles);
	handles_fold(&pool->handles, nobody_else, NULL);
	zs_free_deferred_flush(pool);
	assert_int_equal(misuses_of(pool), 0);
	check_invariants(pool, check_objects(), 0);
	zs_destroy_pool(pool);
}

/* Objects whose entries are folded are deferred like others, and host the queue's chunks. */
static void test_deferred_while_folded(void **state)
{
	struct deferred_stats stats;
	size_t deferred = 0;

	(void)state;
	setup_pool();
	drop_most();
	zs_compact(pool);
	assert_true(pool->handles.folded_pages > 0);
	pool_pause(pool); /* nothing is drained meanwhile */
	for (size_t i = 0; i < OBJECTS; i++)
		if (object[i].handle) {
			zs_free_deferred(pool, object[i].handle);
			lose(i);
			deferred++;
		}
	assert_true(deferred > 2 * DEFERRED_SPARE);
	deferred_stats(&pool->deferred, &stats);
	/* Many are small, and not each of the others may host when one is wanted. */
	assert_in_range(stats.pending, deferred - deferred / 20, deferred);
	pool_resume(pool);
	zs_free_deferred_flush(pool);
	assert_int_equal(misuses_of(pool), 0);
	check_stale();
	check_empty(pool);
	zs_destroy_pool(pool);
}

static size_t dying[OBJECTS]; /* objects, and how many */
static size_t dying_count;

/* For handles_fold(): who had the lock of an object's class lets its entry die, which has just been taken. */
static void die_late(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < dying_count; i++) {
		u32 index = (u32)object[dying[i]].handle;
		atomic64_t *entry = handle_entry_at(&pool->handles, index);

		if (atomic64_read(entry) == 0) {
			atomic64_set(entry, handle_word(&pool->handles, index) & ~ENTRY_LIVE);
			object[dying[i]].stale = object[dying[i]].handle;
		}
	}
}

/* Whether an object that died late is dead, wherever its entry is; then have it be as it was. */
static bool is_dead(size_t i)
{
	u32 index = (u32)object[i].handle;
	u64 word = handle_word(&pool->handles, index);
	bool dead = !(word & ENTRY_LIVE) && entry_gen(word) == handle_gen(object[i].handle);

	zs_free(pool, object[i].handle);
	if (atomic64_read(handle_entry_at(&pool->handles, index)))
		atomic64_set(handle_entry_at(&pool->handles, index), word | ENTRY_LIVE);
	else
		handle_change_folded(&pool->handles, index, word, word | ENTRY_LIVE, true);
	return dead;
}

/* Entries that die when they are already taken are dead, whether their page is folded then or not. */
static void test_dies_when_taken(void **state)
{
	unsigned long misuses;
	size_t dead = 0;

	(void)state;
	setup_pool();
	drop_most();
	zs_free_deferred_flush(pool);
	handles_destock(&pool->handles);
	dying_count = 0;
	for (size_t i = 0; i < OBJECTS; i++)
		if (object[i].handle) {
			object[i].stale = 0;
			if (dying_count < OBJECTS && i % 3 == 0)
				dying[dying_count++] = i;
		}
	handles_fold(&pool->handles, die_late, NULL);
	assert_true(pool->handles.folded_pages > 0);
	misuses = misuses_of(pool);
	for (size_t i = 0; i < dying_count; i++)
		if (object[dying[i]].stale) {
			assert_true(is_dead(dying[i]));
			dead++;
		}
	assert_true(dead > 100);
	assert_int_equal(misuses_of(pool) - misuses, dead);
	check_invariants(pool, check_objects(), 0);
	zs_destroy_pool(pool);
}

/* Whoever may not wait for a page's lock is told that an entry is not there, and changes nothing. */
static void test_not_waiting(void **state)
{
	size_t folded = 0;

	(void)state;
	setup_pool();
	drop_most();
	zs_compact(pool);
	for (size_t i = 0; i < OBJECTS; i++) {
		struct handles *handles = &pool->handles;
		u32 index = (u32)object[i].handle;
		struct port_lock *lock;
		atomic64_t *entry;
		u64 word;

		if (!object[i].handle)
			continue;
		entry = handle_entry_at(handles, index);
		word = handle_word(handles, index);
		if (atomic64_read(entry) == word)
			continue;
		folded++;
		lock = &handles->page_lock[index / (page_size() / sizeof(*entry)) %
					   HANDLE_PAGE_LOCKS];
		port_lock(lock);
		assert_int_equal(entry_look(handles, entry, index, false), 0);
		assert_false(entry_kill_shared(handles, entry, index, word, false));
		port_unlock(lock);
		assert_int_equal(entry_look(handles, entry, index, false), word);
		assert_int_equal(handle_word(handles, index), word);
	}
	assert_true(folded > 0);
	check_invariants(pool, check_objects(), 0);
	zs_destroy_pool(pool);
}

/* The folds of pages that are not folded any more go, and are counted no more. */
static void test_spent(void **state)
{
	const struct handles *handles;
	u64 pages, bytes;

	(void)state;
	setup_pool();
	handles = &pool->handles;
	drop_most();
	zs_compact(pool);
	pool_pause(pool); /* it is this thread that trims */
	pages = handles->folded_pages;
	bytes = handles->folded_bytes;
	assert_true(bytes >= pages * sizeof(u64));
	store_the_rest();
	assert_true(handles->folded_pages * 8 < pages); /* not all are needed, perhaps */
	pool_trim(pool, false);
	assert_null(handles->spent);
	assert_true(handles->folded_bytes * 4 < bytes);
	pool_resume(pool);
	check_invariants(pool, check_objects(), 0);
	zs_destroy_pool(pool);
}

/* Nobody is given an entry of a page that is just being discarded. */
static void test_stored_while_discarded(void **state)
{
	(void)state;
	setup_pool();
	for (unsigned int round = 0; round < 3; round++) {
		drop_most();
		meanwhile = store_the_rest;
		zs_compact(pool);
		meanwhile = NULL;
		assert_int_equal(check_objects(), OBJECTS);
		check_invariants(pool, OBJECTS, 0);
		check_stale();
	}
	zs_destroy_pool(pool);
}

/* An entry that is in a lane's stock may be handed out at any time: its page is left. */
static void test_stocked(void **state)
{
	const struct handle_lane *lane;

	(void)state;
	setup_pool();
	/* Last those in the middle, whose pages could be folded. */
	for (size_t k = 0; k < OBJECTS; k++) {
		size_t i = (k + OBJECTS / 2) % OBJECTS;

		if (next_random(&state_of_random) % KEEP_ONE_IN) {
			zs_free(pool, object[i].handle);
			lose(i);
		}
	}
	lane = handle_own(&pool->handles, port_lane_claim());
	assert_false(handle_stock_empty(&lane->freed));
	handles_fold(&pool->handles, nobody_else, NULL);
	assert_false(handle_block_at(&pool->handles, lane->freed.block)->folded);
	assert_true(pool->handles.folded_pages > 0);
	check_invariants(pool, check_objects(), 0);
	store_the_rest();
	check_invariants(pool, check_objects(), 0);
	check_stale();
	zs_destroy_pool(pool);
}

/* An entry that came back while its page is folded is in stock, and is not handed out from there. */
static void test_came_back_folded(void **state)
{
	struct handles *handles;
	unsigned long handle;
	size_t i = 0;

	(void)state;
	setup_pool();
	handles = &pool->handles;
	drop_most();
	zs_compact(pool);
	while (!object[i].handle ||
	       !handle_block_at(handles, (u32)object[i].handle / HANDLE_BLOCK)->folded)
		assert_true(++i < OBJECTS);
	zs_free(pool, object[i].handle);
	assert_int_equal(handle_own(handles, port_lane_claim())->freed.block,
			 (u32)object[i].handle / HANDLE_BLOCK);
	lose(i);
	handle = object_alloc(pool, 100);
	assert_false(handle_block_at(handles, (u32)handle / HANDLE_BLOCK)->folded);
	zs_free(pool, handle);
	check_invariants(pool, check_objects(), 0);
	check_stale();
	zs_destroy_pool(pool);
}

#define KEPT 500
#define TURNS 12

struct job {
	pthread_t thread;
	uint64_t seed;
	unsigned int part;
	bool failed;
};

static atomic_uint running;

static void *read_kept(void *arg)
{
	struct job *job = arg;

	while (atomic_load(&running) > 1) {
		size_t i = next_random(&job->seed) % KEPT * (OBJECTS / KEPT);

		if (!object_holds(pool, object[i].handle, object[i].size, i))
			job->failed = true;
	}
	return NULL;
}

/* Store half of the objects, but for those that are kept, and free most of them, again and again. */
static void *churn(void *arg)
{
	struct job *job = arg;

	for (unsigned int turn = 0; turn < TURNS; turn++)
		for (size_t i = job->part; i < OBJECTS; i += 2) {
			if (i % (OBJECTS / KEPT) == 0)
				continue;
			if (!object[i].handle && turn % 2)
				store(i);
			else if (object[i].handle && !(turn % 2) &&
				 next_random(&job->seed) % KEEP_ONE_IN)
				drop(i);
			else if (object[i].handle &&
				 !object_holds(pool, object[i].handle, object[i].size, i))
				job->failed = true;
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
		jobs[i] = (struct job){ .seed = next_random(&state_of_random), .part = i };
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
	zs_free_deferred_flush(pool);
	assert_int_equal(misuses_of(pool), 0);
	check_invariants(pool, check_objects(), 0);
	zs_destroy_pool(pool);
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
		cmocka_unit_test(test_folded_and_unfolded),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_compacted_while_folded),
		cmocka_unit_test(test_read_while_folded),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_deferred_while_folded),
		cmocka_unit_test(test_dies_when_taken),
		cmocka_unit_test(test_not_waiting),
		cmocka_unit_test(test_spent),
		cmocka_unit_test(test_stored_while_discarded),
		cmocka_unit_test(test_stocked),
		cmocka_unit_test(test_came_back_folded),
		cmocka_unit_test(test_beside_others),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
