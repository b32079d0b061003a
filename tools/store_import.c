/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Importing: threads take chunks of the input in turn. Reading and hashing go in order, under a
 * lock; compressing, which takes the time, does not.
 *
 * A page that meets the limit waits until pages have gone to the write-back file. What ends the
 * import is noted once, and said by the main thread.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "allowance.h"
#include "util.h"

enum {
	MOST_THREADS = 64,
	ROUND_PAGES = 4096, /* that leave memory at once */
	SAMPLES = 1024, /* pages that a dictionary is made of */
	SAMPLES_PER_BYTE = 100, /* bytes of them for a byte of the dictionary */
};

/* Of an input that does not tell: its table takes a 256th of this in addresses, no memory. */
static const uint64_t most_unknown = UINT64_C(1) << 40;

struct import {
	struct store_job *job;
	pthread_mutex_t reading; /* protects what follows, up to the next lock, and the input */
	XXH3_state_t *hash;
	bool ended;
	pthread_mutex_t making_room; /* held by a round of write-back */
	atomic_uint rounds; /* that made room; written under the lock */
	pthread_mutex_t failing; /* protects what follows */
	char *failure; /* the first one; NULL: all is well */
};

const char *store_name(const char *path, const char *standard)
{
	return strcmp(path, "-") == 0 ? standard : path;
}

static const char *input_name(const struct store_job *job)
{
	return store_name(job->input, "standard input");
}

