/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Clients that change the same page at once, each on a connection of its own. A byte that one of
 * them alone writes is always the one that it wrote last.
 */
#include "server.h"

#include <pthread.h>
#include <stdatomic.h>

#define PAGES 4
#define OPERATIONS 10000

struct client {
	pthread_t thread;
	struct nbd_handle *nbd;
	uint64_t seed;
	size_t own; /* where in each page its own bytes begin */
	size_t own_bytes;
	size_t writes; /* from where in the page it writes */
	size_t bytes;
};

static atomic_uint lost;
static atomic_uint errors;

/* Writes its part of any page, and looks at those bytes that only it writes. */
static void *client_run(void *arg)
{
	struct client *client = arg;
	char *page = malloc(page_size());
	int last[PAGES] = { 0 };

	for (unsigned int i = 0; page && i < OPERATIONS / TEST_LESS; i++) {
		uint64_t number = random_below(&client->seed, PAGES);
		uint64_t offset = number * page_size();

		if (client->own_bytes &&
		    nbd_pread(client->nbd, page, client->own_bytes, offset + client->own, 0) != 0)
			errors++;
		for (size_t at = 0; at < client->own_bytes; at++) {
			if (page[at] != (char)last[number]) {
				lost++;
				break;
			}
		}
		last[number] = (int)(next_random(&client->seed) % 128);
		memset(page, last[number], client->bytes);
		/* Zeros by the request for them, now and then. */
		if (last[number] == 0 ?
			    nbd_zero(client->nbd, client->bytes, offset + client->writes, 0) != 0 :
			    nbd_pwrite(client->nbd, page, client->bytes, offset + client->writes,
				       0) != 0)
			errors++;
	}
	free(page);
	return NULL;
}

/* Runs two clients at once. */
static void run_clients(struct client *clients)
{
	const char *const parameters[] = { "1M", NULL };
	struct server server = server_start(parameters);
	uint64_t seed = random_seed();

	lost = 0;
	errors = 0;
	for (int i = 0; i < 2; i++) {
		clients[i].nbd = server_connect(&server);
		clients[i].seed = seed + 2 * (uint64_t)i;
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&clients[i].thread, NULL, client_run, &clients[i]),
				 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(clients[i].thread, NULL);
		nbd_close(clients[i].nbd);
	}
	server_stop(&server);
	assert_int_equal(errors, 0);
	assert_int_equal(lost, 0);
}

static void two_halves_of_a_page(void **state)
{
	size_t half = page_size() / 2;
	struct client clients[2] = {
		{ .own_bytes = half, .bytes = half },
		{ .own = half, .own_bytes = half, .writes = half, .bytes = half },
	};

	(void)state;
	run_clients(clients);
}

/* The second writes whole pages, and alone writes the second half. */
static void a_piece_and_the_whole_page(void **state)
{
	size_t half = page_size() / 2;
	struct client clients[2] = {
		{ .bytes = half },
		{ .own = half, .own_bytes = half, .bytes = page_size() },
	};

	(void)state;
	run_clients(clients);
}

static void one_connection_sees_what_another_wrote(void **state)
{
	const char *const parameters[] = { "1M", NULL };
	struct server server = server_start(parameters);
	struct nbd_handle *one = server_connect(&server);
	struct nbd_handle *other = server_connect(&server);
	char wrote[100];
	char reads[100];

	(void)state;
	random_fill(wrote, sizeof(wrote), 1);
	assert_done(nbd_pwrite(one, wrote, sizeof(wrote), 5000, 0));
	assert_done(nbd_pread(other, reads, sizeof(reads), 5000, 0));
	assert_memory_equal(reads, wrote, sizeof(wrote));
	/* What was written stays when the connection that wrote it is gone. */
	nbd_close(one);
	assert_done(nbd_pread(other, reads, sizeof(reads), 5000, 0));
	assert_memory_equal(reads, wrote, sizeof(wrote));
	nbd_close(other);
	server_stop(&server);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_halves_of_a_page),
		cmocka_unit_test(a_piece_and_the_whole_page),
		cmocka_unit_test(one_connection_sees_what_another_wrote),
	};

	need_nbdkit(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
