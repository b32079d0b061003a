/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * An object is freed once, whoever else is at it: of two threads that free it one wins, and the
 * other is told; and what is just being moved is freed where it comes to be.
 *
 * Who frees an object looks where it is, and then waits for the lock of its class. To stop them in between the
 * test reaches inside, and has the lock; to stop who is about to change an entry, the entries are made such that
 * they may be read only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "faults.h"
#include "invariants.h"
#include "pool.h"
#include "random.h"

#define OBJECTS 1000
#define RACES 30
#define ROUNDS 1500
#define SLOTS 8 /* of a zspage of one page */

static struct zs_pool *pool;

static void setup_pool(void)
{
	const struct zs_pool_options options = {
		.size = sizeof(options),
		.deferred_delay_ms = 3600 * 1000,
		.max_chain = 1,
		.misuse = ZS_MISUSE_COUNT,
	};

	pool = zs_create_pool_with("free_race", &options);
	assert_non_null(pool);
}

static unsigned long store(size_t size)
{
	unsigned long handle = zs_malloc(pool, size, GFP_KERNEL, NUMA_NO_NODE);

	assert_false(zs_is_err(handle));
	return handle;
}

static unsigned long misuses(void)
{
	struct zs_pool_stats stats;

	zs_pool_stats(pool, &stats);
	return stats.misuses;
}

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* What each misuse says on stderr is not looked at here. Returns what to give to listen(). */
static int deafen(void)
{
	int told = dup(STDERR_FILENO);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_true(told >= 0 && null >= 0);
	assert_int_equal(dup2(null, STDERR_FILENO), STDERR_FILENO);
	close(null);
	return told;
}

static void listen(int told)
{
	dup2(told, STDERR_FILENO);
	close(told);
}

static void *free_in_thread(void *handle)
{
	zs_free(pool, *(unsigned long *)handle);
	return NULL;
}

static void *free_in_bulk_in_thread(void *handle)
{
	zs_free_bulk(pool, handle, 1);
	return NULL;
}

static void *free_deferred_in_thread(void *handle)
{
	zs_free_deferred(pool, *(unsigned long *)handle);
	zs_free_deferred_flush(pool);
	return NULL;
}

static bool is_wanted(const struct size_class *class)
{
	return atomic_read(&class->lock.state) == PORT_LOCK_WANTED;
}

/* Start a thread that frees an object, and wait until it waits for the lock of the class, which is held. */
static pthread_t start_and_wait(void *(*start)(void *arg), unsigned long *handle,
				struct size_class *class)
{
	pthread_t thread;

	atomic_set(&class->lock.state, PORT_LOCK_HELD); /* as if nobody waited yet */
	assert_int_equal(pthread_create(&thread, NULL, start, handle), 0);
	while (!is_wanted(class))
		sched_yield();
	return thread;
}

