/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Memory pressure: see pressure.h.
 *
 * One thread a process, the watcher, sleeps until the system tells of pressure, and then drains,
 * compacts and trims one pool after the other. It is there as long as such a pool is. It takes no
 * more than a tenth of a CPU, as it pauses for longer than it worked. A pool that has nothing to
 * give costs it microseconds.
 *
 * What tells: a trigger on the stalls that Linux counts (PSI) in the process's cgroup or, if that
 * can't be had, in the whole system. The events of the cgroup's memory limits tell too, and need no
 * permission and no PSI. Or only the file that the service manager names
 * (https://systemd.io/MEMORY_PRESSURE/). Where nothing tells, and where there is no memory or
 * thread, there is no watcher, and pools are as good as any.
 *
 * Locks: watcher.setup, then watcher.lock. None is held while a pool is at work.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "own_file.h"
#include "pool.h"
#include "pressure.h"

/*
 * When a task waited for memory for 200 ms of 2 s. That is what the service manager would have
 * written; a window of whole 2 s needs no privilege.
 */
#define TRIGGER "some 200000 2000000"

#define PAUSE_MS 1000 /* at least, from one time to the next */
#define PAUSE_FACTOR 9 /* times what the last one took */
#define LOOK_MS 10000 /* between looks whether to stop, if that can't be heard */
#define PATH_BYTES 4096
#define EVENTS_BYTES 512
#define SOURCES 2

/* What tells of pressure. */
struct source {
	struct own_file file;
	enum {
		SOURCE_GONE,
		SOURCE_STALLS, /* a trigger, for which poll() has priority data */
		SOURCE_EVENTS, /* a file of counts, for which it has them until it was read again */
		SOURCE_STREAM, /* what comes is of no interest but that it comes */
	} kind;
};

/* A pool that is watched. */
struct watched {
	struct watched *next;
	struct zs_pool *pool;
	void (*call)(void *arg); /* or NULL */
	void *arg;
};

static struct {
	pthread_mutex_t setup; /* protects what follows, up to the lock */
	bool running;
	struct port_worker worker; /* the watcher's thread */
	struct own_file stop[2]; /* a pair of sockets: the watcher listens to the first */
	atomic_t stopping; /* nor has it to hear that: the program may have closed them */
	struct source source[SOURCES]; /* the watcher's while it is running */
	unsigned int sources;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t done; /* with a pool */
	struct watched *pools;
	const struct watched *busy; /* the watcher is at work with it */
} watcher = {
	.setup = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
};

/*
 * Gives back first what can be had without work. The system slows a process above its limit down at
 * each page that it touches, the watcher too.
 */
static void relieve(const struct watched *watched)
{
	drain_flush();
	port_store_trim(&runtime.zspages.store, true);
	pool_compact(watched->pool);
	if (watched->call)
		watched->call(watched->arg);
}

static void relieve_pools(void)
{
	pthread_mutex_lock(&watcher.lock);
	for (const struct watched *at = watcher.pools; at; at = at->next) {
		watcher.busy = at; /* so it stays */
		pthread_mutex_unlock(&watcher.lock);
		relieve(at);
		pthread_mutex_lock(&watcher.lock);
		watcher.busy = NULL;
		pthread_cond_broadcast(&watcher.done);
	}
	pthread_mutex_unlock(&watcher.lock);
}

/* Whether a source, of which poll() said something, tells of pressure. */
static bool source_tells(struct source *source, short said)
{
	char text[EVENTS_BYTES];
	bool tells = said & (POLLPRI | POLLIN);
	bool gone = !own_file_is_ours(&source->file);

	if (!gone && source->kind == SOURCE_EVENTS)
		gone = pread(source->file.number, text, sizeof(text), 0) <= 0;
	else if (!gone && source->kind == SOURCE_STREAM)
		gone = read(source->file.number, text, sizeof(text)) <= 0 && errno != EAGAIN;
	else if (!gone)
		gone = said & (POLLERR | POLLHUP | POLLNVAL);
	if (gone)
		source->kind = SOURCE_GONE;
	return tells && !gone;
}

enum awaited {
	AWAITED_NOTHING,
	AWAITED_PRESSURE,
	AWAITED_STOP,
};

/* Waits for the first @sources sources, at most @timeout milliseconds. */
static enum awaited await(unsigned int sources, int timeout)
{
	struct pollfd file[SOURCES + 1];
	bool pressure = false;

	if (atomic_read(&watcher.stopping) || !own_file_is_ours(&watcher.stop[0]))
		return AWAITED_STOP; /* it could not be told later */
	for (unsigned int i = 0; i < sources; i++) {
		const struct source *source = &watcher.source[i];

		file[i].fd = source->kind == SOURCE_GONE ? -1 : source->file.number;
		file[i].events = source->kind == SOURCE_STREAM ? POLLIN : POLLPRI;
	}
	file[sources] = (struct pollfd){ .fd = watcher.stop[0].number, .events = POLLIN };
	if (poll(file, sources + 1, timeout) < 0)
		return errno == EINTR ? AWAITED_NOTHING : AWAITED_STOP;
	if (file[sources].revents)
		return AWAITED_STOP;
	for (unsigned int i = 0; i < sources; i++)
		if (file[i].fd >= 0 && file[i].revents)
			pressure |= source_tells(&watcher.source[i], file[i].revents);
	return pressure ? AWAITED_PRESSURE : AWAITED_NOTHING;
}

/* The watcher's thread, until the last pool is gone. */
static void watch(void)
{
	enum awaited awaited;

	while ((awaited = await(watcher.sources, LOOK_MS)) != AWAITED_STOP) {
		u64 start = port_now();
		u64 pause_ms;

		if (awaited != AWAITED_PRESSURE)
			continue;
		relieve_pools();
		pause_ms = (port_now() - start) * PAUSE_FACTOR / 1000000;
		if (pause_ms < PAUSE_MS)
			pause_ms = PAUSE_MS;
		if (await(0, (int)pause_ms) == AWAITED_STOP)
			return;
	}
}

static struct source *source_open(const char *path, int flags)
{
	struct source *source = &watcher.source[watcher.sources];

	if (!own_file_keep(&source->file, open(path, flags | O_CLOEXEC | O_NONBLOCK)))
		return NULL;
	watcher.sources++;
	return source;
}

/* Close the last one. */
static void source_close(void)
{
	own_file_close(&watcher.source[--watcher.sources].file);
}

/* Have the system tell of stalls, by a file of PSI's or what stands for one. */
static bool stalls_open(const char *path)
{
	struct source *source = source_open(path, O_RDWR);
	struct stat stat;

	if (!source)
		return false;
	if (fstat(source->file.number, &stat)) {
		source_close();
		return false;
	}
	source->kind = S_ISFIFO(stat.st_mode) ? SOURCE_STREAM : SOURCE_STALLS;
	if (source->kind == SOURCE_STALLS &&
	    (!S_ISREG(stat.st_mode) || write(source->file.number, TRIGGER, sizeof(TRIGGER)) < 0)) {
		source_close();
		return false;
	}
	return true;
}

/* Have the system tell of the events of the cgroup's limits, from now on. */
static bool events_open(const char *path)
{
	struct source *source = source_open(path, O_RDONLY);
	char text[EVENTS_BYTES];

	if (!source)
		return false;
	source->kind = SOURCE_EVENTS;
	if (pread(source->file.number, text, sizeof(text), 0) <= 0) {
		source_close();
		return false;
	}
	return true;
}

/* The path of the process's cgroup (version 2) below where that is mounted. */
static bool cgroup_find(char path[PATH_BYTES])
{
	char text[PATH_BYTES];
	const char *line;
	ssize_t length;
	int file = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return false;
	length = read(file, text, sizeof(text) - 1);
	close(file);
	text[length > 0 ? length : 0] = '\0';
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		snprintf(path, PATH_BYTES, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
		return true;
	}
	return false;
}

/* What the process's cgroup has. True if that tells of stalls. */
static bool cgroup_open(void)
{
	/* Where version 2 is mounted: alone, or beside version 1. */
	static const char *const mount[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char cgroup[PATH_BYTES], path[PATH_BYTES + 64];
	bool stalls = false;

	if (!cgroup_find(cgroup))
		return false;
	for (unsigned int i = 0; i < 2 && !watcher.sources; i++) {
		snprintf(path, sizeof(path), "%s%s/memory.pressure", mount[i], cgroup);
		stalls = stalls_open(path);
		snprintf(path, sizeof(path), "%s%s/memory.events", mount[i], cgroup);
		events_open(path);
	}
	return stalls;
}

static void sources_open(void)
{
	const char *named = secure_getenv("MEMORY_PRESSURE_WATCH");

	watcher.sources = 0;
	if (named)
		stalls_open(named);
	else if (!cgroup_open())
		stalls_open("/proc/pressure/memory");
}

static void files_close(void)
{
	while (watcher.sources)
		source_close();
	own_file_close(&watcher.stop[0]);
	own_file_close(&watcher.stop[1]);
}

static bool files_open(void)
{
	int stop[2];

	sources_open();
	if (watcher.sources && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stop) == 0) {
		if (own_file_keep(&watcher.stop[0], stop[0]) &&
		    own_file_keep(&watcher.stop[1], stop[1]))
			return true;
		close(stop[0]);
		close(stop[1]);
	}
	while (watcher.sources)
		source_close();
	return false;
}

void pressure_forked(void)
{
	if (watcher.running)
		files_close();
	watcher.running = false;
	watcher.pools = NULL;
	watcher.busy = NULL;
	watcher.setup = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	watcher.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	watcher.done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}

/* Under the setup lock. */
static bool watcher_start(void)
{
	if (!files_open())
		return false;
	memset(&watcher.worker, 0, sizeof(watcher.worker));
	atomic_set(&watcher.stopping, 0);
	if (port_worker_init(&watcher.worker, watch)) {
		files_close();
		return false;
	}
	port_worker_kick(&watcher.worker, 0);
	watcher.running = true;
	return true;
}

/*
 * Under the setup lock, with no pool left. If the pipe is not ours any more, the watcher has seen
 * it.
 */
static void watcher_stop(void)
{
	atomic_set(&watcher.stopping, 1);
	if (own_file_is_ours(&watcher.stop[1]))
		send(watcher.stop[1].number, "", 1, MSG_NOSIGNAL);
	port_worker_stop(&watcher.worker);
	files_close();
	watcher.running = false;
}

/* Under the setup lock, without which none comes. */
static bool nothing_is_watched(void)
{
	bool nothing;

	pthread_mutex_lock(&watcher.lock);
	nothing = !watcher.pools;
	pthread_mutex_unlock(&watcher.lock);
	return nothing;
}

/* Without memory it is not watched. */
static void pool_watch(struct zs_pool *pool, void (*call)(void *arg), void *arg)
{
	struct watched *watched = malloc(sizeof(*watched));

	if (!watched)
		return;
	watched->pool = pool;
	watched->call = call;
	watched->arg = arg;
	pthread_mutex_lock(&watcher.lock);
	watched->next = watcher.pools;
	watcher.pools = watched;
	pthread_mutex_unlock(&watcher.lock);
}

static void pool_unwatch(const struct zs_pool *pool)
{
	struct watched **link = &watcher.pools;
	struct watched *watched;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* a wait may be cancelled */
	pthread_mutex_lock(&watcher.lock);
	while (watcher.busy && watcher.busy->pool == pool)
		pthread_cond_wait(&watcher.done, &watcher.lock);
	while (*link && (*link)->pool != pool)
		link = &(*link)->next;
	watched = *link;
	if (watched)
		*link = watched->next;
	pthread_mutex_unlock(&watcher.lock);
	pthread_setcancelstate(cancel, NULL);
	free(watched);
}

void pressure_add(struct zs_pool *pool, void (*call)(void *arg), void *arg)
{
	int old_errno = errno;

	pthread_mutex_lock(&watcher.setup);
	if (watcher.running || watcher_start()) {
		pool_watch(pool, call, arg);
		if (nothing_is_watched())
			watcher_stop();
	}
	pthread_mutex_unlock(&watcher.setup);
	errno = old_errno;
}

void pressure_remove(const struct zs_pool *pool)
{
	pool_unwatch(pool); /* which others need not wait for */
	pthread_mutex_lock(&watcher.setup);
	if (watcher.running && nothing_is_watched())
		watcher_stop();
	pthread_mutex_unlock(&watcher.setup);
}
