/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Others see a published pool as it is, for as long as it is there. Whatever goes wrong with that,
 * the program is none the worse for it. The other is `zsmalloc top`.
 */
#include "../command/top.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "pool.h"
#include "zsmalloc_published.h"

/* What publishing needs of the system, which can be had no more from some call on. */
static atomic_bool refuse_memfd, refuse_memory, refuse_map;
static atomic_int refuse_worker; /* calls till the one that fails; 0: none does */

#define WRAP(result, name, parameters, arguments, refused, value)                                  \
	result __real_##name parameters;                                                           \
	result __wrap_##name parameters;                                                           \
	result __wrap_##name parameters                                                            \
	{                                                                                          \
		if (refused) {                                                                     \
			errno = ENOMEM;                                                            \
			return value;                                                              \
		}                                                                                  \
		return __real_##name arguments;                                                    \
	}

#define MAP_PARAMETERS (void *at, size_t len, int prot, int flags, int fd, off_t offset)
#define MAP_ARGUMENTS (at, len, prot, flags, fd, offset)

WRAP(int, memfd_create, (const char *name, unsigned int flags), (name, flags),
     strcmp(name, ZS_PUBLISHED_NAME) == 0 && atomic_load(&refuse_memfd), -1)
WRAP(int, fallocate, (int fd, int mode, off_t offset, off_t len), (fd, mode, offset, len),
     atomic_load(&refuse_memory), -1)
WRAP(int, fallocate64, (int fd, int mode, off_t offset, off_t len), (fd, mode, offset, len),
     atomic_load(&refuse_memory), -1)
WRAP(void *, mmap, MAP_PARAMETERS, MAP_ARGUMENTS, (flags & MAP_SHARED) && atomic_load(&refuse_map),
     MAP_FAILED)
WRAP(void *, mmap64, MAP_PARAMETERS, MAP_ARGUMENTS,
     (flags & MAP_SHARED) && atomic_load(&refuse_map), MAP_FAILED)
WRAP(int, port_worker_init, (struct port_worker * worker, void (*run)(void)), (worker, run),
     atomic_load(&refuse_worker) && atomic_fetch_sub(&refuse_worker, 1) == 1, -ENOMEM)

static struct zs_pool *publish_pool(const char *name)
{
	const struct zs_pool_options options = {
		.size = sizeof(options),
		.deferred_delay_ms = NEVER_MS,
		.misuse = ZS_MISUSE_COUNT,
		.publish = 1,
	};
	struct zs_pool *pool = zs_create_pool_with(name, &options);

	assert_non_null(pool);
	return pool;
}

