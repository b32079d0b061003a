/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * How a process tells that others want the worker's CPU: they have had it instead, for longer than the
 * worker had it, since it last asked. (Reaches inside: port_crowded(). Wraps getrusage() and clock_gettime(), for
 * time to be what it says here.)
 */
#include "helpers.h"

#include <sys/resource.h>
#include <time.h>

#include "port.h"

#define MS 1000

static struct {
	long preempted;
	long waited;
	long ran_us;
	long now_us;
	bool fails;
} thread;

int __wrap_getrusage(int who, struct rusage *usage);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_getrusage(int who, struct rusage *usage)
{
	assert_int_equal(who, RUSAGE_THREAD);
	if (thread.fails)
		return -1;
	/* The times that are here, too, are as old as the last tick. */
	*usage = (struct rusage){
		.ru_nivcsw = thread.preempted,
		.ru_nvcsw = thread.waited,
	};
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	long us = clock == CLOCK_THREAD_CPUTIME_ID ? thread.ran_us : thread.now_us;

	assert_true(clock == CLOCK_THREAD_CPUTIME_ID || clock == CLOCK_MONOTONIC);
	time->tv_sec = us / 1000000;
	time->tv_nsec = us % 1000000 * 1000;
	return 0;
}

/* Time goes by, of which the thread has its CPU for a part, and it is asked. */
static bool crowded_after(long ran_us, long lost_us, long preempted)
{
	thread.ran_us += ran_us;
	thread.now_us += ran_us + lost_us;
	thread.preempted += preempted;
	return port_crowded();
}

static int begin(void **state)
{
	(void)state;
	thread.fails = false;
	crowded_after(3600L * 1000 * MS, 0, 1); /* what was before does not count */
	return 0;
}

static void test_alone(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		assert_false(crowded_after(1 * MS, 0, 0));
}

/* Somebody else has the CPU for as long as it pleases. */
static void test_another(void **state)
{
	(void)state;
	assert_true(crowded_after(1 * MS, 3 * MS, 1));
	assert_false(crowded_after(1 * MS, 0, 0)); /* that was then */
	assert_true(crowded_after(1 * MS, 2 * MS, 2));
}

/* A thread of the system that runs for a moment does not want it. */
static void test_a_moment(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		assert_false(crowded_after(1 * MS, 1 * MS, 1));
	for (int i = 0; i < 10; i++)
		assert_false(crowded_after(1 * MS, 50, 20));
}

/* Whoever waits by itself has not lost it. */
static void test_waits(void **state)
{
	(void)state;
	thread.waited++;
	assert_false(crowded_after(1 * MS, 100 * MS, 0));
}

/* It has lost it, too, but who knows for how long: the next time tells. */
static void test_waits_and_loses(void **state)
{
	(void)state;
	thread.waited++;
	assert_false(crowded_after(1 * MS, 100 * MS, 1));
	assert_true(crowded_after(1 * MS, 100 * MS, 1));
}

/* The system does not tell: nobody is given way. */
static void test_unknown(void **state)
{
	(void)state;
	thread.fails = true;
	assert_false(crowded_after(1 * MS, 100 * MS, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_alone, begin),
		cmocka_unit_test_setup(test_another, begin),
		cmocka_unit_test_setup(test_a_moment, begin),
		cmocka_unit_test_setup(test_waits, begin),
		cmocka_unit_test_setup(test_waits_and_loses, begin),
		cmocka_unit_test_setup(test_unknown, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
