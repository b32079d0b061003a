/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Memory pressure: when the system tells of it, each pool that asks for that is drained, compacted
 * and trimmed at once. A pool that goes is not touched any more. Where nothing tells, or what it
 * takes can't be had, a pool is as good as any.
 *
 * A cgroup's limit tells where the test can make one. Else a fifo, which the environment names,
 * stands for the kernel's files, or files in a directory that stands for the root. Reaches inside:
 * port/posix/store.h. Wraps open(), to have files found there, and poll(), to have them tell of
 * pressure and to shorten the watcher's pauses. Wraps pool_compact(), to stop the watcher at work,
 * and what can be refused.
 */
#include "helpers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "pool.h"

/*
 * ThreadSanitizer does not let the child of a fork, which has lost its parent's threads, make its
 * own.
 */
#if defined(__SANITIZE_THREAD__)
#define CHILD_HAS_THREADS false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CHILD_HAS_THREADS false
#else
#define CHILD_HAS_THREADS true
#endif
#else
#define CHILD_HAS_THREADS true
#endif

#define OBJECTS 20000
#define SOURCES 2
#define HOLD_MS 200 /* how long a compaction waits for what must not be */

static const char *root; /* where the system's files are, if not at / */
static char scratch[] = "/tmp/test_pressure.XXXXXX";
static char fifo[64];
static int fifo_end;
static atomic_short said[SOURCES]; /* what poll() will tell of them */
static atomic_bool refuse_malloc, refuse_socketpair;
static atomic_int refuse_worker; /* calls till the one that fails; 0: none does */
static struct zs_pool *_Atomic hold; /* its compaction waits for what it must not */
static atomic_bool inside, destroyed, touched_late;
static atomic_int shortest_pause = INT_MAX, longest_pause; /* the watcher's, ms */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	char there[256];

	if (!root || (strncmp(path, "/sys/", 5) != 0 && strncmp(path, "/proc/", 6) != 0))
		return __real_open(path, flags, 0600);
	snprintf(there, sizeof(there), "%s%s", root, path);
	return __real_open(there, flags);
}

int __real_poll(struct pollfd *file, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *file, nfds_t count, int timeout);

int __wrap_poll(struct pollfd *file, nfds_t count, int timeout)
{
	int ready, patience = 50;

	if (count == 1) {
		if (timeout < atomic_load(&shortest_pause))
			atomic_store(&shortest_pause, timeout);
		if (timeout > atomic_load(&longest_pause))
			atomic_store(&longest_pause, timeout);
		return __real_poll(file, count, 0);
	}
	do {
		ready = __real_poll(file, count, 1);
		for (nfds_t i = 0; !ready && i + 1 < count; i++) {
			file[i].revents = file[i].fd < 0 ? 0 : atomic_exchange(&said[i], 0);
			ready = file[i].revents != 0;
		}
	} while (!ready && --patience);
	return ready;
}

unsigned long __real_pool_compact(struct zs_pool *pool);
unsigned long __wrap_pool_compact(struct zs_pool *pool);

unsigned long __wrap_pool_compact(struct zs_pool *pool)
{
	if (pool == atomic_load(&hold)) {
		atomic_store(&inside, true);
		for (unsigned int i = 0; i < HOLD_MS && !atomic_load(&destroyed); i++)
			usleep(1000);
		if (atomic_load(&destroyed)) {
			atomic_store(&touched_late, true);
			return 0;
		}
	}
	return __real_pool_compact(pool);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return atomic_load(&refuse_malloc) ? NULL : __real_malloc(size);
}

int __real_socketpair(int domain, int type, int protocol, int *ends);
int __wrap_socketpair(int domain, int type, int protocol, int *ends);

int __wrap_socketpair(int domain, int type, int protocol, int *ends)
{
	errno = EMFILE;
	if (atomic_load(&refuse_socketpair))
		return -1;
	return __real_socketpair(domain, type, protocol, ends);
}

int __real_port_worker_init(struct port_worker *worker, void (*run)(void));
int __wrap_port_worker_init(struct port_worker *worker, void (*run)(void));

