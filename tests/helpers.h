/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What the tests share: pools, objects whose contents a key determines, the lines of the queue's
 * statistics. Waiting for what must happen. Children that may die.
 */
#ifndef TEST_HELPERS_H
#define TEST_HELPERS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "seed.h"
#include "zsmalloc.h"

/* Until what must happen is taken not to happen. A busy virtual machine may stand for a minute. */
#define WAIT_SECONDS 200
#define NEVER_MS (24U * 3600 * 1000) /* a drain delay that no test lives to see */

static inline size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* A pool as the options say; their size is filled in here. */
static inline struct zs_pool *make_pool(struct zs_pool_options options)
{
	struct zs_pool *pool;

	options.size = sizeof(options);
	pool = zs_create_pool_with("test", &options);
	assert_non_null(pool);
	return pool;
}

/* A pool that drains only when it is told to, or when half of its capacity waits. */
static inline struct zs_pool *make_lazy_pool(void)
{
	return make_pool((struct zs_pool_options){ .deferred_delay_ms = NEVER_MS });
}

static inline void object_fill(struct zs_pool *pool, unsigned long handle, size_t size,
			       uint64_t key)
{
	char contents[65536];

	random_fill(contents, size, key);
	zs_obj_write(pool, handle, contents, size);
}

static inline bool object_holds(struct zs_pool *pool, unsigned long handle, size_t size,
				uint64_t key)
{
	char local[65536];
	void *memory = zs_obj_read_begin(pool, handle, size, local);
	bool same = memory && random_is(memory, size, key);

	if (memory)
		zs_obj_read_end(pool, handle, size, memory);
	return same;
}

/* Room for an object, which there must be. */
static inline unsigned long object_alloc(struct zs_pool *pool, size_t size)
{
	unsigned long handle = zs_malloc(pool, size, GFP_KERNEL, NUMA_NO_NODE);

	if (!handle || zs_is_err(handle))
		fail_msg("no object of %zu bytes: %ld", size, (long)handle);
	return handle;
}

static inline unsigned long object_make(struct zs_pool *pool, size_t size, uint64_t key)
{
	unsigned long handle = object_alloc(pool, size);

	object_fill(pool, handle, size, key);
	return handle;
}

/* Makes objects, with the numbers from 0 for keys. The caller free()s the array. */
static inline unsigned long *objects_make(struct zs_pool *pool, size_t size, size_t count)
{
	unsigned long *handles = calloc(count, sizeof(*handles));

	assert_non_null(handles);
	for (size_t i = 0; i < count; i++)
		handles[i] = object_make(pool, size, i);
	return handles;
}

static inline unsigned long misuses_of(struct zs_pool *pool)
{
	struct zs_pool_stats stats;

	zs_pool_stats(pool, &stats);
	return stats.misuses;
}

/* What zs_stats_deferred() or zs_stats_classes() prints. The caller free()s it. */
static inline char *text_of(struct zs_pool *pool, int (*show)(struct zs_pool *pool, FILE *out))
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(show(pool, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* The number in the line "NAME: N" of the deferred queue's statistics. */
static inline unsigned long long deferred_stat(struct zs_pool *pool, const char *name)
{
	char *text = text_of(pool, zs_stats_deferred);
	size_t length = strlen(name);
	unsigned long long value = 0;
	bool found = false;

	for (const char *line = text; *line && !found; line = strchr(line, '\n') + 1) {
		found = strncmp(line, name, length) == 0 && line[length] == ':';
		if (found)
			value = strtoull(line + length + 1, NULL, 10);
	}
	free(text);
	if (!found)
		fail_msg("no line \"%s\" in the statistics", name);
	return value;
}

/* Whether the worker has drained all, for wait_for(). */
static inline bool nothing_is_pending(void *pool)
{
	return deferred_stat(pool, "pending") == 0;
}

/* What the process has in memory. */
static inline unsigned long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		abort();
	fclose(file);
	return pages * (page_size() / 1024);
}

static inline unsigned int threads_of_process(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned int count = 0;

	assert_non_null(tasks);
	for (const struct dirent *task; (task = readdir(tasks));)
		count += task->d_name[0] != '.';
	closedir(tasks);
	return count;
}

/*
 * Wait for what must happen some time: true when it has. By pauses, as the clock also goes on while
 * a whole virtual machine stands, and nothing can happen.
 */
static inline bool wait_for(bool (*happened)(void *arg), void *arg)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (unsigned int waited = 0; waited < WAIT_SECONDS * 1000U; waited++) {
		if (happened(arg))
			return true;
		nanosleep(&pause, NULL);
	}
	return happened(arg);
}

/* How a child ended, and what it said on stderr. */
struct child {
	int status; /* as wait() has it */
	char said[4096];
};

/* In a child, where cmocka's assertions are of no use: say what is wrong, and end with status 1. */
#define CHILD_CHECK(condition)                                                                     \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(STDERR_FILENO, "%s:%d: not so: %s\n", __FILE__, __LINE__,          \
				#condition);                                                       \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* Run @body in a child, which ends with status 0 if that returns. */
static inline struct child run_in_child(void (*body)(const void *arg), const void *arg)
{
	const struct rlimit no_core = { 0, 0 };
	struct child child = { .status = 0 };
	size_t length = 0;
	ssize_t got;
	int ends[2];
	pid_t pid;

	fflush(NULL);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		body(arg);
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], child.said + length, sizeof(child.said) - 1 - length)) > 0)
		length += (size_t)got;
	close(ends[0]);
	child.said[length] = '\0';
	assert_int_equal(waitpid(pid, &child.status, 0), pid);
	return child;
}

static inline void assert_child_ended_well(const struct child *child)
{
	if (!WIFEXITED(child->status) || WEXITSTATUS(child->status) != 0)
		fail_msg("the child ended with status %#x, and said: %s",
			 (unsigned int)child->status, child->said);
}

#endif /* TEST_HELPERS_H */
