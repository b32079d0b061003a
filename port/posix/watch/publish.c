/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Showing pools to other programs: see include/zsmalloc_published.h for what they see.
 *
 * One thread a process, the publisher, sleeps on a futex until a reader asks, then counts every
 * pool that is published. It and the shared memory are there as long as such a pool is. The program
 * is never harmed: what can't be had leaves a pool unpublished, and memory is allocated before it
 * is written.
 *
 * Locks: publisher.setup, then publisher.lock. None is held while a lock of a pool's is waited for
 * but the page store's, which is a leaf.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "own_file.h"
#include "pool.h"
#include "publish.h"
#include "zsmalloc.h"
#include "zsmalloc_published.h"

_Static_assert(ZS_SIZE_STEPS <= ZS_PUBLISHED_CLASSES, "every class has its place");
_Static_assert(POOL_TENTHS == ZS_PUBLISHED_TENTHS, "tenths are counted as they are shown");
_Static_assert(POOL_NAME_MAX == sizeof(((struct zs_published_pool *)0)->name), "names fit");

_Static_assert(sizeof(struct zs_published_pool) % sizeof(u64) == 0, "a pool is whole words");

/* A pool as it is counted. */
struct counting {
	struct zs_published_pool pool;
	struct class_count class[ZS_PUBLISHED_CLASSES];
};

/* What counts a pool's store: see struct zs_pool_options. */
struct owner {
	void (*count_store)(const void *store, struct zs_published_store *to); /* NULL: none */
	const void *store;
};

static struct {
	pthread_mutex_t setup; /* protects what follows, up to the lock */
	struct own_file file;
	struct port_worker worker; /* the publisher's thread */
	pthread_mutex_t lock; /* protects what follows, and writing to what is shared */
	bool stopping; /* atomic: read without */
	struct zs_published *shared; /* NULL: nothing is published */
	struct zs_pool *pool[ZS_PUBLISHED_POOLS]; /* as in what is shared; NULL: none */
	u64 id[ZS_PUBLISHED_POOLS];
	struct owner owner[ZS_PUBLISHED_POOLS];
	u64 last_id;
} publisher = { .setup = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER };

bool publish_wanted(void)
{
	const char *wish = secure_getenv("ZSMALLOC_PUBLISH");

	return wish && strcmp(wish, "1") == 0;
}

/* May return early: see worker.c. Where a filter refuses the call, it sleeps for a while. */
static void futex_wait(u32 *word, u32 value)
{
	const struct timespec nap = { .tv_sec = 10 }, pause = { .tv_nsec = 10000000 };

	if (syscall(SYS_futex, word, FUTEX_WAIT, value, &nap, NULL, 0) &&
	    (errno == EPERM || errno == ENOSYS))
		nanosleep(&pause, NULL);
}