static void end(pthread_t thread)
{
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static bool is_live(unsigned long handle)
{
	return atomic64_read(handle_entry(&pool->handles, handle)) & ENTRY_LIVE;
}

/* Start a thread that is then about to change an entry. */
static pthread_t start_and_stop(void *(*start)(void *arg), void *arg)
{
	pthread_t thread;

	faults_begin();
	protect_table(&pool->handles.entries, PROT_READ);
	assert_int_equal(pthread_create(&thread, NULL, start, arg), 0);
	fault_await();
	protect_table(&pool->handles.entries, PROT_READ | PROT_WRITE);
	return thread;
}

static void release(pthread_t thread)
{
	fault_release();
	assert_int_equal(pthread_join(thread, NULL), 0);
	faults_end();
}

/* Nothing of a batch is left for the next one, and each handle was given back once. */
static void drain_others(void)
{
	unsigned long handle[4 * HANDLE_BLOCK];

	handles_destock(&pool->handles);
	for (unsigned int i = 0; i < 4 * HANDLE_BLOCK; i++)
		handle[i] = store(1000);
	for (unsigned int i = 0; i < 4 * HANDLE_BLOCK; i++)
		zs_free_deferred(pool, handle[i]);
	zs_free_deferred_flush(pool);
}

/* Both have looked at the object, which is there, when one of them comes to free it. */
static void both_have_looked(size_t size, void *(*one)(void *arg), void *(*other)(void *arg))
{
	unsigned long handle, neighbour;
	struct size_class *class;
	pthread_t thread[2];
	int told;

	setup_pool();
	handle = store(size);
	neighbour = store(size);
	class = class_for(&pool->classes, size);
	told = deafen();
	port_lock(&class->lock);
	thread[0] = start_and_wait(one, &handle, class);
	thread[1] = start_and_wait(other, &handle, class);
	port_unlock(&class->lock);
	end(thread[0]);
	end(thread[1]);
	listen(told);
	drain_others();
	assert_int_equal(misuses(), 1);
	check_invariants(pool, 1, 0);
	zs_free(pool, neighbour);
	check_empty(pool);
	zs_destroy_pool(pool);
}

static void test_both_have_looked(void **state)
{
	(void)state;
	for (size_t size = 100; size <= 1000; size += 900) { /* may host, and may not */
		both_have_looked(size, free_in_thread, free_in_thread);
		both_have_looked(size, free_in_thread, free_in_bulk_in_thread);
		both_have_looked(size, free_in_bulk_in_thread, free_in_bulk_in_thread);
		both_have_looked(size, free_in_thread, free_deferred_in_thread);
	}
}

/* The object is in another slot when its turn comes. */
static void moved_meanwhile(void *(*start)(void *arg))
{
	struct zspages *zspages;
	unsigned long handle;
	struct size_class *class;
	pthread_t freeing;
	u32 index, number;
	u64 word;
	u8 to;

	setup_pool();
	zspages = &pool->zspages;
	handle = store(1000);
	index = (u32)handle;
	class = class_for(&pool->classes, 1000);
	port_lock(&class->lock);
	freeing = start_and_wait(start, &handle, class);
	word = handle_word(&pool->handles, index);
	number = entry_zspage(word);
	to = zspage_take(zspages, class, number, index);
	assert_int_not_equal(to, entry_slot(word));
	handle_move(&pool->handles, index, word,
		    entry_make(entry_gen(word), class->index, number, to));
	zspage_put(zspages, class, zspage_at(zspages, number), number, entry_slot(word));
	port_unlock(&class->lock);
	end(freeing);
	check_empty(pool);
	drain_others();
	assert_int_equal(misuses(), 0);
	check_empty(pool);
	zs_destroy_pool(pool);
}

static void test_moved_meanwhile(void **state)
{
	(void)state;
	moved_meanwhile(free_in_thread);
	moved_meanwhile(free_in_bulk_in_thread);
	moved_meanwhile(free_deferred_in_thread);
}

/* Under the class lock: free an object, all but its handle. */
static void forget(struct size_class *class, unsigned long handle)
{
	u64 word = handle_word(&pool->handles, (u32)handle);
	u32 number = entry_zspage(word);

	assert_true(entry_kill(&pool->handles, handle_entry(&pool->handles, handle), (u32)handle,
			       word));
	zspage_put(&pool->zspages, class, zspage_at(&pool->zspages, number), number,
		   entry_slot(word));
	class->objects--;
}

/* Have a free entry live again, of an object beside another. Nobody else is at work in that class. */
static unsigned long remember(struct size_class *class, u32 index, unsigned long beside)
{
	u32 number = entry_zspage(handle_word(&pool->handles, (u32)beside));
	u8 slot = zspage_take(&pool->zspages, class, number, index);

	class->objects++;
	return handle_open(&pool->handles, index, class->index, number, slot);
}

/*
 * When its turn comes the object has been freed, and its handle's entry is that of an object of another class: the
 * second free is noticed, and leaves that object alone.
 */
static void reused_in_another_class(void *(*start)(void *arg))
{
	unsigned long handle, neighbour[2], other;
	struct size_class *class, *its_class;
	pthread_t freeing;
	int told;

	setup_pool();
	handle = store(1000);
	neighbour[0] = store(1000);
	neighbour[1] = store(2000);
	class = class_for(&pool->classes, 1000);
	its_class = class_for(&pool->classes, 2000);
	told = deafen();
	port_lock(&class->lock);
	freeing = start_and_wait(start, &handle, class);
	forget(class, handle);
	other = remember(its_class, (u32)handle, neighbour[1]);
	port_unlock(&class->lock);
	end(freeing);
	listen(told);
	drain_others();
	assert_int_equal(misuses(), 1);
	check_invariants(pool, 3, 0);
	zs_free(pool, other);
	zs_free(pool, neighbour[0]);
	zs_free(pool, neighbour[1]);
	check_empty(pool);
	zs_destroy_pool(pool);
}

static void test_reused_in_another_class(void **state)
{
	(void)state;
	reused_in_another_class(free_in_thread);
	reused_in_another_class(free_in_bulk_in_thread);
	reused_in_another_class(free_deferred_in_thread);
}

/* Who is just freeing an object finds that a producer has it host a chunk, which waits for no lock. */
static void test_hosts_meanwhile(void **state)
{
#ifdef __SANITIZE_THREAD__
	(void)state;
	skip();
#endif
	unsigned long handle;
	pthread_t freeing;
	int told;

	(void)state;
	setup_pool();
	handle = host_make(pool, 1000, 1);
	told = deafen();
	freeing = start_and_stop(free_in_thread, &handle);
	zs_free_deferred(pool, handle);
	release(freeing);
	listen(told);
	assert_int_equal(misuses(), 1);
	check_empty(pool);
	zs_destroy_pool(pool);
}

static unsigned long raced[OBJECTS];
static atomic_uint arrived;

static void free_one(unsigned long handle)
{
	zs_free(pool, handle);
}

static void free_one_deferred(unsigned long handle)
{
	zs_free_deferred(pool, handle);
}

static void free_one_in_bulk(unsigned long handle)
{
	zs_free_bulk(pool, &handle, 1);
}

/* Side by side with the other thread, as far as that goes. */
static void *free_all(void *how)
{
	void (*free_it)(unsigned long handle) = *(void (**)(unsigned long handle))how;

	for (unsigned int i = 0; i < OBJECTS; i++) {
		atomic_fetch_add(&arrived, 1);
		for (unsigned int spins = 0; atomic_load(&arrived) < 2 * (i + 1); spins++)
			if (spins > 100)
				sched_yield();
		free_it(raced[i]);
	}
	return NULL;
}

static void race(size_t size, void (*one)(unsigned long handle),
		 void (*other)(unsigned long handle))
{
	pthread_t thread;
	int told;

	setup_pool();
	told = deafen();
	for (unsigned int i = 0; i < OBJECTS; i++)
		raced[i] = store(size);
	atomic_store(&arrived, 0);
	assert_int_equal(pthread_create(&thread, NULL, free_all, &other), 0);
	free_all(&one);
	assert_int_equal(pthread_join(thread, NULL), 0);
	zs_free_deferred_flush(pool);
	listen(told);
	assert_int_equal(misuses(), OBJECTS);
	check_empty(pool);
	zs_destroy_pool(pool);
}

static void test_one_of_two_frees_wins(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < RACES; i++) {
		size_t size = i % 2 ? 100 : 1000;

		race(size, free_one, free_one);
		race(size, free_one, free_one_in_bulk);
		race(size, free_one, free_one_deferred);
	}
}

