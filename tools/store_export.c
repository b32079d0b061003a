/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Exporting. A file is written under another name, made durable, read again if that is asked for,
 * and then renamed. So a file of the output's name is whole, whenever the command ends. Devices and
 * pipes are written where they are.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "util.h"

static struct {
	const char *name; /* for messages */
	char *target; /* the path that a file gets */
	char *volatile partial; /* the path that it has until then; NULL: none */
	int file; /* -1: none */
	bool device; /* that can be read again */
	uint64_t done; /* bytes */
	uint64_t size; /* bytes */
} output = { .file = -1 };

static void remove_partial(void)
{
	if (output.partial)
		unlink(output.partial);
	output.partial = NULL;
}

/* Ends as the signal would have, without the file. */
static void remove_and_end(int number)
{
	remove_partial();
	signal(number, SIG_DFL);
	raise(number);
}

static void remove_at_end(void)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM };

	atexit(remove_partial);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (signal(numbers[i], remove_and_end) == SIG_IGN)
			signal(numbers[i], SIG_IGN);
	/* A limit of file sizes is an error of write(). */
	signal(SIGXFSZ, SIG_IGN);
}

/* What is left of an output that was not finished. */
static const char *what_is_left(void)
{
	return output.target || !output.done ? "" : "; it holds a part";
}

static void __attribute__((noreturn)) cannot_write(const char *why)
{
	if (output.size)
		fail("cannot write \"%s\": %s, after %.1f of %.1f MiB%s", output.name, why,
		     mib(output.done), mib(output.size), what_is_left());
	fail("cannot write \"%s\": %s", output.name, why);
}