int __wrap_port_worker_init(struct port_worker *worker, void (*run)(void))
{
	if (atomic_load(&refuse_worker) && atomic_fetch_sub(&refuse_worker, 1) == 1)
		return -ENOMEM;
	return __real_port_worker_init(worker, run);
}

static unsigned int entries_of(const char *path)
{
	DIR *directory = opendir(path);
	unsigned int entries = 0;

	assert_non_null(directory);
	while (readdir(directory))
		entries++;
	closedir(directory);
	return entries;
}

static unsigned int files_open(void)
{
	return entries_of("/proc/self/fd");
}

/* A thread that was joined may be seen a moment longer. */
static bool threads_are(void *number)
{
	return entries_of("/proc/self/task") == *(const unsigned int *)number;
}

static void tell(void)
{
	assert_int_equal(write(fifo_end, "", 1), 1);
}

/* A pool that gives nothing back by itself. */
static struct zs_pool *make_wasteful_pool(bool pressure)
{
	return make_pool((struct zs_pool_options){
		.deferred_delay_ms = NEVER_MS,
		.compact_share = ZS_COMPACT_NEVER,
		.pressure = pressure,
	});
}

/* One that is watched. */
static struct zs_pool *make_watched_pool(void)
{
	return make_wasteful_pool(true);
}

static bool is_sparse(const struct zs_pool *pool)
{
	return pool_reclaimable(pool) >= 64;
}

/* Have it much to give: pending frees, sparse zspages. */
static void waste(struct zs_pool *pool)
{
	unsigned long *handles = objects_make(pool, 1000, OBJECTS);

	for (unsigned int i = 0; i < OBJECTS; i++) {
		if (i % 4 == 1)
			zs_free(pool, handles[i]);
		else if (i % 4)
			zs_free_deferred(pool, handles[i]);
	}
	free(handles);
	assert_true(is_sparse(pool));
}

static size_t free_pages(void)
{
	struct port_store *store = &runtime.zspages.store;
	size_t pages;

	port_lock(&store->lock);
	pages = store->dirty_pages;
	port_unlock(&store->lock);
	return pages;
}

static bool is_relieved(void *arg)
{
	return !deferred_stat(arg, "pending") && !is_sparse(arg) && !free_pages();
}

static void assert_relieved(struct zs_pool *pool)
{
	assert_true(wait_for(is_relieved, pool));
}

static void assert_works(struct zs_pool *pool)
{
	unsigned long handle = object_make(pool, 100, 1);

	assert_true(object_holds(pool, handle, 100, 1));
	zs_free_deferred(pool, handle);
	zs_free_deferred_flush(pool);
}

/* All pools that are watched, again and again, and no other. */
static void test_relieved(void **state)
{
	struct zs_pool *pool[3], *other = make_wasteful_pool(false);
	unsigned int threads, files;

	(void)state;
	threads = entries_of("/proc/self/task");
	files = files_open();
	waste(other);
	for (unsigned int i = 0; i < 3; i++)
		pool[i] = make_watched_pool();
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 3; i++)
			waste(pool[i]);
		tell();
		for (unsigned int i = 0; i < 3; i++)
			assert_relieved(pool[i]);
	}
	assert_true(is_sparse(other));
	zs_destroy_pool(pool[1]); /* amid the others */
	waste(pool[0]);
	tell();
	assert_relieved(pool[0]);
	zs_destroy_pool(pool[0]);
	waste(pool[2]);
	tell();
	assert_relieved(pool[2]);
	zs_destroy_pool(pool[2]);
	assert_true(wait_for(threads_are, &threads));
	assert_int_equal(files_open(), files);
	zs_destroy_pool(other);
}

