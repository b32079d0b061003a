/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The worker: it runs when it is due. The earliest kick decides, a kick while it runs makes it run
 * again, and it stops for good. Reaches inside: src/port.h. Wraps port_futex_wake(), to count the
 * wakes and to stop a thread before one.
 */
#include "helpers.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

#include "port.h"

struct work {
	struct port_worker worker;
	atomic_uint begun;
	atomic_uint ended;
	atomic_bool hold; /* the function waits for the semaphore */
	sem_t go_on;
	pthread_t thread;
	sigset_t blocked;
};

static struct work *_Atomic at_work; /* whose worker runs; one at a time */
static _Thread_local bool to_be_stopped; /* before its next wake */
static unsigned int stopped_delay; /* what the thread asks for that is stopped */
static atomic_uint stopped;
static sem_t let_go;
static atomic_uint wakes;

void __real_port_futex_wake(atomic_t *word);
void __wrap_port_futex_wake(atomic_t *word);

void __wrap_port_futex_wake(atomic_t *word)
{
	if (to_be_stopped) {
		to_be_stopped = false;
		atomic_fetch_add(&stopped, 1);
		while (sem_wait(&let_go) && errno == EINTR)
			;
	}
	atomic_fetch_add(&wakes, 1);
	__real_port_futex_wake(word);
}

static void run(void)
{
	struct work *work = atomic_load(&at_work);

	work->thread = pthread_self();
	pthread_sigmask(SIG_BLOCK, NULL, &work->blocked);
	atomic_fetch_add(&work->begun, 1);
	if (atomic_load(&work->hold))
		while (sem_wait(&work->go_on) && errno == EINTR)
			;
	atomic_fetch_add(&work->ended, 1);
}

static struct work *work_make(void)
{
	struct work *work = calloc(1, sizeof(*work));

	assert_non_null(work);
	sem_init(&work->go_on, 0, 0);
	atomic_store(&at_work, work);
	assert_int_equal(port_worker_init(&work->worker, run), 0);
	return work;
}

static void work_unmake(struct work *work)
{
	sem_destroy(&work->go_on);
	free(work);
}

struct goal {
	atomic_uint *count;
	unsigned int least;
};

static bool reached(void *arg)
{
	const struct goal *goal = arg;

	return atomic_load(goal->count) >= goal->least;
}

static void wait_until_count(atomic_uint *count, unsigned int least)
{
	struct goal goal = { .count = count, .least = least };

	assert_true(wait_for(reached, &goal));
}

/* Each kick that finds it idle makes it run once. */
static void test_kick(void **state)
{
	struct work *work = work_make();

	(void)state;
	for (unsigned int i = 1; i <= 100; i++) {
		port_worker_kick(&work->worker, i % 3);
		wait_until_count(&work->ended, i);
		assert_int_equal(atomic_load(&work->begun), i);
	}
	port_worker_stop(&work->worker);
	assert_int_equal(atomic_load(&work->ended), 100);
	work_unmake(work);
}

/* It runs in a thread of its own, which takes none of the program's signals. */
static void test_thread(void **state)
{
	struct work *work = work_make();
	sigset_t mine;

	(void)state;
	port_worker_kick(&work->worker, 0);
	wait_until_count(&work->ended, 1);
	port_worker_stop(&work->worker);
	assert_false(pthread_equal(work->thread, pthread_self()));
	assert_int_equal(sigismember(&work->blocked, SIGTERM), 1);
	assert_int_equal(sigismember(&work->blocked, SIGCHLD), 1);
	assert_int_equal(sigismember(&work->blocked, SIGUSR1), 1);
	pthread_sigmask(SIG_BLOCK, NULL, &mine);
	assert_int_equal(sigismember(&mine, SIGTERM), 0);
	work_unmake(work);
}

/* A kick that asks for less goes before; one that asks for more changes nothing. */
static void test_earlier_wins(void **state)
{
	struct work *work = work_make();

	(void)state;
	port_worker_kick(&work->worker, NEVER_MS);
	port_worker_kick(&work->worker, 1);
	wait_until_count(&work->ended, 1);
	port_worker_kick(&work->worker, 1);
	port_worker_kick(&work->worker, NEVER_MS);
	wait_until_count(&work->ended, 2);
	port_worker_stop(&work->worker);
	work_unmake(work);
}

/* It does not run before its time. */
static void test_not_early(void **state)
{
	struct work *work = work_make();
	u64 start = port_now();

	(void)state;
	port_worker_kick(&work->worker, 50);
	wait_until_count(&work->begun, 1);
	assert_true(port_now() - start >= 50 * 1000000ULL);
	port_worker_stop(&work->worker);
	work_unmake(work);
}

static void test_kick_while_running(void **state)
{
	struct work *work = work_make();

	(void)state;
	atomic_store(&work->hold, true);
	port_worker_kick(&work->worker, 0);
	wait_until_count(&work->begun, 1);
	port_worker_kick(&work->worker, 0);
	port_worker_kick(&work->worker, 0);
	assert_int_equal(atomic_load(&work->begun), 1); /* never two at a time */
	atomic_store(&work->hold, false);
	sem_post(&work->go_on);
	wait_until_count(&work->ended, 2);
	port_worker_stop(&work->worker);
	assert_int_equal(atomic_load(&work->ended), 2); /* both kicks are one run */
	work_unmake(work);
}