static unsigned int entries_of(const char *path)
{
	DIR *directory = opendir(path);
	unsigned int count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* A pool works, and can be destroyed. */
static void assert_works(struct zs_pool *pool)
{
	unsigned long handle = object_make(pool, 1000, 1);

	assert_true(object_holds(pool, handle, 1000, 1));
	zs_free_deferred(pool, handle);
	zs_free_deferred_flush(pool);
	assert_int_equal(zs_get_total_pages(pool), 0);
	zs_destroy_pool(pool);
}

/* The class that is shown with that slot size; NULL if it has no zspage. */
static const json_t *class_of(const json_t *pool, uint64_t size)
{
	const json_t *class;
	size_t i;

	json_array_foreach(json_object_get(pool, "classes"), i,
			   class) if (number_of(class, "size") == size) return class;
	return NULL;
}

/* The class of a pool for objects of a size. */
static const struct size_class *real_class(const struct zs_pool *pool, uint64_t size)
{
	return &pool->class[class_for(pool->table, size)];
}

/* Every class is as the pool has it. Returns how many zspages are shown as full. */
static uint64_t check_classes(const json_t *shown, const struct zs_pool *pool)
{
	const json_t *classes = json_object_get(shown, "classes");
	uint64_t objects = 0, stored = 0, pages = 0, full = 0;
	const json_t *class;
	size_t i;

	json_array_foreach(classes, i, class)
	{
		const struct size_class *real = real_class(pool, number_of(class, "size"));
		const json_t *tenths = json_object_get(class, "zspages_by_fullness");
		uint64_t sum = 0;

		assert_int_equal(number_of(class, "size"), real->geometry.size);
		assert_int_equal(number_of(class, "objects"), real->objects);
		assert_int_equal(number_of(class, "zspages"), real->zspages);
		assert_int_equal(number_of(class, "pages_per_zspage"), real->geometry.pages);
		assert_int_equal(number_of(class, "slots_per_zspage"), real->geometry.slots);
		assert_int_equal(json_array_size(tenths), ZS_PUBLISHED_TENTHS);
		for (size_t j = 0; j < ZS_PUBLISHED_TENTHS; j++)
			sum += (uint64_t)json_integer_value(json_array_get(tenths, j));
		assert_int_equal(sum, real->zspages);
		full += (uint64_t)json_integer_value(
			json_array_get(tenths, ZS_PUBLISHED_TENTHS - 1));
		objects += real->objects;
		stored += real->objects * real->geometry.size;
		pages += number_of(class, "pages");
	}
	assert_int_equal(number_of(shown, "objects"), objects);
	assert_int_equal(number_of(shown, "stored"), stored);
	assert_int_equal(number_of(shown, "pages"), pages);
	return full;
}

static void check_deferred(const json_t *shown, struct zs_pool *pool)
{
	const json_t *deferred = json_object_get(shown, "deferred");

	assert_int_equal(number_of(deferred, "pending"), deferred_stat(pool, "pending"));
	assert_int_equal(number_of(deferred, "capacity"), deferred_stat(pool, "capacity"));
	assert_int_equal(number_of(deferred, "queued"), deferred_stat(pool, "queued"));
	assert_int_equal(number_of(deferred, "drained"), deferred_stat(pool, "drained"));
	assert_int_equal(number_of(deferred, "drains"), deferred_stat(pool, "drains"));
	assert_int_equal(number_of(deferred, "longest_drain") / 1000,
			 deferred_stat(pool, "longest_drain_us"));
	assert_int_equal(number_of(deferred, "fallbacks"),
			 deferred_stat(pool, "fallbacks_full") +
				 deferred_stat(pool, "fallbacks_contended") +
				 deferred_stat(pool, "fallbacks_no_memory"));
}

static const json_t *only_pool_of(const json_t *programs)
{
	const json_t *pools = pools_of(programs, getpid());

	assert_int_equal(json_array_size(pools), 1);
	return json_array_get(pools, 0);
}

static void test_exact(void **state)
{
	struct zs_pool *pool = publish_pool("exact");
	unsigned long *large = objects_make(pool, 3000, 1000);
	unsigned long *small = objects_make(pool, 333, 1000);
	unsigned long compacted;
	json_t *programs;
	const json_t *shown;

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		if (i % 10)
			zs_free_deferred(pool, large[i]);
		if (i % 2)
			zs_free(pool, small[i]);
	}
	compacted = zs_compact(pool);
	assert_true(compacted > 0);
	zs_free(pool, small[1]);

	programs = programs_shown(getpid());
	shown = only_pool_of(programs);
	assert_string_equal(string_of(shown, "name"), "exact");
	assert_int_equal(number_of(shown, "objects"), 600);
	assert_int_equal(number_of(json_object_get(shown, "deferred"), "queued"), 900);
	assert_int_equal(number_of(json_object_get(shown, "deferred"), "pending"), 0);
	assert_int_equal(number_of(shown, "pages_compacted"), compacted);
	assert_int_equal(number_of(shown, "misuses"), 1);
	assert_int_equal(number_of(shown, "page_size"), page_size());
	assert_int_equal(number_of(shown, "pages"), zs_get_total_pages(pool));
	assert_int_equal(number_of(shown, "resident"), zs_get_total_pages(pool) * page_size());
	assert_non_null(class_of(shown, real_class(pool, 333)->geometry.size));
	assert_true(check_classes(shown, pool) > 0);
	check_deferred(shown, pool);
	json_decref(programs);
	free(large);
	free(small);
	zs_destroy_pool(pool);
}

/* Nothing wakes the worker before the budget is half used up. */
static void test_pending(void **state)
{
	struct zs_pool *pool = publish_pool("pending");
	unsigned long *handles = objects_make(pool, 3000, 10);
	json_t *programs;

	(void)state;
	for (size_t i = 0; i < 7; i++)
		zs_free_deferred(pool, handles[i]);
	programs = programs_shown(getpid());
	/* With those that wait. */
	assert_int_equal(number_of(only_pool_of(programs), "objects"), 10);
	assert_int_equal(number_of(json_object_get(only_pool_of(programs), "deferred"), "pending"),
			 7);
	check_deferred(only_pool_of(programs), pool);
	json_decref(programs);
	free(handles);
	zs_destroy_pool(pool);
}