void store_open_input(struct store_job *job)
{
	struct stat stat;
	off_t end;

	job->file = STDIN_FILENO;
	if (strcmp(job->input, "-") != 0)
		job->file = open(job->input, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (job->file < 0 || fstat(job->file, &stat) != 0)
		fail("cannot read \"%s\": %s", input_name(job), strerror(errno));
	if (S_ISDIR(stat.st_mode))
		fail("cannot read \"%s\": %s", input_name(job), strerror(EISDIR));
	if (job->file == STDIN_FILENO)
		return;
	end = S_ISREG(stat.st_mode) || S_ISBLK(stat.st_mode) ? lseek(job->file, 0, SEEK_END) : 0;
	if (end > 0 && lseek(job->file, 0, SEEK_SET) == 0)
		job->size = (uint64_t)end;
}

/*
 * Making the store.
 */

/* Reads pages that lie all over the input. Returns how many. */
static size_t read_samples(const struct store_job *job, unsigned char *samples)
{
	uint64_t pages = job->size / job->page_size;
	size_t count = pages < SAMPLES ? (size_t)pages : SAMPLES;

	for (size_t i = 0; i < count; i++) {
		off_t at = (off_t)(i * pages / count * job->page_size);

		if (pread(job->file, samples + i * job->page_size, job->page_size, at) !=
		    (ssize_t)job->page_size)
			fail("cannot read \"%s\": %s", input_name(job),
			     strerror(errno ? errno : EIO));
	}
	return count;
}

static void train_dictionary(struct store_job *job)
{
	size_t room = SAMPLES * job->page_size;
	unsigned char *samples = zeroed(1, room, "a dictionary's samples");
	unsigned char *dictionary = zeroed(1, room / SAMPLES_PER_BYTE, "a dictionary");
	size_t count;
	int64_t size;

	if (!job->size)
		fail("--dictionary needs an input that can be read twice: a file or a device");
	errno = 0;
	count = read_samples(job, samples);
	size = zram_train_dictionary(samples, count, dictionary, room / SAMPLES_PER_BYTE);
	if (size < 0)
		fail("\"%s\" makes no dictionary: %zu pages to learn from are too few, or too "
		     "alike; leave --dictionary out",
		     input_name(job), count);
	job->options.dictionary = dictionary;
	job->options.dictionary_size = (size_t)size;
	free(samples);
}

static void set_backing(const struct store_job *job)
{
	int err = zram_set_backing(job->store, job->writeback);

	if (err == -ENOENT)
		fail("--writeback: there is no \"%s\"; make it, like truncate -s 4G %s",
		     job->writeback, job->writeback);
	if (err == -ENOSPC)
		fail("--writeback: \"%s\" has no room for a page; its size says how much goes "
		     "there, like truncate -s 4G %s",
		     job->writeback, job->writeback);
	if (err)
		fail("--writeback: \"%s\": %s", job->writeback, strerror(-err));
}

static void make_store(struct store_job *job)
{
	struct zram_options *options = &job->options;

	options->size = sizeof(*options);
	options->disksize = job->size ? job->size : most_unknown;
	if (job->dictionary)
		train_dictionary(job);
	job->store = zram_create(options);
	if (!job->store && errno == EINVAL)
		fail("--level: %s has no level %d", options->algorithm, options->level);
	if (!job->store)
		fail("no memory for a store: %s", strerror(errno));
	free((void *)options->dictionary);
	options->dictionary = NULL;
	if (job->writeback)
		set_backing(job);
}

/*
 * Filling it.
 */

static void __attribute__((format(printf, 2, 3)))
stop(struct import *import, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	pthread_mutex_lock(&import->failing);
	if (!import->failure && vasprintf(&import->failure, format, args) < 0)
		import->failure = strdup("no memory for a message");
	pthread_mutex_unlock(&import->failing);
	va_end(args);
}

static bool is_stopped(struct import *import)
{
	bool stopped;

	pthread_mutex_lock(&import->failing);
	stopped = import->failure != NULL;
	pthread_mutex_unlock(&import->failing);
	return stopped;
}

/* Reads the next chunk. Returns its bytes, 0 at the end, and the first page that it fills. */
static size_t read_chunk(struct import *import, unsigned char *chunk, uint64_t *first)
{
	struct store_job *job = import->job;
	uint64_t most = job->size ? job->size : most_unknown;
	size_t filled = 0;

	pthread_mutex_lock(&import->reading);
	*first = job->bytes / job->page_size;
	while (!import->ended && filled < CHUNK_PAGES * job->page_size) {
		ssize_t got =
			read(job->file, chunk + filled, CHUNK_PAGES * job->page_size - filled);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			stop(import, "cannot read \"%s\": %s, after %.1f MiB", input_name(job),
			     strerror(errno), mib(job->bytes + filled));
		if (got <= 0) {
			import->ended = true;
			break;
		}
		filled += (size_t)got;
	}
	if (job->bytes + filled > most) {
		stop(import, "\"%s\" has more than the %.1f MiB that %s", input_name(job),
		     mib(most),
		     job->size ? "it had at first: it grows; import a copy" :
				 "a store takes of a pipe; import a file");
		import->ended = true;
		filled = 0;
	}
	job->bytes += filled;
	XXH3_64bits_update(import->hash, chunk, filled);
	pthread_mutex_unlock(&import->reading);
	return filled;
}

static uint64_t backed_pages(const struct store_job *job)
{
	struct zram_bd_stat stat;

	zram_get_bd_stat(job->store, &stat);
	return stat.bd_count;
}

static void stop_at_limit(struct import *import)
{
	const struct store_job *job = import->job;

	if (job->own_limit)
		stop(import,
		     "--limit %.1f MiB is reached after %.1f MiB of \"%s\"; raise it, take a "
		     "denser --algorithm, or give a file to --writeback",
		     mib(job->options.mem_limit), mib(job->bytes), input_name(job));
	else
		stop(import,
		     "the %.1f MiB that this machine leaves are full after %.1f MiB of \"%s\"; "
		     "take a denser --algorithm, or --limit with a file to --writeback",
		     mib(job->options.mem_limit), mib(job->bytes), input_name(job));
}

/*
 * Moves pages to the write-back file, for a page that met the limit when @seen rounds were over.
 * Returns whether there is room now. Another thread's round may have moved all that there was.
 */
static bool make_room(struct import *import, unsigned int seen)
{
	const struct zram_select select = { .size = sizeof(select), .max_pages = ROUND_PAGES };
	const struct store_job *job = import->job;
	uint64_t before = 0;
	int64_t moved = 0;
	bool some = true;

	if (!job->writeback) {
		stop_at_limit(import);
		return false;
	}
	pthread_mutex_lock(&import->making_room);
	if (atomic_load(&import->rounds) == seen) {
		before = backed_pages(job);
		moved = zram_writeback(job->store, &select);
		some = backed_pages(job) > before;
		zram_compact(job->store);
		atomic_fetch_add(&import->rounds, some);
	}
	pthread_mutex_unlock(&import->making_room);
	if (some)
		return true;
	if (moved == -ENOSPC)
		stop(import,
		     "--writeback: \"%s\" is full, with %.1f MiB, after %.1f MiB of \"%s\"; make "
		     "it larger, or raise --limit",
		     job->writeback, mib(before * job->page_size), mib(job->bytes),
		     input_name(job));
	else if (moved < 0)
		stop(import, "--writeback: cannot write \"%s\": %s; see to it, or name another",
		     job->writeback, strerror((int)-moved));
	else
		stop(import, "--limit: %.1f MiB are too few to work in; raise it",
		     mib(job->options.mem_limit));
	return false;
}

static bool write_page(struct import *import, uint64_t index, const void *page)
{
	unsigned int seen;
	int err;

	do {
		seen = atomic_load(&import->rounds);
		err = zram_write_page(import->job->store, index, page);
	} while (err == -ENOMEM && make_room(import, seen));
	if (err && err != -ENOMEM)
		stop(import, "cannot store page %llu: %s", (unsigned long long)index,
		     strerror(-err));
	return !err;
}

static void *fill(void *argument)
{
	struct import *import = argument;
	size_t page_size = import->job->page_size;
	unsigned char *chunk = zeroed(CHUNK_PAGES, page_size, "a part of the input");
	uint64_t first;
	size_t size;

	while (!is_stopped(import) && (size = read_chunk(import, chunk, &first))) {
		size_t pages = (size + page_size - 1) / page_size;

		memset(chunk + size, 0, pages * page_size - size);
		for (size_t i = 0; i < pages && !is_stopped(import); i++)
			write_page(import, first + i, chunk + i * page_size);
		progress_add(pages);
	}
	free(chunk);
	return NULL;
}

static void run_threads(struct import *import)
{
	unsigned int count = allowance_find("").cpus;
	pthread_t threads[MOST_THREADS];
	unsigned int started = 0;

	if (count > MOST_THREADS)
		count = MOST_THREADS;
	/* The main thread is one of them, so that the work is done with no other, too. */
	while (started + 1 < count && pthread_create(&threads[started], NULL, fill, import) == 0)
		started++;
	fill(import);
	while (started > 0)
		pthread_join(threads[--started], NULL);
}

void store_import(struct store_job *job)
{
	struct import import = {
		.job = job,
		.reading = PTHREAD_MUTEX_INITIALIZER,
		.hash = XXH3_createState(),
		.making_room = PTHREAD_MUTEX_INITIALIZER,
		.failing = PTHREAD_MUTEX_INITIALIZER,
	};
	uint64_t start;

	if (!import.hash || XXH3_64bits_reset(import.hash) == XXH_ERROR)
		fail("no memory for a hash");
	make_store(job);
	start = now_ns();
	progress_begin("Importing", job->size / job->page_size);
	store_watch(job);
	run_threads(&import);
	progress_end();
	if (import.failure)
		fail("%s", import.failure);
	if (job->bytes < job->size)
		fail("\"%s\" had %.1f MiB and ended after %.1f: it shrinks; import a copy",
		     input_name(job), mib(job->size), mib(job->bytes));
	job->import_ns = now_ns() - start;
	job->size = job->bytes;
	job->hash = XXH3_64bits_digest(import.hash);
	XXH3_freeState(import.hash);
	close(job->file);
}