/* What is printed goes to stderr from now on, and nothing else to stdout. */
static void open_stdout(void)
{
	output.file = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (output.file < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		cannot_write(strerror(errno));
	if ((fcntl(output.file, F_GETFL) & O_ACCMODE) == O_RDONLY)
		cannot_write(strerror(EBADF));
	if (isatty(output.file))
		fail("standard output is a terminal; send it to a file or a pipe");
}

static void open_in_place(const char *path, mode_t mode, uint64_t size)
{
	off_t room;

	/* O_EXCL refuses a device that is mounted. */
	output.device = S_ISBLK(mode);
	output.file =
		open(path, (output.device ? O_RDWR | O_EXCL : O_WRONLY) | O_CLOEXEC | O_NOCTTY);
	if (output.file < 0)
		cannot_write(strerror(errno));
	room = output.device ? lseek(output.file, 0, SEEK_END) : 0;
	if (output.device && room >= 0 && (uint64_t)room < size)
		fail("\"%s\" is too small: it has %.1f MiB, and \"%s\" %.1f; nothing was written",
		     path, mib((uint64_t)room), "the input", mib(size));
}

/* @old is what has the path now, NULL for nothing. */
static void open_partial(const char *path, const struct stat *old)
{
	mode_t mask = umask(0);
	char *partial;

	umask(mask);
	if (old && access(path, W_OK) != 0)
		cannot_write(strerror(errno));
	output.target = old ? realpath(path, NULL) : strdup(path);
	if (!output.target || asprintf(&partial, "%s.partial-XXXXXX", output.target) < 0)
		fail("no memory for a name");
	remove_at_end();
	output.file = mkostemp(partial, O_CLOEXEC);
	if (output.file < 0)
		cannot_write(strerror(errno));
	output.partial = partial;
	if (fchmod(output.file, old ? old->st_mode & 0777 : 0666 & ~mask) != 0)
		cannot_write(strerror(errno));
}

void store_open_output(const struct store_job *job)
{
	struct stat stat;
	bool exists;

	if (!job->output)
		return;
	output.name = store_name(job->output, "standard output");
	if (strcmp(job->output, "-") == 0) {
		open_stdout();
		return;
	}
	exists = fstatat(AT_FDCWD, job->output, &stat, 0) == 0;
	if (exists && S_ISDIR(stat.st_mode))
		cannot_write(strerror(EISDIR));
	if (exists && !S_ISREG(stat.st_mode))
		open_in_place(job->output, stat.st_mode, job->size);
	else
		open_partial(job->output, exists ? &stat : NULL);
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
	return *bytes == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static void write_chunk(const unsigned char *bytes, size_t size)
{
	/* A new file has zeros where nothing was written, and takes no space for them. */
	if (output.target && is_zero(bytes, size)) {
		output.done += size;
		return;
	}
	while (size > 0) {
		ssize_t written = output.target || output.device ?
					  pwrite(output.file, bytes, size, (off_t)output.done) :
					  write(output.file, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			cannot_write(strerror(written ? errno : ENOSPC));
		bytes += written;
		size -= (size_t)written;
		output.done += (uint64_t)written;
	}
}

static void read_page(const struct store_job *job, uint64_t index, unsigned char *page)
{
	int err = zram_read_page(job->store, index, page);

	if (!err)
		return;
	if (job->writeback)
		fail("page %llu does not come back from --writeback \"%s\": %s; it shrank, was "
		     "written to, or fails%s",
		     (unsigned long long)index, job->writeback, strerror(-err), what_is_left());
	complain("page %llu is damaged: %s; have this machine's memory tested%s",
		 (unsigned long long)index, strerror(-err), what_is_left());
	exit(STATUS_BROKEN);
}

/* Hashes all pages, and writes them if there is an output. */
static void write_pages(const struct store_job *job, XXH3_state_t *hash, unsigned char *chunk)
{
	size_t page_size = job->page_size;

	for (uint64_t at = 0; at < job->bytes;) {
		uint64_t left = job->bytes - at;
		size_t most = CHUNK_PAGES * page_size;
		size_t size = left < most ? (size_t)left : most;

		for (size_t i = 0; i * page_size < size; i++)
			read_page(job, at / page_size + i, chunk + i * page_size);
		XXH3_64bits_update(hash, chunk, size);
		if (output.file >= 0)
			write_chunk(chunk, size);
		at += size;
		progress_add(size / page_size);
	}
}

/* Hashes what is in the file, from the disk as far as the system lets the page cache go. */
static void read_again(const struct store_job *job, XXH3_state_t *hash, unsigned char *chunk)
{
	posix_fadvise(output.file, 0, 0, POSIX_FADV_DONTNEED);
	for (uint64_t at = 0; at < job->bytes;) {
		uint64_t left = job->bytes - at;
		size_t most = CHUNK_PAGES * job->page_size;
		ssize_t got =
			pread(output.file, chunk, left < most ? (size_t)left : most, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			fail("cannot read \"%s\" again: %s%s", output.name, strerror(errno),
			     what_is_left());
		if (got == 0)
			return;
		XXH3_64bits_update(hash, chunk, (size_t)got);
		at += (uint64_t)got;
		progress_add((size_t)got / job->page_size);
	}
}

/* Runs @part with a hash, which must come out as that of the import. */
static void compare(const struct store_job *job, const char *label, const char *what,
		    void (*part)(const struct store_job *job, XXH3_state_t *hash,
				 unsigned char *chunk))
{
	unsigned char *chunk = zeroed(CHUNK_PAGES, job->page_size, "a part of the output");
	XXH3_state_t *hash = XXH3_createState();

	if (!hash || XXH3_64bits_reset(hash) == XXH_ERROR)
		fail("no memory for a hash");
	progress_begin(label, (size_t)(job->bytes / job->page_size));
	store_watch(job);
	part(job, hash, chunk);
	progress_end();
	if (XXH3_64bits_digest(hash) != job->hash) {
		complain("%s came back changed%s; have memory and disk tested", what,
			 what_is_left());
		exit(STATUS_BROKEN);
	}
	XXH3_freeState(hash);
	free(chunk);
}

/* Makes what was written durable; a pipe cannot be. */
static void finish(void)
{
	if (output.target && ftruncate(output.file, (off_t)output.size) != 0)
		cannot_write(strerror(errno));
	if ((output.target || output.device) && fsync(output.file) != 0)
		cannot_write(strerror(errno));
}

static void give_name(void)
{
	char *partial = output.partial;
	int err = close(output.file);

	if (!err && output.target)
		err = rename(partial, output.target);
	if (err)
		cannot_write(strerror(errno));
	output.partial = NULL;
	free(partial);
	free(output.target);
}

void store_export(struct store_job *job)
{
	uint64_t start = now_ns();

	if (output.file < 0 && !job->verify)
		return;
	output.size = job->bytes;
	if (output.device && lseek(output.file, 0, SEEK_END) < (off_t)job->bytes)
		fail("\"%s\" is too small for the %.1f MiB of the input; nothing was written",
		     output.name, mib(job->bytes));
	compare(job, output.file < 0 ? "Reading back" : "Exporting", "pages of the store",
		write_pages);
	if (output.file < 0) {
		job->verified = true;
		return;
	}
	finish();
	job->export_ns = now_ns() - start;
	if (job->verify && (output.target || output.device))
		compare(job, "Verifying", output.name, read_again);
	job->verified = job->verify;
	give_name();
}
