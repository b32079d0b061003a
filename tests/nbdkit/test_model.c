/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Random requests on two connections, compared with a buffer: whole pages and pieces of them, trims
 * and zeros. The disk ends within a page.
 */
#include "server.h"

#include "zram.h"

#define DISK_SIZE ((UINT64_C(1) << 20) + 1234)
#define MOST_BYTES (5 * UINT64_C(65536))
#define OPERATIONS 6000

static char model[DISK_SIZE];
static char bytes[MOST_BYTES];

struct range {
	uint64_t offset;
	uint64_t count;
};

/* Half of the ranges are of whole pages. */
static struct range random_range(uint64_t *state)
{
	uint64_t unit = next_random(state) % 2 ? 1 : page_size();
	uint64_t most = next_random(state) % 4 ? 3 * page_size() : MOST_BYTES;
	struct range range;

	range.offset = random_below(state, DISK_SIZE / unit) * unit;
	if (most > DISK_SIZE - range.offset)
		most = DISK_SIZE - range.offset;
	range.count = most < unit ? most : (random_below(state, most / unit) + 1) * unit;
	return range;
}

/* Contents that compress in part, not at all, or to one word. */
static void random_contents(uint64_t *state, uint64_t count)
{
	uint64_t random = next_random(state) % 3 * count / 2;

	memset(bytes, (int)(next_random(state) % 4), count);
	random_fill(bytes, random, next_random(state));
}

/* A trim frees whole pages, and leaves the rest. */
static void model_trim(struct range range)
{
	uint64_t page = page_size();
	uint64_t first = (range.offset + page - 1) / page * page;
	uint64_t end = (range.offset + range.count) / page * page;

	if (first < end)
		memset(model + first, 0, end - first);
}

static void do_any(struct nbd_handle *nbd, uint64_t *state)
{
	struct range range = random_range(state);
	uint32_t fua = next_random(state) % 8 ? 0 : LIBNBD_CMD_FLAG_FUA;

	switch (next_random(state) % 8) {
	case 0:
		assert_done(nbd_trim(nbd, range.count, range.offset, fua));
		model_trim(range);
		break;
	case 1:
		assert_done(nbd_zero(nbd, range.count, range.offset,
				     fua | (next_random(state) % 2 ? LIBNBD_CMD_FLAG_NO_HOLE : 0)));
		memset(model + range.offset, 0, range.count);
		break;
	case 2:
	case 3:
	case 4:
		random_contents(state, range.count);
		assert_done(nbd_pwrite(nbd, bytes, range.count, range.offset, fua));
		memcpy(model + range.offset, bytes, range.count);
		break;
	case 5:
		assert_done(nbd_flush(nbd, 0));
		break;
	default:
		assert_done(nbd_pread(nbd, bytes, range.count, range.offset, 0));
		assert_memory_equal(bytes, model + range.offset, range.count);
	}
}

static void assert_disk_is_model(struct nbd_handle *nbd)
{
	for (uint64_t offset = 0; offset < DISK_SIZE; offset += MOST_BYTES) {
		uint64_t count = DISK_SIZE - offset < MOST_BYTES ? DISK_SIZE - offset : MOST_BYTES;

		assert_done(nbd_pread(nbd, bytes, count, offset, 0));
		assert_memory_equal(bytes, model + offset, count);
	}
}

static void disk_is_as_a_buffer(void **state)
{
	uint64_t seed = random_seed();
	char size[32], algorithm[64];
	const char *parameters[] = { size, algorithm, NULL };
	unsigned int algorithms = 0;
	unsigned long operations = random_operations(OPERATIONS / TEST_LESS);
	struct nbd_handle *nbd[2];
	struct server server;

	(void)state;
	while (zram_algorithm(algorithms))
		algorithms++;
	snprintf(algorithm, sizeof(algorithm), "algorithm=%s",
		 zram_algorithm((unsigned int)(seed / 2 % algorithms)));
	snprintf(size, sizeof(size), "size=%llu", (unsigned long long)DISK_SIZE);
	server = server_start(parameters);
	for (int i = 0; i < 2; i++)
		nbd[i] = server_connect(&server);
	assert_disk_is_model(nbd[0]);
	for (unsigned long i = 0; i < operations; i++)
		do_any(nbd[next_random(&seed) % 2], &seed);
	for (int i = 0; i < 2; i++) {
		assert_disk_is_model(nbd[i]);
		nbd_close(nbd[i]);
	}
	server_stop(&server);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disk_is_as_a_buffer),
	};

	need_nbdkit(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
