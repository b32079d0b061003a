/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A program that filters system calls once it has a pool. Each call that the library may make from
 * then on is refused in turn. What is stored is whole, and frees are done. A store works, or is
 * ENOMEM. Reaches inside: src/queue.h, port/posix/give_back.h.
 */
#include "helpers.h"

#include <errno.h>

#include "give_back.h"
#include "pool.h"
#include "syscall_filter.h"

#define OBJECTS 3000
#define SIZE 1500

/* As the man page lists them; but futex(), without which the libc ends a program. */
static const struct {
	unsigned int number;
	const char *name;
} calls[] = {
#define CALL(name)                                                                                 \
	{                                                                                          \
		SYS_##name, #name                                                                  \
	}
	CALL(mmap),
	CALL(munmap),
	CALL(mprotect),
	CALL(madvise),
	CALL(process_madvise),
	CALL(mincore),
	CALL(mlock2),
	CALL(membarrier),
	CALL(sched_yield),
	CALL(nanosleep),
	CALL(clock_nanosleep),
	CALL(clock_gettime),
	CALL(clone),
	CALL(clone3),
	CALL(prctl),
	CALL(rt_sigprocmask),
	CALL(rseq),
	CALL(set_robust_list),
};

struct refusal {
	unsigned int number;
	int error;
};

/* Asks inside: the text of the statistics takes memory, which may be refused. */
static bool queue_is_empty(void *arg)
{
	(void)arg;
	return queue_pending(&runtime.queue) == 0;
}

/* Stores another object, or has none. */
static unsigned long try_store(struct zs_pool *pool, uint64_t key)
{
	unsigned long handle = zs_malloc(pool, SIZE, GFP_KERNEL, NUMA_NO_NODE);

	if (zs_is_err(handle)) {
		CHILD_CHECK(zs_err(handle) == -ENOMEM);
		return 0;
	}
	object_fill(pool, handle, SIZE, key);
	CHILD_CHECK(object_holds(pool, handle, SIZE, key));
	return handle;
}

static void goes_on(const void *arg)
{
	const struct refusal *refusal = arg;
	struct zs_pool *pool = make_pool((struct zs_pool_options){ .deferred_delay_ms = 1 });
	unsigned long *handles = objects_make(pool, SIZE, OBJECTS), more[OBJECTS];
	struct zs_pool *other;

	/* The worker is there: without rseq() the libc ends a program that starts a thread. */
	zs_free_deferred(pool, object_make(pool, SIZE, 0));
	CHILD_CHECK(wait_for(queue_is_empty, NULL));
	CHILD_CHECK(refuse_syscall(refusal->number, refusal->error));
	for (size_t i = 0; i < OBJECTS; i += 2)
		zs_free_deferred(pool, handles[i]);
	CHILD_CHECK(wait_for(queue_is_empty, NULL));
	zs_compact(pool);
	for (size_t i = 0; i < OBJECTS; i++)
		more[i] = try_store(pool, i);
	for (size_t i = 1; i < OBJECTS; i += 2)
		CHILD_CHECK(object_holds(pool, handles[i], SIZE, i));
	for (size_t i = 0; i < OBJECTS; i++)
		zs_free(pool, more[i]);
	zs_free_deferred_flush(pool);
	other = zs_create_pool("other");
	CHILD_CHECK(other || errno == ENOMEM);
	if (other)
		zs_destroy_pool(other);
	zs_destroy_pool(pool);
}

static void test_each_call_refused(void **state)
{
	const int errors[] = { EPERM, ENOSYS };

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* its own calls would be refused, too */
#endif
	if (!FILTER_POSSIBLE)
		skip();
	for (size_t i = 0; i < 2 * sizeof(calls) / sizeof(calls[0]); i++) {
		struct refusal refusal = { calls[i / 2].number, errors[i % 2] };
		struct child child = run_in_child(goes_on, &refusal);

		if (child.status)
			fail_msg("%s refused with %s: status %#x, and said: %s", calls[i / 2].name,
				 strerror(errors[i % 2]), (unsigned int)child.status, child.said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_call_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
