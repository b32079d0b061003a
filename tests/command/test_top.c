/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * `zsmalloc top` trusts no program. What is published wrongly, by a program that may want to do
 * harm, is refused or shown within reason. Last, what it shows live on a terminal.
 */
#include "top.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>

#include "zsmalloc_published.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define UNSEALED (-1)

/* Shares what a program would that answers at once. */
static struct zs_published *share(int seals, int *file)
{
	struct zs_published *shared;

	*file = memfd_create(ZS_PUBLISHED_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(*file >= 0);
	assert_int_equal(ftruncate(*file, sizeof(*shared)), 0);
	if (seals != UNSEALED)
		assert_int_equal(fcntl(*file, F_ADD_SEALS, seals), 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
	assert_true(shared != MAP_FAILED);
	shared->version = ZS_PUBLISHED_VERSION;
	shared->pid = (uint32_t)getpid();
	shared->answered = 1000000; /* more than a reader will ask */
	return shared;
}

static void unshare_all(struct zs_published *shared, int file)
{
	munmap(shared, sizeof(*shared));
	close(file);
}

static void test_not_as_agreed(void **state)
{
	int file;
	struct zs_published *shared = share(UNSEALED, &file);

	(void)state;
	assert_top_refuses(getpid(), "--json", 0, "in a way that");
	unshare_all(shared, file);

	shared = share(SEALS, &file);
	shared->version = ZS_PUBLISHED_VERSION + 1;
	assert_top_refuses(getpid(), "--json", 0, "in a way that");
	shared->version = ZS_PUBLISHED_VERSION;
	shared->pid++;
	assert_top_refuses(getpid(), "--json", 0, "publishes no pools");
	unshare_all(shared, file);

	file = memfd_create(ZS_PUBLISHED_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(file, F_ADD_SEALS, SEALS), 0);
	assert_top_refuses(getpid(), "--json", 0, "in a way that"); /* too short */
	close(file);
}

/* A program that died while it wrote. */
static void test_half_written(void **state)
{
	int file;
	struct zs_published *shared = share(SEALS, &file);

	(void)state;
	shared->present = 1;
	shared->sequence = 1;
	assert_top_refuses(getpid(), "--json", 0, "publishes its pools");
	unshare_all(shared, file);
}

static void test_nonsense(void **state)
{
	int file;
	struct zs_published *shared = share(SEALS, &file);
	struct zs_published_pool *pool = &shared->pool[ZS_PUBLISHED_POOLS - 1];
	const json_t *shown;
	json_t *programs;
	struct top top;

	(void)state;
	shared->present = 1ULL << (ZS_PUBLISHED_POOLS - 1) | 1;
	memset(pool, 0xff, sizeof(*pool));
	programs = programs_shown(getpid());
	assert_int_equal(json_array_size(pools_of(programs, getpid())), 2);
	shown = json_array_get(pools_of(programs, getpid()), 1);
	assert_int_equal(json_array_size(json_object_get(shown, "classes")), ZS_PUBLISHED_CLASSES);
	assert_int_equal(strlen(string_of(shown, "name")), sizeof(pool->name) - 1);
	assert_int_equal(strspn(string_of(shown, "name"), "?"), sizeof(pool->name) - 1);
	json_decref(programs);

	strcpy(pool->name, "\033[2Jname");
	top = run_top(getpid(), "--once", 0);
	assert_int_equal(top.status, 0);
	assert_non_null(strstr(top.out, "\"?[2Jname\""));
	assert_null(strchr(top.out, '\033'));
	top_free(&top);
	unshare_all(shared, file);
}

/* The text has what the JSON has: a pool of 3 objects in one of the 4 slots of its one class. */
static void test_text(void **state)
{
	int file;
	struct zs_published *shared = share(SEALS, &file);
	struct zs_published_pool *pool = &shared->pool[0];
	struct top top;

	(void)state;
	shared->present = 1;
	*pool = (struct zs_published_pool){
		.name = "text",
		.objects = 3,
		.stored = 3072,
		.resident = 4096,
		.pages = 1,
		.pending = 7,
		.capacity = 11,
		.queued = 20,
		.drained = 13,
		.drains = 5,
		.fallbacks = 17,
		.longest_drain_ns = 2500000,
		.pages_compacted = 23,
		.misuses = 29,
		.store = {
			.pages = 100,
			.same = 31,
			.huge = 37,
			.written_back = 20,
			.compressed = 20 * 4096,
			.written = 41,
		},
		.page_size = 4096,
		.classes = 1,
		.class = { { .size = 1024, .pages = 1, .slots = 4, .objects = 3 } },
	};
	pool->class[0].zspages[7] = 1;
	top = run_top(getpid(), "--once", 0);
	assert_int_equal(top.status, 0);
	assert_non_null(strstr(top.out, "pool \"text\"\n"));
	assert_non_null(strstr(top.out, "100 pages, 31 same-filled, 37 incompressible; "));
	assert_non_null(strstr(top.out, "compressed 80.0 KiB, ratio 2.50\n"));
	assert_non_null(strstr(top.out, "20 pages there, 41 ever written\n"));
	assert_non_null(strstr(top.out, "3.0 KiB in 3 objects; resident 4.0 KiB, overhead 33.3 %"));
	assert_non_null(strstr(top.out, "7 of 11 pending; 17 fallbacks"));
	assert_non_null(strstr(top.out, "13 of 20 queued, in 5 drains, the longest 2.5 ms"));
	assert_non_null(strstr(top.out, "23 pages given back; misuses: 29"));
	assert_non_null(strstr(top.out, " 75.0 % [##############################          ]\n"));
	top_free(&top);
	unshare_all(shared, file);
}

/* Reads what the command draws until @text is there. */
static void await_text(int terminal, const char *text)
{
	char drawn[65536];
	size_t length = 0;

	drawn[0] = '\0';
	while (!strstr(drawn, text)) {
		struct pollfd ready = { .fd = terminal, .events = POLLIN };
		ssize_t got;

		if (poll(&ready, 1, WAIT_SECONDS * 1000) != 1 || length == sizeof(drawn) - 1)
			fail_msg("it was never drawn: %s", text);
		got = read(terminal, drawn + length, sizeof(drawn) - 1 - length);
		assert_true(got > 0);
		for (ssize_t i = 0; i < got; i++) /* what is written over is not told apart */
			if (drawn[length + (size_t)i] == '\0')
				drawn[length + (size_t)i] = ' ';
		length += (size_t)got;
		drawn[length] = '\0';
	}
}

/* Starts the command on a terminal of its own. */
static pid_t start_on_terminal(pid_t publisher, int *terminal)
{
	const struct winsize size = { .ws_row = 24, .ws_col = 100 };
	char option[32];
	pid_t pid;

	snprintf(option, sizeof(option), "--pid=%d", publisher);
	fflush(NULL);
	pid = forkpty(terminal, NULL, NULL, &size);
	assert_true(pid >= 0);
	if (pid == 0) {
		char *argv[] = { "zsmalloc", "top", option, NULL };

		setenv("TERM", "vt100", 1);
		exec_top(argv, 0);
	}
	return pid;
}

/* It ends with @wanted, whatever it has to say until then. */
static void await_end(pid_t pid, int terminal, int wanted)
{
	char rest[4096];
	int status;

	while (read(terminal, rest, sizeof(rest)) > 0)
		;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), wanted);
	close(terminal);
}

