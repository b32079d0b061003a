/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Running `zsmalloc top`, and finding pools in what it reports. Included once in a test, which
 * meson gives the command's path for an argument.
 */
#ifndef TEST_TOP_H
#define TEST_TOP_H

#include "helpers.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/mman.h>

#define OTHER_USER 65534

static const char *command_path;

/* How the command ended, and what it said. */
struct top {
	int status; /* exit status */
	char *out;
	char *err;
};

static inline char *text_of_file(int file)
{
	off_t size = lseek(file, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	assert_non_null(text);
	assert_int_equal(pread(file, text, (size_t)size, 0), size);
	close(file);
	return text;
}

/*
 * Runs the command in the child: as that user if @user is not 0, who may not be let to where the
 * command lies.
 */
static inline void exec_top(char **argv, uid_t user)
{
	int command = open(command_path, O_RDONLY | O_CLOEXEC);

	if (user && (setresgid(user, user, user) || setresuid(user, user, user)))
		_exit(100);
	unsetenv("ZSMALLOC_PUBLISH");
	fexecve(command, argv, environ);
	_exit(101);
}

/* Runs `zsmalloc top`, with --pid=@pid if that is not 0, and with @option if there is one. */
static inline struct top run_top(pid_t pid, const char *option, uid_t user)
{
	int out = memfd_create("out", 0);
	int err = memfd_create("err", 0);
	char pid_option[32];
	char *argv[] = { "zsmalloc", "top", (char *)option, pid_option, NULL };
	struct top top;
	pid_t child;
	int status;

	snprintf(pid_option, sizeof(pid_option), "--pid=%d", pid);
	if (!pid)
		argv[3] = NULL;
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		exec_top(argv, user);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	top.status = WEXITSTATUS(status);
	top.out = text_of_file(out);
	top.err = text_of_file(err);
	return top;
}

static inline void top_free(struct top *top)
{
	free(top->out);
	free(top->err);
}

/* The command must refuse, in one line that holds @text. */
static inline void assert_top_refuses(pid_t pid, const char *option, uid_t user, const char *text)
{
	struct top top = run_top(pid, option, user);

	if (top.status != 2 || *top.out || !strstr(top.err, text) ||
	    strncmp(top.err, "zsmalloc: ", strlen("zsmalloc: ")) != 0 ||
	    strchr(top.err, '\n') != top.err + strlen(top.err) - 1)
		fail_msg("status %d, not 2 and '%s'; it said: %s%s", top.status, text, top.out,
			 top.err);
	top_free(&top);
}

/* The programs that are shown; the caller frees them by json_decref(). */
static inline json_t *programs_shown(pid_t pid)
{
	struct top top = run_top(pid, "--json", 0);
	json_t *report, *programs;

	if (top.status != 0 || *top.err)
		fail_msg("status %d, and it said: %s", top.status, top.err);
	report = json_loads(top.out, 0, NULL);
	programs = json_incref(json_object_get(report, "programs"));
	assert_non_null(programs);
	json_decref(report);
	top_free(&top);
	return programs;
}

/* The pools of one program that is shown, which must be @pid. */
static inline json_t *pools_of(const json_t *programs, pid_t pid)
{
	const json_t *program = json_array_get(programs, 0);

	assert_int_equal(json_array_size(programs), 1);
	assert_int_equal(json_integer_value(json_object_get(program, "pid")), pid);
	return json_object_get(program, "pools");
}

static inline uint64_t number_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		fail_msg("there is no number '%s'", key);
	return (uint64_t)json_integer_value(value);
}

static inline const char *string_of(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	assert_non_null(value);
	return value;
}

#endif /* TEST_TOP_H */