static void futex_wake(u32 *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Counts the queue, which all pools share. */
static void count_deferred(struct zs_published_pool *to)
{
	const struct queue *queue = &runtime.queue;

	to->drained = READ_ONCE(queue->drained);
	to->pending = queue_pending(queue);
	to->capacity = READ_ONCE(queue->capacity);
	to->queued = to->drained + to->pending;
	to->drains = READ_ONCE(queue->drains);
	to->longest_drain_ns = READ_ONCE(queue->longest_ns);
	to->fallbacks = 0;
	for (unsigned int reason = QUEUE_DONE + 1; reason < QUEUE_RESULTS; reason++)
		to->fallbacks += atomic64_read(&queue->fallbacks[reason]);
}

static void count_classes(struct zs_published_pool *to, const struct class_table *table,
			  const struct class_count *count)
{
	to->objects = 0;
	to->stored = 0;
	to->classes = table->count;
	for (u32 i = 0; i < table->count; i++) {
		struct zs_published_class *class = &to->class[i];

		class->size = table->geometry[i].size;
		class->pages = table->geometry[i].pages;
		class->slots = table->geometry[i].slots;
		memcpy(class->zspages, count[i].zspages, sizeof(class->zspages));
		class->objects = count[i].objects;
		class->held = count[i].pages;
		to->objects += class->objects;
		to->stored += class->objects * class->size;
	}
}

static void count_pool(struct counting *counting, struct zs_pool *pool, u64 id,
		       const struct owner *owner)
{
	struct zs_published_pool *to = &counting->pool;

	memset(counting, 0, sizeof(*counting));
	pool_count(pool, counting->class);
	to->id = id;
	memcpy(to->name, pool->name, sizeof(to->name));
	to->page_size = (u32)PORT_PAGE_SIZE;
	to->pages = atomic64_read(&pool->pages);
	to->resident = to->pages * PORT_PAGE_SIZE;
	to->pages_compacted = atomic64_read(&pool->pages_compacted);
	to->misuses = atomic64_read(&pool->misuses);
	if (owner->count_store)
		owner->count_store(owner->store, &to->store);
	count_deferred(to);
	count_classes(to, pool->table, counting->class);
}

/*
 * The beginning and the end of a writing. Each word is written with release. So a reader
 * that sees one by acquire then sees the odd number, or a later one.
 */
static void write_begin(struct zs_published *shared)
{
	WRITE_ONCE(shared->sequence, shared->sequence + 1);
}

static void write_end(struct zs_published *shared)
{
	smp_store_release(&shared->sequence, shared->sequence + 1); /* pairs with the first look */
}

static void write_present(struct zs_published *shared, u64 present)
{
	smp_store_release(&shared->present, present);
}

static void write_pool(struct zs_published_pool *to, const struct zs_published_pool *from)
{
	const u64 *source = (const u64 *)from;
	u64 *target = (u64 *)to;

	for (size_t i = 0; i < sizeof(*from) / sizeof(u64); i++)
		smp_store_release(&target[i], source[i]);
}

/* Without memory to count with, all stays as it was. */
static void write_all(struct zs_published *shared)
{
	struct counting *counting = port_alloc(sizeof(*counting), GFP_KERNEL);

	if (!counting)
		return;
	pthread_mutex_lock(&publisher.lock);
	write_begin(shared);
	for (unsigned int i = 0; i < ZS_PUBLISHED_POOLS; i++) {
		if (!publisher.pool[i])
			continue;
		count_pool(counting, publisher.pool[i], publisher.id[i], &publisher.owner[i]);
		write_pool(&shared->pool[i], &counting->pool);
		write_present(shared, shared->present | 1ULL << i);
	}
	write_end(shared);
	pthread_mutex_unlock(&publisher.lock);
	port_free(counting, sizeof(*counting));
}

/* The publisher's thread, until the last pool is unpublished. */
static void publish(void)
{
	struct zs_published *shared = publisher.shared;
	u32 served = 0;

	for (;;) {
		/* Pairs with the release of publisher_stop(), and of readers that ask. */
		u32 asked = smp_load_acquire(&shared->asked);

		if (READ_ONCE(publisher.stopping))
			return;
		if (asked == served) {
			futex_wait(&shared->asked, asked);
			continue;
		}
		write_all(shared);
		served = asked;
		smp_store_release(&shared->answered, served);
		futex_wake(&shared->answered);
	}
}

static void shared_close(void)
{
	munmap(publisher.shared, sizeof(*publisher.shared));
	publisher.shared = NULL;
	own_file_close(&publisher.file);
}

void publish_forked(void)
{
	if (publisher.shared)
		shared_close();
	memset(publisher.pool, 0, sizeof(publisher.pool));
	publisher.setup = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	publisher.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

/* Have memory for a part of what is shared, before it is written: it would be too late then. */
static bool shared_reserve(size_t offset, size_t bytes)
{
	return fallocate(publisher.file.number, 0, (off_t)offset, (off_t)bytes) == 0;
}

/* Returns whether a file may be so large. A signal would end a program that makes a larger one. */
static bool file_may_have(size_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur >= bytes)
		return true;
	errno = EFBIG;
	return false;
}

static bool shared_map(void)
{
	void *map;

	if (!file_may_have(sizeof(*publisher.shared)) ||
	    ftruncate(publisher.file.number, sizeof(*publisher.shared)) ||
	    !shared_reserve(0, offsetof(struct zs_published, pool)) ||
	    fcntl(publisher.file.number, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return false;
	map = mmap(NULL, sizeof(*publisher.shared), PROT_READ | PROT_WRITE, MAP_SHARED,
		   publisher.file.number, 0);
	if (map == MAP_FAILED)
		return false;
	publisher.shared = map;
	return true;
}

/* Makes what is shared; no reader takes it for that before it has a version. */
static bool shared_create(void)
{
	int number = memfd_create(ZS_PUBLISHED_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (!own_file_keep(&publisher.file, number))
		return false;
	if (!shared_map()) {
		close(number);
		return false;
	}
	publisher.shared->pid = (u32)getpid();
	smp_store_release(&publisher.shared->version, ZS_PUBLISHED_VERSION);
	return true;
}

/* Under the setup lock, with nothing published. Errno says why it failed. */
static bool publisher_start(void)
{
	if (!shared_create())
		return false;
	WRITE_ONCE(publisher.stopping, false);
	memset(&publisher.worker, 0, sizeof(publisher.worker));
	errno = -port_worker_init(&publisher.worker, publish);
	if (errno) {
		shared_close();
		return false;
	}
	port_worker_kick(&publisher.worker, 0);
	return true;
}

/* Under the setup lock, with the last pool unpublished. */
static void publisher_stop(void)
{
	WRITE_ONCE(publisher.stopping, true);
	/* Pairs with the acquire of the publisher, which others' additions may also wake. */
	__atomic_fetch_add(&publisher.shared->asked, 1, __ATOMIC_RELEASE);
	futex_wake(&publisher.shared->asked);
	port_worker_stop(&publisher.worker);
	shared_close();
}

/* The place of a pool, or with NULL the first that is free; ZS_PUBLISHED_POOLS if there is none. */
static unsigned int place_of(const struct zs_pool *pool)
{
	unsigned int i = 0;

	while (i < ZS_PUBLISHED_POOLS && publisher.pool[i] != pool)
		i++;
	return i;
}

static bool nothing_is_published(void)
{
	for (unsigned int i = 0; i < ZS_PUBLISHED_POOLS; i++)
		if (publisher.pool[i])
			return false;
	return true;
}

/* Under the setup lock. */
static bool place_take(struct zs_pool *pool, const struct zs_pool_options *wish)
{
	unsigned int place = place_of(NULL);

	if (place == ZS_PUBLISHED_POOLS) {
		errno = ENOSPC;
		return false;
	}
	if (!own_file_is_ours(&publisher.file)) {
		errno = EBADF;
		return false;
	}
	if (!shared_reserve(offsetof(struct zs_published, pool[place]),
			    sizeof(publisher.shared->pool[place])))
		return false;
	pthread_mutex_lock(&publisher.lock);
	publisher.pool[place] = pool;
	publisher.id[place] = ++publisher.last_id;
	publisher.owner[place] = (struct owner){ wish->count_store, wish->store };
	pthread_mutex_unlock(&publisher.lock);
	return true;
}

/* Under the setup lock. Errno says why it failed. */
static bool publish_pool(struct zs_pool *pool, const struct zs_pool_options *wish)
{
	if (!publisher.shared && !publisher_start())
		return false;
	if (place_take(pool, wish))
		return true;
	if (nothing_is_published()) {
		int why = errno;

		publisher_stop();
		errno = why;
	}
	return false;
}

void publish_add(struct zs_pool *pool, const struct zs_pool_options *wish)
{
	int old_errno = errno;

	pthread_mutex_lock(&publisher.setup);
	if (!publish_pool(pool, wish) && !wish->publish)
		dprintf(STDERR_FILENO, "zsmalloc: pool \"%s\": zs_create_pool: not published: %s\n",
			pool->name, strerror(errno));
	pthread_mutex_unlock(&publisher.setup);
	errno = old_errno;
}

void publish_remove(struct zs_pool *pool)
{
	unsigned int place;

	pthread_mutex_lock(&publisher.setup);
	place = place_of(pool);
	if (place < ZS_PUBLISHED_POOLS) {
		pthread_mutex_lock(&publisher.lock);
		publisher.pool[place] = NULL;
		write_begin(publisher.shared);
		write_present(publisher.shared, publisher.shared->present & ~(1ULL << place));
		write_end(publisher.shared);
		pthread_mutex_unlock(&publisher.lock);
		if (nothing_is_published())
			publisher_stop();
	}
	pthread_mutex_unlock(&publisher.setup);
}