static atomic_uint
	ready; /* to be stopped: a thread that is only starting may hold locks of malloc()'s */
static atomic_uint asked; /* to compact */
static atomic_uint done;
static atomic_uint stopped; /* in the signal's handler */
static atomic_uint released;
static atomic_bool stop;

static void wait_to_be_released(int signal)
{
	unsigned int turn = atomic_load(&asked);

	(void)signal;
	atomic_store(&stopped, turn);
	while (atomic_load(&released) != turn)
		sched_yield();
}

static void wait_until_at_least(const atomic_uint *counter, unsigned int value)
{
	while (atomic_load(counter) < value)
		sched_yield();
}

static void *compact_when_asked(void *arg)
{
	atomic_store(&ready, 1);
	for (unsigned int turn = 1; turn <= ROUNDS; turn++) {
		wait_until_at_least(&asked, turn);
		zs_compact(pool);
		atomic_store(&done, turn);
	}
	while (!atomic_load(&stop)) /* the last signal may still come */
		sched_yield();
	return arg;
}

/* While the compacting thread is stopped somewhere: the free gets as far as it can without it. */
static void free_meanwhile(unsigned long handle, unsigned int turn)
{
	const struct size_class *class = class_for(&pool->classes, page_size() / SLOTS);
	pthread_t freeing;

	assert_int_equal(pthread_create(&freeing, NULL, free_in_thread, &handle), 0);
	while (is_live(handle) && !is_wanted(class))
		sched_yield();
	atomic_store(&released, turn);
	end(freeing);
	wait_until_at_least(&done, turn);
}