static void count_call(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static bool was_called(void *calls)
{
	return atomic_load((atomic_uint *)calls) > 0;
}

/* A pool's owner is told, of its own pool's relief, until the pool is gone. */
static void test_owner_is_told(void **state)
{
	atomic_uint calls = 0;
	struct zs_pool *other = make_watched_pool();
	struct zs_pool *pool = make_pool((struct zs_pool_options){
		.pressure = 1, .on_pressure = count_call, .on_pressure_arg = &calls });
	unsigned int told;

	(void)state;
	tell();
	assert_true(wait_for(was_called, &calls));
	zs_destroy_pool(pool);
	told = atomic_load(&calls);
	waste(other);
	tell();
	assert_relieved(other);
	assert_int_equal(atomic_load(&calls), told);
	zs_destroy_pool(other);
}

/* Nothing starts unasked: no thread but the runtime's worker, no file. */
static void test_unasked(void **state)
{
	unsigned int files = files_open(), threads = entries_of("/proc/self/task");
	struct zs_pool *pool = zs_create_pool("default");
	unsigned int more = threads + 1;

	(void)state;
	assert_non_null(pool);
	assert_int_equal(files_open(), files);
	assert_true(wait_for(threads_are, &more));
	zs_destroy_pool(pool);
}

static void make_directory(const char *path)
{
	char there[256];

	snprintf(there, sizeof(there), "%s%s", scratch, path);
	assert_true(mkdir(there, 0700) == 0 || errno == EEXIST);
}

static void make_file(const char *path, const char *text)
{
	char there[256];
	FILE *file;

	snprintf(there, sizeof(there), "%s%s", scratch, path);
	file = fopen(there, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *path)
{
	char there[256];

	snprintf(there, sizeof(there), "%s%s", scratch, path);
	assert_int_equal(remove(there), 0);
}

/* Whether the trigger was written to a file. */
static bool is_triggered(const char *path)
{
	const char trigger[] = "some 200000 2000000";
	char text[64] = "", there[256];
	FILE *file;
	bool same;

	snprintf(there, sizeof(there), "%s%s", scratch, path);
	file = fopen(there, "r");
	assert_non_null(file);
	same = fread(text, 1, sizeof(text), file) >= sizeof(trigger) &&
	       memcmp(text, trigger, sizeof(trigger)) == 0;
	fclose(file);
	return same;
}

#define CGROUP "/sys/fs/cgroup/a/b"
#define BESIDE "/sys/fs/cgroup/unified/a/b"
#define SYSTEM "/proc/pressure/memory"

static const char *const directories[] = {
	"/proc",
	"/proc/self",
	"/proc/pressure",
	"/sys",
	"/sys/fs",
	"/sys/fs/cgroup",
	"/sys/fs/cgroup/a",
	"/sys/fs/cgroup/a/b",
	"/sys/fs/cgroup/unified",
	"/sys/fs/cgroup/unified/a",
	"/sys/fs/cgroup/unified/a/b",
};
#define DIRECTORIES (sizeof(directories) / sizeof(directories[0]))

static void root_make(void)
{
	unsetenv("MEMORY_PRESSURE_WATCH");
	root = scratch;
	for (unsigned int i = 0; i < DIRECTORIES; i++)
		make_directory(directories[i]);
	make_file("/proc/self/cgroup", "12:memory:/other\n1:name=x:/0::/no\n0::/a/b\n");
	make_file(SYSTEM, "some avg10=0.00\nand more text than the trigger has\n");
}

static void root_remove(void)
{
	remove_file("/proc/self/cgroup");
	remove_file(SYSTEM);
	for (unsigned int i = DIRECTORIES; i-- > 0;)
		remove_file(directories[i]);
	root = NULL;
	setenv("MEMORY_PRESSURE_WATCH", fifo, 1);
}

static void assert_relieves(struct zs_pool *pool, unsigned int source, short what)
{
	waste(pool);
	atomic_store(&said[source], what);
	assert_relieved(pool);
}

/* The cgroup's own stalls, and what its limits tell; either may go. */
static void test_cgroup(void **state)
{
	struct zs_pool *pool;

	(void)state;
	root_make();
	make_file(CGROUP "/memory.pressure", "some avg10=0.00\nand more text than that\n");
	make_file(CGROUP "/memory.events", "low 0\nhigh 0\n");
	pool = make_watched_pool();
	assert_true(is_triggered(CGROUP "/memory.pressure"));
	assert_false(is_triggered(SYSTEM));
	assert_relieves(pool, 0, POLLPRI);
	assert_relieves(pool, 1, POLLPRI | POLLERR);
	assert_relieves(pool, 0, POLLPRI);
	atomic_store(&said[0], POLLERR | POLLPRI);
	while (atomic_load(&said[0]))
		usleep(1000);
	assert_relieves(pool, 1, POLLPRI | POLLERR);
	atomic_store(&said[0], POLLPRI); /* the watcher does not ask any more */
	assert_relieves(pool, 1, POLLPRI | POLLERR);
	assert_int_equal(atomic_exchange(&said[0], 0), POLLPRI);
	zs_destroy_pool(pool);
	remove_file(CGROUP "/memory.pressure");
	remove_file(CGROUP "/memory.events");
	root_remove();
}

/* Where version 2 is mounted beside version 1; without events. */
static void test_beside(void **state)
{
	struct zs_pool *pool;

	(void)state;
	root_make();
	make_file(BESIDE "/memory.pressure", "");
	pool = make_watched_pool();
	assert_true(is_triggered(BESIDE "/memory.pressure"));
	assert_false(is_triggered(SYSTEM));
	assert_relieves(pool, 0, POLLPRI);
	zs_destroy_pool(pool);
	remove_file(BESIDE "/memory.pressure");
	root_remove();
}

/* Events can be watched without permission to write; the stalls are the system's then. */
static void test_system(void **state)
{
	struct zs_pool *pool;

	(void)state;
	root_make();
	make_file(CGROUP "/memory.events", "high 0\n");
	pool = make_watched_pool();
	assert_true(is_triggered(SYSTEM));
	assert_relieves(pool, 0, POLLPRI | POLLERR);
	assert_relieves(pool, 1, POLLPRI);
	zs_destroy_pool(pool);
	remove_file(CGROUP "/memory.events");

	make_file("/proc/self/cgroup", "3:memory:/a/b\n"); /* no version 2 */
	make_file(SYSTEM, "");
	pool = make_watched_pool();
	assert_true(is_triggered(SYSTEM));
	assert_relieves(pool, 0, POLLPRI);
	zs_destroy_pool(pool);
	root_remove();
}

/* A pool that is not watched, for which there is no thread and no file. */
static void check_unwatched(void)
{
	unsigned int files = files_open(), threads = entries_of("/proc/self/task");
	struct zs_pool *pool;
	unsigned int more = threads + 1; /* the runtime's worker */

	errno = 0;
	pool = make_watched_pool();
	assert_int_equal(errno, 0);
	assert_int_equal(files_open(), files);
	assert_true(wait_for(threads_are, &more));
	assert_works(pool);
	zs_destroy_pool(pool);
	assert_int_equal(files_open(), files);
	assert_true(wait_for(threads_are, &threads));
}

static void test_nothing_tells(void **state)
{
	char nowhere[80];

	(void)state;
	setenv("MEMORY_PRESSURE_WATCH", "/dev/null", 1);
	check_unwatched();
	snprintf(nowhere, sizeof(nowhere), "%s/nowhere", scratch);
	setenv("MEMORY_PRESSURE_WATCH", nowhere, 1);
	check_unwatched();
	setenv("MEMORY_PRESSURE_WATCH", "", 1);
	check_unwatched();
	unsetenv("MEMORY_PRESSURE_WATCH");
	root = scratch; /* which is empty */
	check_unwatched();
	root = NULL;
	setenv("MEMORY_PRESSURE_WATCH", fifo, 1);
}

static void test_refused(void **state)
{
	(void)state;
	atomic_store(&refuse_worker, 2); /* the runtime's is the first */
	check_unwatched();
	assert_int_equal(atomic_load(&refuse_worker), 0);
	atomic_store(&refuse_socketpair, true);
	check_unwatched();
	atomic_store(&refuse_socketpair, false);
}

/* A pool that there is no memory to note is not watched; others are. */
static void test_no_memory(void **state)
{
	unsigned int files = files_open();
	struct zs_pool *first, *pool;

	(void)state;
	atomic_store(&refuse_malloc, true);
	first = make_watched_pool();
	atomic_store(&refuse_malloc, false);
	assert_non_null(first);
	assert_int_equal(files_open(), files);
	pool = make_watched_pool();
	waste(pool);
	tell();
	assert_relieved(pool);
	assert_works(first);
	zs_destroy_pool(pool);
	zs_destroy_pool(first);
	assert_int_equal(files_open(), files);
}

static void *destroy(void *arg)
{
	zs_destroy_pool(arg);
	atomic_store(&destroyed, true);
	return NULL;
}

static bool has_paused(void *arg)
{
	(void)arg;
	return atomic_load(&longest_pause) >= 9 * HOLD_MS;
}

/* A pool that is being compacted goes when that is done. */
static void test_destroyed_meanwhile(void **state)
{
	struct zs_pool *other = make_watched_pool(), *pool = make_watched_pool();
	pthread_t thread;

	(void)state;
	waste(pool);
	waste(other);
	atomic_store(&hold, pool);
	tell();
	while (!atomic_load(&inside))
		usleep(1000);
	assert_int_equal(pthread_create(&thread, NULL, destroy, pool), 0);
	pthread_join(thread, NULL);
	atomic_store(&hold, NULL);
	assert_false(atomic_load(&touched_late));
	assert_relieved(other);
	/* Then the watcher pauses, for nine times as long as that took, at least a second. */
	assert_true(wait_for(has_paused, NULL));
	assert_true(atomic_load(&shortest_pause) >= 1000);
	zs_destroy_pool(other);
}

static atomic_uint churning;

static void *churn(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 100; i++) {
		struct zs_pool *pool = make_watched_pool();

		for (unsigned int j = 0; j < 50; j++)
			zs_free_deferred(pool, object_alloc(pool, 100));
		zs_destroy_pool(pool);
	}
	atomic_fetch_sub(&churning, 1);
	return NULL;
}

/* Pools come and go while there is pressure all the time, the watcher with them. */
static void test_churn(void **state)
{
	unsigned int files = files_open();
	pthread_t thread[3];
	char text[512];

	(void)state;
	atomic_store(&churning, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, churn, NULL), 0);
	while (atomic_load(&churning)) {
		if (write(fifo_end, "", 1) < 0)
			assert_int_equal(errno, EAGAIN); /* the watcher knows already */
		usleep(100);
	}
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	while (read(fifo_end, text, sizeof(text)) > 0)
		;
	assert_int_equal(files_open(), files);
}

