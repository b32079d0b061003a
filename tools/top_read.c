/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Finding the programs that publish, and asking them. What they share is written by others, and is
 * believed no further than it can be checked.
 */
#include "top.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

enum {
	PATH_SIZE = 64, /* of a path in /proc */
	TRIES = 1000, /* readings that may be void one after the other */
};

static const uint64_t patience_ns = 5 * NS_PER_S; /* for an answer; it comes within milliseconds */

static bool is_published(const char *path)
{
	static const char wanted[] = "/memfd:" ZS_PUBLISHED_NAME " ";
	char target[sizeof(wanted)];
	ssize_t length = readlink(path, target, sizeof(wanted) - 1);

	return length == sizeof(wanted) - 1 && memcmp(target, wanted, sizeof(wanted) - 1) == 0;
}

/* Finds the file among those that a program has open. Return: it, opened; -1 with errno. */
static int open_published(pid_t pid)
{
	char path[PATH_SIZE];
	int file = -1;
	int why = ENOENT;
	struct dirent *entry;
	DIR *files;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	files = opendir(path);
	if (!files) {
		errno = errno == ENOENT ? ESRCH : errno == EPERM ? EACCES : errno;
		return -1;
	}
	while (file < 0 && (entry = readdir(files))) {
		char name[2 * PATH_SIZE + sizeof(entry->d_name)];

		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (!is_published(name))
			continue;
		file = open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (file < 0 && errno != ENOENT)
			why = errno == EPERM ? EACCES : errno;
	}
	closedir(files);
	errno = why;
	return file;
}

/* Returns whether a file may be mapped: one that others can shrink may kill its reader. */
static bool may_be_mapped(int file)
{
	int seals = fcntl(file, F_GET_SEALS);
	struct stat stat;

	return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(file, &stat) == 0 &&
	       stat.st_size >= (off_t)sizeof(struct zs_published);
}

/* The number that a program knows itself by: the last one, of its own namespace. */
static uint32_t own_pid(pid_t pid)
{
	char path[PATH_SIZE];
	char numbers[256];
	const char *last;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!proc_field(path, "NSpid", numbers, sizeof(numbers)))
		return 0;
	last = strrchr(numbers, '\t');
	return (uint32_t)strtoul(last ? last + 1 : numbers, NULL, 10);
}

/* Maps what a program shares. Return: 0, or as reading_take(). */
static int map_published(pid_t pid, struct zs_published **shared)
{
	struct zs_published *map = MAP_FAILED;
	int file = open_published(pid);
	int error = 0;

	if (file < 0)
		return errno;
	if (may_be_mapped(file))
		map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	if (map == MAP_FAILED)
		return EPROTO;
	/* Pairs with the release of the version, which is written last. */
	if (__atomic_load_n(&map->version, __ATOMIC_ACQUIRE) != ZS_PUBLISHED_VERSION)
		error = EPROTO;
	else if (map->pid != own_pid(pid))
		error = ENOENT; /* its parent's, inherited */
	if (error)
		munmap(map, sizeof(*map));
	else
		*shared = map;
	return error;
}