/* Two zspages' objects: three in one, and room for them in the other, so that all of them move. */
static void make_sparse(unsigned long *handle)
{
	for (unsigned int i = 0; i < 2 * SLOTS; i++)
		handle[i] = store(page_size() / SLOTS);
	for (unsigned int i = 3; i < SLOTS + 3; i++)
		zs_free(pool, handle[i]);
}

static void free_all_but(const unsigned long *handle, unsigned int gone)
{
	for (unsigned int i = 0; i < 2 * SLOTS; i++)
		if ((i < 3 && i != gone) || i >= SLOTS + 3)
			zs_free(pool, handle[i]);
}

static u8 slot_of(unsigned long handle)
{
	return entry_slot((u64)atomic64_read(handle_entry(&pool->handles, handle)));
}

static void *compact(void *arg)
{
	zs_compact(pool);
	return arg;
}

static void test_stopped_in_its_move(void **state)
{
#ifdef __SANITIZE_THREAD__
	(void)state;
	skip();
#endif
	unsigned long handle[2 * SLOTS];
	pthread_t compacting, freeing;
	unsigned int first = 0;

	(void)state;
	setup_pool();
	make_sparse(handle);
	for (unsigned int i = 1; i < 3; i++)
		if (slot_of(handle[i]) < slot_of(handle[first]))
			first = i;
	compacting = start_and_stop(compact, NULL);
	freeing = start_and_wait(free_in_thread, &handle[first],
				 class_for(&pool->classes, page_size() / SLOTS));
	release(compacting);
	end(freeing);
	check_invariants(pool, SLOTS - 1, 0);
	free_all_but(handle, first);
	assert_int_equal(misuses(), 0);
	check_empty(pool);
	zs_destroy_pool(pool);
}

static void test_freed_while_moved(void **state)
{
	struct sigaction action = { .sa_handler = wait_to_be_released };
	uint64_t random = random_seed();
	pthread_t compacting;

	(void)state;
	setup_pool();
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(pthread_create(&compacting, NULL, compact_when_asked, NULL), 0);
	wait_until_at_least(&ready, 1);
	for (unsigned int turn = 1; turn <= ROUNDS; turn++) {
		unsigned long handle[2 * SLOTS];

		make_sparse(handle);
		atomic_store(&asked, turn);
		for (uint64_t spins = next_random(&random) % 4096; spins; spins--)
			atomic_signal_fence(memory_order_seq_cst);
		assert_int_equal(pthread_kill(compacting, SIGUSR1), 0);
		wait_until_at_least(&stopped, turn);
		free_meanwhile(handle[turn % 3], turn);
		check_invariants(pool, SLOTS - 1, 0);
		free_all_but(handle, turn % 3);
	}
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(compacting, NULL), 0);
	assert_int_equal(misuses(), 0);
	check_empty(pool);
	zs_destroy_pool(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_have_looked),
		cmocka_unit_test(test_moved_meanwhile),
		cmocka_unit_test(test_reused_in_another_class),
		cmocka_unit_test(test_hosts_meanwhile),
		cmocka_unit_test(test_stopped_in_its_move),
		cmocka_unit_test(test_one_of_two_frees_wins),
		cmocka_unit_test(test_freed_while_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
