/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* What the commands share: see util.h. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "allowance.h"
#include "zsmalloc.h"

static const char *command; /* NULL until it is known */

void command_begin(const char *name)
{
	command = name;
}

static void say(const char *format, va_list args)
{
	progress_end();
	fputs("zsmalloc: ", stderr);
	if (command)
		fprintf(stderr, "%s: ", command);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	exit(STATUS_TROUBLE);
}

/* What is opened the wrong way round refuses every use, as a closed file does. */
void command_files(void)
{
	for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++)
		if (fcntl(file, F_GETFD) < 0)
			open("/dev/null", file == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

void command_end(int status)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (fclose(stdout) != 0 || failed)
		fail("cannot write the output: %s", strerror(errno ? errno : EIO));
	exit(status);
}

void *zeroed(size_t count, size_t size, const char *what)
{
	void *memory = calloc(count, size);

	if (!memory)
		fail("no memory for %s", what);
	return memory;
}

struct zram *create_store(struct zram_options options)
{
	struct zram *store;

	options.size = sizeof(options);
	store = zram_create(&options);
	if (!store)
		fail("no memory for a store: %s", strerror(errno));
	return store;
}

void check_algorithm(const char *algorithm)
{
	const char *name;
	char *names = NULL;
	size_t size;
	FILE *list = open_memstream(&names, &size);

	if (!list)
		fail("no memory for a message");
	for (unsigned int i = 0; (name = zram_algorithm(i)); i++) {
		fprintf(list, "%s%s", i ? ", " : "", name);
		if (strcmp(name, algorithm) == 0)
			break;
	}
	fclose(list);
	if (!name)
		fail("unknown algorithm \"%s\"; there are %s", algorithm, names);
	free(names);
}

bool proc_field(const char *path, const char *key, char *value, size_t size)
{
	FILE *file = fopen(path, "re");
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	if (!file)
		return false;
	while (!found && getline(&line, &room, file) > 0) {
		const char *colon = strchr(line, ':');

		if (!colon || strncmp(line, key, strlen(key)) != 0)
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		snprintf(value, size, "%.*s", (int)strcspn(colon, "\n"), colon);
		found = true;
	}
	free(line);
	fclose(file);
	return found;
}

bool proc_bytes(const char *path, const char *key, uint64_t *bytes)
{
	char value[64];

	if (!proc_field(path, key, value, sizeof(value)))
		return false;
	*bytes = strtoull(value, NULL, 10) * 1024;
	return true;
}

void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* The machine that the figures come from. */
struct machine {
	char cpu[128];
	char kernel[128]; /* name and release */
	unsigned int cores;
	size_t page_size;
};

static struct machine this_machine(void)
{
	struct machine machine = {
		.cores = allowance_find("").cpus,
		.page_size = (size_t)sysconf(_SC_PAGESIZE),
	};
	struct utsname name;

	uname(&name);
	if (!proc_field("/proc/cpuinfo", "model name", machine.cpu, sizeof(machine.cpu)))
		snprintf(machine.cpu, sizeof(machine.cpu), "%s", name.machine);
	snprintf(machine.kernel, sizeof(machine.kernel), "%.60s %.60s", name.sysname, name.release);
	return machine;
}

void print_machine(void)
{
	struct machine machine = this_machine();

	printf("zsmalloc %s %s on %s, %u core%s, %s, pages of %zu bytes\n\n", ZS_VERSION, command,
	       machine.cpu, machine.cores, machine.cores == 1 ? "" : "s", machine.kernel,
	       machine.page_size);
}

void print_bar(FILE *out, uint64_t part, uint64_t whole)
{
	static const char full[] = "########################################";
	const unsigned int length = sizeof(full) - 1;

	if (part > whole)
		part = whole;
	fprintf(out, "[%-*.*s]", (int)length, whole ? (int)(part * length / whole) : 0, full);
}

json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

void append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) != 0)
		fail("no memory for the report");
}

json_t *machine_json(void)
{
	struct machine machine = this_machine();

	return json_pack("{s:s, s:s, s:o, s:o}", "cpu", machine.cpu, "kernel", machine.kernel,
			 "cores", number(machine.cores), "page_size", number(machine.page_size));
}

json_t *stored_json(const struct zram_mm_stat *stat)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "orig_data_size",
			 number(stat->orig_data_size), "compr_data_size",
			 number(stat->compr_data_size), "mem_used_total",
			 number(stat->mem_used_total), "same_pages", number(stat->same_pages),
			 "huge_pages", number(stat->huge_pages));
}

void print_json(json_t *report)
{
	if (!report || json_dumpf(report, stdout, JSON_INDENT(2)) != 0)
		fail("cannot write the report");
	putchar('\n');
	json_decref(report);
}