/* A thread that was joined may be seen a moment longer. */
static bool threads_are_gone(void *most)
{
	return entries_of("/proc/self/task") <= *(const unsigned int *)most;
}

/* Every look sees what is there then, and no pool that is gone. */
static void test_comes_and_goes(void **state)
{
	unsigned int files = entries_of("/proc/self/fd");
	unsigned int threads = entries_of("/proc/self/task");
	struct zs_pool *first = publish_pool("first");
	struct zs_pool *second = publish_pool("second");
	struct zs_pool *hidden = make_lazy_pool();
	json_t *programs;

	(void)state;
	programs = programs_shown(getpid());
	assert_int_equal(json_array_size(pools_of(programs, getpid())), 2);
	json_decref(programs);

	object_make(second, 100, 1);
	zs_destroy_pool(first);
	programs = programs_shown(getpid());
	assert_int_equal(json_array_size(pools_of(programs, getpid())), 1);
	assert_string_equal(string_of(json_array_get(pools_of(programs, getpid()), 0), "name"),
			    "second");
	assert_int_equal(number_of(json_array_get(pools_of(programs, getpid()), 0), "objects"), 1);
	json_decref(programs);

	zs_destroy_pool(second);
	assert_top_refuses(getpid(), "--json", 0, "publishes no pools");
	zs_destroy_pool(hidden);
	assert_int_equal(entries_of("/proc/self/fd"), files);
	assert_true(wait_for(threads_are_gone, &threads));
}

