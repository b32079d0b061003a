/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * leaver FILE MIB LOOPS: when the memory of a process that was killed is back with the system.
 *
 * The process has MIB megabytes with the file's bytes, in the swap. LOOPS others do nothing but use
 * the CPUs. It is killed, as a low-memory killer does it. Three lines, nanoseconds from then:
 *
 *   gone NANOSECONDS  the process is no more
 *   half NANOSECONDS  a half of the pages that zspages held for it is back
 *   back NANOSECONDS  90 % are
 *
 * The kernel's count of these pages is read every millisecond, by a task of real-time priority. A
 * CPU keeps some of the count to itself: up to 125 pages.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>

#include "../../common/clock.h"
#include "swapped.h"

#define LOOK_US 1000
#define SETTLE_US 300000
#define PATIENCE_NS (60 * NS_PER_S)

/* Returns the pages that all zspages hold, free ones that wait among them. */
static size_t zspages(int vmstat)
{
	static char text[16384];
	ssize_t got = pread(vmstat, text, sizeof(text) - 1, 0);
	const char *line;

	if (got < 0)
		die("leaver: vmstat");
	text[got] = 0;
	line = strstr(text, "\nnr_zspages ");
	if (!line)
		die("leaver: nr_zspages");
	return strtoul(line + strlen("\nnr_zspages "), NULL, 10);
}

/* Starts a process that has its memory in the swap. */
static pid_t process_start(size_t size, struct source source)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	if (pipe(ready))
		die("leaver: pipe");
	pid = fork();
	if (!pid) {
		char *memory = memory_map(size);

		die_with_parent();
		close(ready[0]);
		memory_swap_out(memory, size, 0, source);
		pages_resident(memory, size);
		if (write(ready[1], &byte, 1) != 1)
			die("leaver: pipe");
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	return pid;
}

static void loop_start(void)
{
	if (!fork()) {
		die_with_parent();
		for (;;)
			;
	}
}

static void tell(const char *what, uint64_t start)
{
	printf("%s %llu\n", what, (unsigned long long)(now_ns() - start));
}

static void watch(int vmstat, pid_t pid, size_t before, size_t full)
{
	bool gone = false, half = false, back = false;
	uint64_t start = now_ns();

	kill(pid, SIGKILL);
	while (!gone || !back) {
		size_t held = zspages(vmstat);

		if (!gone && waitpid(pid, NULL, WNOHANG) == pid) {
			tell("gone", start);
			gone = true;
		}
		if (!half && held < full - (full - before) / 2) {
			tell("half", start);
			half = true;
		}
		if (!back && held < full - (full - before) * 9 / 10) {
			tell("back", start);
			back = true;
		}
		if (now_ns() - start > PATIENCE_NS) {
			fprintf(stderr, "leaver: %zu pages before, %zu full, still %zu\n", before,
				full, held);
			exit(1);
		}
		usleep(LOOK_US);
	}
}

int main(int argc, char **argv)
{
	struct sched_param priority = { .sched_priority = 1 };
	int vmstat = open("/proc/vmstat", O_RDONLY);
	size_t size, loops, before;
	struct source source;
	pid_t pid;

	if (argc != 4) {
		fprintf(stderr, "usage: leaver FILE MIB LOOPS\n");
		return 2;
	}
	if (vmstat < 0)
		die("leaver: /proc/vmstat");
	size = strtoul(argv[2], NULL, 10) << 20;
	loops = strtoul(argv[3], NULL, 10);
	source = source_open(argv[1]);
	before = zspages(vmstat);
	pid = process_start(size, source);
	for (size_t i = 0; i < loops; i++)
		loop_start();
	usleep(SETTLE_US);
	if (sched_setscheduler(0, SCHED_FIFO, &priority))
		die("leaver: sched_setscheduler");
	watch(vmstat, pid, before, zspages(vmstat));
	return 0;
}