/* In the child of a fork: nothing of the parent's is left, and its own pools are watched. */
static void use_in_child(const void *files)
{
	struct zs_pool *pool;

	CHILD_CHECK(files_open() == *(const unsigned int *)files);
	strcat(fifo, ".child"); /* the parent's watcher would read the other */
	CHILD_CHECK(mkfifo(fifo, 0600) == 0 && setenv("MEMORY_PRESSURE_WATCH", fifo, 1) == 0);
	fifo_end = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	CHILD_CHECK(fifo_end >= 0);
	pool = make_watched_pool();
	CHILD_CHECK(remove(fifo) == 0);
	waste(pool);
	tell();
	CHILD_CHECK(wait_for(is_relieved, pool));
	zs_destroy_pool(pool);
}

static void test_fork(void **state)
{
	unsigned int files = files_open();
	struct zs_pool *pool;
	struct child child;

	(void)state;
	if (!CHILD_HAS_THREADS)
		skip();
	pool = make_watched_pool();
	child = run_in_child(use_in_child, &files);
	assert_child_ended_well(&child);
	zs_destroy_pool(pool);
	assert_int_equal(files_open(), files);
}

/* A program may close what it does not know, and use the numbers for files of its own. */
static void check_closed(int (*make_own)(void))
{
	struct zs_pool *pool;
	int own, first = dup(fifo_end), number;
	struct stat stat;

	assert_true(first >= 0);
	close(first); /* the lowest that is free */
	pool = make_watched_pool();
	own = make_own();
	assert_int_equal(own, first + 3);
	for (number = first; number < own; number++)
		assert_int_equal(dup2(own, number), number);
	zs_destroy_pool(pool);
	for (number = first; number <= own; number++) {
		assert_int_equal(fstat(number, &stat), 0); /* still open */
		assert_int_equal(stat.st_size, 0);
		close(number);
	}
}