/* A child that does @body, and then waits to be killed. */
static pid_t start_child(void (*body)(void))
{
	char byte;
	int ends[2];
	pid_t pid;

	fflush(NULL);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body();
		CHILD_CHECK(write(ends[1], "", 1) == 1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1); /* else it died, and has said why */
	close(ends[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void make_pool_by_environment(void)
{
	struct zs_pool *pool = zs_create_pool("from outside");

	CHILD_CHECK(pool && !zs_is_err(zs_malloc(pool, 100, GFP_KERNEL, NUMA_NO_NODE)));
}

static void test_environment(void **state)
{
	json_t *programs;
	pid_t pid;

	(void)state;
	setenv("ZSMALLOC_PUBLISH", "1", 1);
	pid = start_child(make_pool_by_environment);
	programs = programs_shown(pid);
	assert_string_equal(string_of(json_array_get(pools_of(programs, pid), 0), "name"),
			    "from outside");
	json_decref(programs);
	end_child(pid);

	setenv("ZSMALLOC_PUBLISH", "0", 1);
	pid = start_child(make_pool_by_environment);
	assert_top_refuses(pid, "--once", 0, "start it with ZSMALLOC_PUBLISH=1");
	end_child(pid);
	unsetenv("ZSMALLOC_PUBLISH");
}

/* A reader that asks for all sees this one among them. */
static void test_all(void **state)
{
	struct zs_pool *pool = publish_pool("one of them");
	json_t *programs = programs_shown(0);
	const json_t *program;
	unsigned int found = 0;
	size_t i;

	(void)state;
	json_array_foreach(programs, i,
			   program) if (number_of(program, "pid") == (uint64_t)getpid()) found++;
	assert_int_equal(found, 1);
	json_decref(programs);
	zs_destroy_pool(pool);
}

static void do_nothing(void)
{
}

static void publish_childs_own(void)
{
	object_make(publish_pool("the child's"), 100, 1);
}

/* A child has its parent's memory, but not its parent's pools. */
static void test_fork(void **state)
{
	struct zs_pool *pool = publish_pool("the parent's");
	pid_t child = start_child(do_nothing);
	pid_t other = start_child(publish_childs_own);
	json_t *programs;

	(void)state;
	assert_top_refuses(child, "--json", 0, "publishes no pools");
	programs = programs_shown(other);
	assert_int_equal(json_array_size(pools_of(programs, other)), 1);
	assert_string_equal(string_of(json_array_get(pools_of(programs, other), 0), "name"),
			    "the child's");
	json_decref(programs);
	programs = programs_shown(getpid());
	assert_string_equal(string_of(json_array_get(pools_of(programs, getpid()), 0), "name"),
			    "the parent's");
	json_decref(programs);
	end_child(child);
	end_child(other);
	zs_destroy_pool(pool);
}

/* One that was killed leaves nothing behind; one that is stopped is shown as it was. */
static void test_killed_and_stopped(void **state)
{
	pid_t pid = start_child(publish_childs_own);
	json_t *programs = programs_shown(pid);
	const json_t *program = json_array_get(programs, 0);

	(void)state;
	assert_true(json_is_true(json_object_get(program, "answered")));
	json_decref(programs);

	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid); /* now all its threads stand still */
	programs = programs_shown(pid);
	program = json_array_get(programs, 0);
	assert_true(json_is_false(json_object_get(program, "answered")));
	assert_int_equal(number_of(json_array_get(pools_of(programs, pid), 0), "objects"), 1);
	json_decref(programs);

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_top_refuses(pid, "--json", 0, "no such process");
}

static void publish_secretly(void)
{
	publish_childs_own();
	CHILD_CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
}

/* A user that may not look into a program does not see its pools. Root may, and so steps down. */
static void test_forbidden(void **state)
{
	pid_t pid = start_child(publish_secretly);

	(void)state;
	assert_top_refuses(pid, "--json", getuid() ? 0 : OTHER_USER, "may not be read");
	end_child(pid);
}

/* There is room for ZS_PUBLISHED_POOLS pools; a place that is freed serves the next. */
static void test_room(void **state)
{
	struct zs_pool *pool[ZS_PUBLISHED_POOLS + 1];
	json_t *programs;

	(void)state;
	for (unsigned int i = 0; i <= ZS_PUBLISHED_POOLS; i++)
		pool[i] = publish_pool("one of many");
	programs = programs_shown(getpid());
	assert_int_equal(json_array_size(pools_of(programs, getpid())), ZS_PUBLISHED_POOLS);
	json_decref(programs);

	assert_works(pool[ZS_PUBLISHED_POOLS]);
	assert_works(pool[1]);
	pool[1] = publish_pool("the last");
	programs = programs_shown(getpid());
	assert_int_equal(json_array_size(pools_of(programs, getpid())), ZS_PUBLISHED_POOLS);
	assert_string_equal(string_of(json_array_get(pools_of(programs, getpid()), 1), "name"),
			    "the last");
	json_decref(programs);
	for (unsigned int i = 0; i < ZS_PUBLISHED_POOLS; i++)
		zs_destroy_pool(pool[i]);
}

static void create_unpublished(const void *arg)
{
	struct zs_pool *pool = arg ? publish_pool("silent") : zs_create_pool("told");

	CHILD_CHECK(pool);
	CHILD_CHECK(!zs_is_err(zs_malloc(pool, 100, GFP_KERNEL, NUMA_NO_NODE)));
	zs_destroy_pool(pool);
}

/* @create has a pool that is not published, for an error: told if it is the user that asked. */
static void check_told(void (*create)(const void *arg), int error)
{
	char told[128];
	struct child child;

	snprintf(told, sizeof(told), "zsmalloc: pool \"told\": zs_create_pool: not published: %s\n",
		 strerror(error));
	setenv("ZSMALLOC_PUBLISH", "1", 1);
	child = run_in_child(create, NULL);
	unsetenv("ZSMALLOC_PUBLISH");
	assert_child_ended_well(&child);
	assert_string_equal(child.said, told);
	child = run_in_child(create, "");
	assert_child_ended_well(&child);
	assert_string_equal(child.said, "");
}

/* Without what was refused a pool works, unpublished. */
static void check_harmless(void)
{
	unsigned int files = entries_of("/proc/self/fd");
	unsigned int threads = entries_of("/proc/self/task");
	struct zs_pool *pool;

	check_told(create_unpublished, ENOMEM);
	errno = 0;
	pool = publish_pool("refused");
	assert_int_equal(errno, 0);
	assert_top_refuses(getpid(), "--json", 0, "publishes no pools");
	assert_works(pool);
	assert_int_equal(entries_of("/proc/self/fd"), files);
	assert_true(wait_for(threads_are_gone, &threads));
}

static void test_refused(void **state)
{
	atomic_bool *const refusals[] = { &refuse_memfd, &refuse_memory, &refuse_map };

	(void)state;
	for (unsigned int i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		atomic_store(refusals[i], true);
		check_harmless();
		atomic_store(refusals[i], false);
	}
	atomic_store(&refuse_worker, 2); /* the runtime's is the first */
	check_harmless();
}

static void create_where_files_are_limited(const void *arg)
{
	const struct rlimit none = { 0, 0 };

	CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
	create_unpublished(arg);
}

/* What is shared is a file, and SIGXFSZ would end the program. */
static void test_limit_of_files(void **state)
{
	(void)state;
	check_told(create_where_files_are_limited, EFBIG);
}

/* A pool that finds no room once others are published leaves these as they are. */
static void test_refused_later(void **state)
{
	struct zs_pool *pool = publish_pool("early"), *late;
	json_t *programs;

	(void)state;
	atomic_store(&refuse_memory, true);
	late = publish_pool("late");
	atomic_store(&refuse_memory, false);
	programs = programs_shown(getpid());
	assert_int_equal(json_array_size(pools_of(programs, getpid())), 1);
	json_decref(programs);
	assert_works(late);
	assert_works(pool);
}

/* The descriptor of what is published. */
static int published_file(void)
{
	char path[64], target[64];

	for (int file = 0; file < 1024; file++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
		length = readlink(path, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		if (strstr(target, ZS_PUBLISHED_NAME))
			return file;
	}
	fail_msg("nothing is published");
	return -1;
}

/* A program may close what it does not know, and use the number for a file of its own. */
static void test_closed(void **state)
{
	struct zs_pool *pool = publish_pool("cut off"), *late;
	int file = published_file();
	int own = memfd_create("the program's own", 0);
	struct stat stat;

	(void)state;
	assert_int_equal(dup2(own, file), file);
	late = publish_pool("late");
	assert_top_refuses(getpid(), "--json", 0, "publishes no pools");
	assert_works(late);
	assert_works(pool);
	assert_int_equal(fstat(file, &stat), 0); /* still open */
	assert_int_equal(stat.st_size, 0);
	close(file);
	close(own);
}

struct churn {
	struct zs_pool *pool;
	atomic_bool stop;
};

static void *churn_objects(void *arg)
{
	struct churn *churn = arg;
	unsigned long handle[256] = { 0 };

	for (unsigned int i = 0; !atomic_load(&churn->stop); i++) {
		unsigned long *place = &handle[i % 256];

		if (i % 3)
			zs_free_deferred(churn->pool, *place);
		else
			zs_free(churn->pool, *place);
		*place = object_alloc(churn->pool, 1 + i % page_size());
		if (i % 4096 == 0)
			zs_compact(churn->pool);
	}
	return NULL;
}

static void *churn_pools(void *arg)
{
	struct churn *churn = arg;

	while (!atomic_load(&churn->stop))
		zs_destroy_pool(publish_pool("short-lived"));
	return NULL;
}

/* Looks at pools that change, and that come and go. */
static void test_while_in_use(void **state)
{
	struct churn churn = { .pool = publish_pool("in use") };
	pthread_t objects, pools;

	(void)state;
	assert_int_equal(pthread_create(&objects, NULL, churn_objects, &churn), 0);
	assert_int_equal(pthread_create(&pools, NULL, churn_pools, &churn), 0);
	for (unsigned int i = 0; i < 5; i++) {
		json_t *programs = programs_shown(getpid());
		const json_t *pool = json_array_get(pools_of(programs, getpid()), 0);

		assert_string_equal(string_of(pool, "name"), "in use");
		assert_in_range(number_of(json_object_get(pool, "deferred"), "pending"), 0, 32768);
		json_decref(programs);
	}
	atomic_store(&churn.stop, true);
	pthread_join(objects, NULL);
	pthread_join(pools, NULL);
	zs_destroy_pool(churn.pool);
}

static void test_option(void **state)
{
	const struct zs_pool_options options = { .size = sizeof(options), .publish = 2 };

	(void)state;
	assert_null(zs_create_pool_with("wrong", &options));
	assert_int_equal(errno, EINVAL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_comes_and_goes),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_killed_and_stopped),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limit_of_files),
		cmocka_unit_test(test_refused_later),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_while_in_use),
		cmocka_unit_test(test_option),
	};

	if (argc != 2)
		return 2;
	command_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