static void test_live(void **state)
{
	const struct zs_pool_options options = { .size = sizeof(options), .publish = 1 };
	struct zs_pool *pool = zs_create_pool_with("looked-at", &options), *other;
	int terminal;
	pid_t pid;

	(void)state;
	if (!pool && errno == ENOTSUP)
		skip(); /* built with -Dwatch=false */
	assert_non_null(pool);
	pid = start_on_terminal(getpid(), &terminal);
	await_text(terminal, "looked-at");
	other = zs_create_pool_with("another", &options);
	await_text(terminal, "another"); /* with the next look */
	assert_int_equal(write(terminal, "q", 1), 1);
	await_end(pid, terminal, 0);

	pid = start_on_terminal(getpid(), &terminal);
	await_text(terminal, "looked-at");
	zs_destroy_pool(other);
	zs_destroy_pool(pool); /* nothing left to look at */
	await_text(terminal, "publishes no pools");
	await_end(pid, terminal, 2);
}

static void test_arguments(void **state)
{
	(void)state;
	assert_top_refuses(getpid(), NULL, 0, "not a terminal");
	assert_top_refuses(0, "--pid=0", 0, "--pid takes");
	assert_top_refuses(0, "--pid=me", 0, "--pid takes");
	assert_top_refuses(0, "--pid=2147483647", 0, "not a terminal");
	assert_top_refuses(2147483647, "--once", 0, "no such process");
	assert_top_refuses(0, "--twice", 0, "\"--twice\"");
	assert_top_refuses(0, "pool", 0, "\"pool\"");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_as_agreed), cmocka_unit_test(test_half_written),
		cmocka_unit_test(test_nonsense),      cmocka_unit_test(test_text),
		cmocka_unit_test(test_live),	      cmocka_unit_test(test_arguments),
	};

	if (argc != 2)
		return 2;
	command_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