static void ask(struct program *program)
{
	uint32_t *asked = &program->shared->asked;

	program->asked = __atomic_add_fetch(asked, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, asked, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Waits for the answer, until @end. The acquire pairs with the program's release. */
static bool await(const struct program *program, uint64_t end)
{
	uint32_t *answered = &program->shared->answered;

	for (;;) {
		uint32_t answer = __atomic_load_n(answered, __ATOMIC_ACQUIRE);
		uint64_t now = now_ns();
		struct timespec left;

		if ((int32_t)(answer - program->asked) >= 0)
			return true;
		if (now >= end)
			return false;
		left.tv_sec = (time_t)((end - now) / NS_PER_S);
		left.tv_nsec = (long)((end - now) % NS_PER_S);
		syscall(SYS_futex, answered, FUTEX_WAIT, answer, &left, NULL, 0);
	}
}

/*
 * Makes a copy that others do not change any more, with numbers that make sense. Each acquire pairs
 * with the release of that word: the second look at the sequence sees that it was being written.
 */
static void copy_pool(struct zs_published_pool *copy, const struct zs_published_pool *pool)
{
	const uint64_t *source = (const uint64_t *)pool;
	uint64_t *target = (uint64_t *)copy;

	for (size_t i = 0; i < sizeof(*pool) / sizeof(uint64_t); i++)
		target[i] = __atomic_load_n(&source[i], __ATOMIC_ACQUIRE);
	copy->name[sizeof(copy->name) - 1] = '\0';
	make_printable(copy->name);
	if (copy->classes > ZS_PUBLISHED_CLASSES)
		copy->classes = ZS_PUBLISHED_CLASSES;
}

/* Copies all pools. False if they were written meanwhile. */
static bool copy_pools(struct program *program)
{
	const struct zs_published *shared = program->shared;
	/* Pairs with the release at the end of a writing. */
	uint32_t sequence = __atomic_load_n(&shared->sequence, __ATOMIC_ACQUIRE);
	uint64_t present = __atomic_load_n(&shared->present, __ATOMIC_ACQUIRE);

	program->pools = 0;
	if (sequence & 1)
		return false;
	for (size_t i = 0; i < ZS_PUBLISHED_POOLS; i++)
		if (present >> i & 1)
			copy_pool(&program->pool[program->pools++], &shared->pool[i]);
	return __atomic_load_n(&shared->sequence, __ATOMIC_RELAXED) == sequence;
}

/* What cannot be read for so long, since the program died in the middle of it, is none. */
static void read_pools(struct program *program)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	unsigned int tries = 0;

	program->pool = zeroed(ZS_PUBLISHED_POOLS, sizeof(*program->pool), "what programs publish");
	while (!copy_pools(program)) {
		program->pools = 0;
		if (++tries == TRIES)
			return;
		nanosleep(&pause, NULL);
	}
}

static void read_command(struct program *program)
{
	char path[PATH_SIZE];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", program->pid);
	file = fopen(path, "re");
	if (file) {
		if (fgets(program->command, sizeof(program->command), file))
			program->command[strcspn(program->command, "\n")] = '\0';
		fclose(file);
	}
	make_printable(program->command);
}

/* Asks a process, if it publishes. Return: 0, or as reading_take(). */
static int ask_process(struct reading *reading, pid_t pid)
{
	struct program *program;
	struct zs_published *shared = NULL;
	int error = map_published(pid, &shared);

	if (error)
		return error;
	reading->program = reallocarray(reading->program, reading->programs + 1, sizeof(*program));
	if (!reading->program)
		fail("no memory for what programs publish");
	program = &reading->program[reading->programs++];
	*program = (struct program){ .pid = pid, .shared = shared };
	ask(program);
	return 0;
}

static void ask_all(struct reading *reading)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;

	if (!processes)
		fail("cannot list the processes: %s", strerror(errno));
	while ((entry = readdir(processes))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0)
			ask_process(reading, pid);
	}
	closedir(processes);
}

int reading_take(struct reading *reading, pid_t pid)
{
	uint64_t end;
	int error = 0;

	*reading = (struct reading){ .programs = 0 };
	if (pid)
		error = ask_process(reading, pid);
	else
		ask_all(reading);
	end = now_ns() + patience_ns;
	for (size_t i = 0; i < reading->programs; i++) {
		struct program *program = &reading->program[i];

		program->answered = await(program, end);
		read_pools(program);
		read_command(program);
		munmap(program->shared, sizeof(*program->shared));
		program->shared = NULL;
	}
	reading->time = now_ns();
	return error;
}

void reading_free(struct reading *reading)
{
	for (size_t i = 0; i < reading->programs; i++)
		free(reading->program[i].pool);
	free(reading->program);
	*reading = (struct reading){ .programs = 0 };
}

const struct zs_published_pool *reading_find(const struct reading *reading, pid_t pid, uint64_t id)
{
	for (size_t i = 0; i < reading->programs; i++) {
		const struct program *program = &reading->program[i];

		for (size_t j = 0; program->pid == pid && j < program->pools; j++)
			if (program->pool[j].id == id)
				return &program->pool[j];
	}
	return NULL;
}