static int own_file(void)
{
	return memfd_create("the program's own", 0);
}

/* For poll() there is never anything in it. */
static int own_quiet(void)
{
	return eventfd(0, 0);
}

static int own_peer;

static int own_socket(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	own_peer = pair[1];
	return pair[0];
}

static void test_closed(void **state)
{
	char byte;

	(void)state;
	check_closed(own_file);
	check_closed(own_quiet);
	check_closed(own_socket);
	assert_int_equal(recv(own_peer, &byte, 1, MSG_DONTWAIT), 0); /* nothing but its end */
	close(own_peer);
}

/* The system as it is. */
static void test_here(void **state)
{
	unsigned int files = files_open();
	struct zs_pool *pool;

	(void)state;
	unsetenv("MEMORY_PRESSURE_WATCH");
	pool = make_watched_pool();
	print_message("this system tells of pressure: %s\n", files_open() > files ? "yes" : "no");
	assert_works(pool);
	zs_destroy_pool(pool);
	assert_int_equal(files_open(), files);
	setenv("MEMORY_PRESSURE_WATCH", fifo, 1);
}

static void write_file(const char *directory, const char *name, const char *text)
{
	char path[600];
	int file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = open(path, O_WRONLY | O_CLOEXEC);
	CHILD_CHECK(file >= 0);
	CHILD_CHECK(write(file, text, strlen(text)) == (ssize_t)strlen(text));
	close(file);
}

