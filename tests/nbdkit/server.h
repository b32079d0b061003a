/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * An nbdkit that serves the plugin, and connections to it. The tests' only argument is the plugin.
 */
#ifndef TEST_NBDKIT_SERVER_H
#define TEST_NBDKIT_SERVER_H

#include "helpers.h"

#include <libnbd.h>
#include <signal.h>

#define MOST_PARAMETERS 8

/* The plugin's path, which main() knows. */
static const char *plugin;

struct server {
	pid_t pid;
	char directory[32];
	char socket[64];
};

/* Becomes an nbdkit with a socket. It ends when the test does. */
static inline void server_run(const char *socket, const char *const *parameters)
{
	const char *argv[MOST_PARAMETERS + 8] = { "nbdkit", "--foreground", "--exit-with-parent",
						  "--unix", socket,	    plugin };
	const char *preload = getenv("TEST_PRELOAD");

	for (int i = 0; i < MOST_PARAMETERS && parameters[i]; i++)
		argv[6 + i] = parameters[i];
	/* A plugin with a sanitizer needs it in a program that has none. */
	if (preload)
		setenv("LD_PRELOAD", preload, 1);
	execvp("nbdkit", (char **)argv);
	perror("nbdkit");
	_exit(127);
}

/* Tells meson that the test is skipped, where there is no nbdkit. */
static inline void need_nbdkit(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s PLUGIN\n", argv[0]);
		exit(2);
	}
	if (system("nbdkit --version >/dev/null 2>&1") != 0) {
		puts("SKIPPED: no nbdkit: run scripts/install-packages build");
		exit(77);
	}
	plugin = argv[1];
}

static inline bool server_answers(void *arg)
{
	const struct server *server = arg;
	struct nbd_handle *nbd = nbd_create();
	bool answers = nbd && nbd_connect_unix(nbd, server->socket) == 0;

	nbd_close(nbd);
	return answers || kill(server->pid, 0) != 0;
}

/* A server of a disk; the parameters end with NULL. */
static inline struct server server_start(const char *const *parameters)
{
	struct server server = { .directory = "/tmp/test-nbdkit-XXXXXX" };

	assert_non_null(mkdtemp(server.directory));
	snprintf(server.socket, sizeof(server.socket), "%s/socket", server.directory);
	fflush(NULL);
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid == 0)
		server_run(server.socket, parameters);
	assert_true(wait_for(server_answers, &server));
	return server;
}

static inline void server_stop(struct server *server)
{
	int status;

	kill(server->pid, SIGTERM);
	assert_int_equal(waitpid(server->pid, &status, 0), server->pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("nbdkit ended with status %#x", (unsigned int)status);
	unlink(server->socket);
	rmdir(server->directory);
}

static inline struct nbd_handle *server_connect(const struct server *server)
{
	struct nbd_handle *nbd = nbd_create();

	assert_non_null(nbd);
	if (nbd_connect_unix(nbd, server->socket) != 0)
		fail_msg("no connection: %s", nbd_get_error());
	return nbd;
}

/* For a request that must succeed. */
#define assert_done(request)                                                                       \
	do {                                                                                       \
		if ((request) == -1)                                                               \
			fail_msg("%s: %s", #request, nbd_get_error());                             \
	} while (0)

#endif /* TEST_NBDKIT_SERVER_H */