/* Kicks that find it awake do not call it. */
static void test_not_called_awake(void **state)
{
	struct work *work = work_make();
	unsigned int before;

	(void)state;
	atomic_store(&work->hold, true);
	port_worker_kick(&work->worker, 0);
	wait_until_count(&work->begun, 1);
	before = atomic_load(&wakes);
	for (unsigned int i = 0; i < 1000; i++)
		port_worker_kick(&work->worker, i % 3);
	assert_int_equal(atomic_load(&wakes), before);
	atomic_store(&work->hold, false);
	sem_post(&work->go_on);
	wait_until_count(&work->ended, 2);
	port_worker_stop(&work->worker);
	assert_int_equal(atomic_load(&work->ended), 2);
	work_unmake(work);
}

static void *kick_and_stop(void *arg)
{
	struct work *work = arg;

	to_be_stopped = true;
	port_worker_kick(&work->worker, stopped_delay);
	return NULL;
}

/* A thread that said when it is due is stopped before it could call it: the next kick does that. */
static void test_kicker_stopped(void **state)
{
	struct work *work = work_make();

	(void)state;
	sem_init(&let_go, 0, 0);
	port_worker_kick(&work->worker, 0);
	wait_until_count(&work->ended, 1);
	for (unsigned int i = 1; i <= 20; i++) {
		pthread_t kicker;

		/* Overdue or not; and the worker sleeps for good, or until long after. */
		stopped_delay = i % 2 ? 50 : 0;
		if (i % 4 < 2)
			port_worker_kick(&work->worker, NEVER_MS - 1);
		assert_int_equal(pthread_create(&kicker, NULL, kick_and_stop, work), 0);
		wait_until_count(&stopped, i);
		port_worker_kick(&work->worker, NEVER_MS);
		wait_until_count(&work->ended, 1 + i);
		sem_post(&let_go);
		pthread_join(kicker, NULL);
	}
	port_worker_stop(&work->worker);
	sem_destroy(&let_go);
	work_unmake(work);
}

static void *stop(void *arg)
{
	struct work *work = arg;

	port_worker_stop(&work->worker);
	return (void *)(uintptr_t)atomic_load(&work->ended);
}

static bool is_stopping(void *arg)
{
	struct work *work = arg;

	return atomic64_read(&work->worker.due) == 0;
}

/* To stop waits for the function to end. */
static void test_stop_waits(void **state)
{
	struct work *work = work_make();
	pthread_t stopper;
	void *ended;

	(void)state;
	atomic_store(&work->hold, true);
	port_worker_kick(&work->worker, 0);
	wait_until_count(&work->begun, 1);
	assert_int_equal(pthread_create(&stopper, NULL, stop, work), 0);
	assert_true(wait_for(is_stopping, work));
	port_worker_kick(&work->worker, 0); /* too late */
	sem_post(&work->go_on);
	assert_int_equal(pthread_join(stopper, &ended), 0);
	assert_int_equal((uintptr_t)ended, 1);
	assert_int_equal(atomic_load(&work->begun), 1);
	work_unmake(work);
}

/* What is not due yet is not waited for, and does not run. */
static void test_stop_before_due(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		struct work *work = work_make();

		if (i % 2)
			port_worker_kick(&work->worker, NEVER_MS);
		port_worker_stop(&work->worker);
		assert_int_equal(atomic_load(&work->begun), 0);
		work_unmake(work);
	}
}

struct kicker {
	pthread_t thread;
	struct work *work;
};

static void *kick_often(void *arg)
{
	struct kicker *kicker = arg;

	for (unsigned int i = 0; i < 5000; i++)
		port_worker_kick(&kicker->work->worker, i % 2);
	return NULL;
}

/* Whatever kicks went before, none gets lost: the last is followed by a run. */
static void test_many_kickers(void **state)
{
	struct work *work = work_make();
	struct kicker kickers[4];

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		kickers[i].work = work;
		assert_int_equal(pthread_create(&kickers[i].thread, NULL, kick_often, &kickers[i]),
				 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(kickers[i].thread, NULL);
	for (unsigned int i = 0; i < 100; i++) {
		unsigned int begun = atomic_load(&work->begun);

		port_worker_kick(&work->worker, 0);
		wait_until_count(&work->begun, begun + 1);
	}
	port_worker_stop(&work->worker);
	assert_int_equal(atomic_load(&work->begun), atomic_load(&work->ended));
	work_unmake(work);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kick),
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_earlier_wins),
		cmocka_unit_test(test_not_early),
		cmocka_unit_test(test_kick_while_running),
		cmocka_unit_test(test_not_called_awake),
		cmocka_unit_test(test_kicker_stopped),
		cmocka_unit_test(test_stop_waits),
		cmocka_unit_test(test_stop_before_due),
		cmocka_unit_test(test_many_kickers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