/* Memory that the cgroup is charged for, and that goes again. */
static void touch_memory(void)
{
	const size_t length = 1 << 20;
	void *memory =
		mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHILD_CHECK(memory != MAP_FAILED);
	memset(memory, 1, length);
	munmap(memory, length);
}

/* In a cgroup of its own: its limit falls below what the pool could do without. */
static void use_in_cgroup(const void *cgroup)
{
	struct zs_pool *pool;

	write_file(cgroup, "cgroup.procs", "0");
	unsetenv("MEMORY_PRESSURE_WATCH");
	pool = make_watched_pool();
	waste(pool);
	write_file(cgroup, "memory.high", "16M"); /* the pool has 20, and needs 5 */
	for (unsigned int i = 0; i < WAIT_SECONDS * 10 && !is_relieved(pool); i++) {
		touch_memory();
		usleep(100000);
	}
	CHILD_CHECK(is_relieved(pool));
	zs_destroy_pool(pool);
}

/* Below the process's own cgroup. False if it can't be made, or has no limits. */
static bool cgroup_make(char *cgroup, size_t length)
{
	const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char line[256], own[256] = "/", high[600];
	FILE *file = fopen("/proc/self/cgroup", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "0::%255s", own) == 1)
			break;
	if (file)
		fclose(file);
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(cgroup, length, "%s%s/zsmalloc-%d", mounts[i], own, getpid());
		snprintf(high, sizeof(high), "%s/memory.high", cgroup);
		if (mkdir(cgroup, 0700))
			continue;
		if (access(high, W_OK) == 0)
			return true;
		rmdir(cgroup);
	}
	return false;
}

static bool is_removed(void *cgroup)
{
	return rmdir(cgroup) == 0;
}

/* A limit of the process's cgroup, where the test can make one. */
static void test_limit(void **state)
{
	struct child child;
	char cgroup[512];

	(void)state;
	if (!CHILD_HAS_THREADS)
		skip();
	if (!cgroup_make(cgroup, sizeof(cgroup))) {
		print_message("skipped: no cgroup with memory.high can be made here\n");
		skip();
	}
	child = run_in_child(use_in_cgroup, cgroup);
	assert_true(wait_for(is_removed, cgroup));
	assert_child_ended_well(&child);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(scratch))
		return -1;
	snprintf(fifo, sizeof(fifo), "%s/fifo", scratch);
	if (mkfifo(fifo, 0600) || setenv("MEMORY_PRESSURE_WATCH", fifo, 1))
		return -1;
	fifo_end = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return fifo_end < 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(fifo_end);
	return remove(fifo) || remove(scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relieved),      cmocka_unit_test(test_owner_is_told),
		cmocka_unit_test(test_unasked),	      cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_beside),	      cmocka_unit_test(test_system),
		cmocka_unit_test(test_nothing_tells), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_destroyed_meanwhile),
		cmocka_unit_test(test_churn),	      cmocka_unit_test(test_fork),
		cmocka_unit_test(test_closed),	      cmocka_unit_test(test_here),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
