/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What the disk says of itself, wrong parameters, a disk that is full, and memory that comes back.
 */
#include "server.h"

#include <errno.h>
#include <sys/resource.h>

#define MIB (UINT64_C(1) << 20)
#define DISK_MIB 128
#define BUFFERS (32 * MIB) /* each of nbdkit's 16 threads keeps one, as large as a request was */

static void assert_says(int answer, bool expected)
{
	if (answer != (int)expected)
		fail_msg("the disk says %d: %s", answer, nbd_get_error());
}

static void disk_says_what_it_can(void **state)
{
	const char *const parameters[] = { "size=1234567", NULL };
	struct server server = server_start(parameters);
	struct nbd_handle *nbd = server_connect(&server);

	(void)state;
	assert_int_equal(nbd_get_size(nbd), 1234567);
	assert_int_equal(nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM), 1);
	assert_int_equal(nbd_get_block_size(nbd, LIBNBD_SIZE_PREFERRED), page_size());
	assert_says(nbd_is_read_only(nbd), false);
	assert_says(nbd_is_rotational(nbd), false);
	assert_says(nbd_can_flush(nbd), true);
	assert_says(nbd_can_fua(nbd), true);
	assert_says(nbd_can_trim(nbd), true);
	assert_says(nbd_can_zero(nbd), true);
	assert_says(nbd_can_fast_zero(nbd), true);
	assert_says(nbd_can_multi_conn(nbd), true);
	assert_says(nbd_can_cache(nbd), true);
	assert_done(nbd_cache(nbd, 4096, 0, 0));
	nbd_close(nbd);
	server_stop(&server);
}

static void run_with(const void *parameters)
{
	server_run("/nonexistent/socket", parameters);
}

/* nbdkit ends at once, and says this. */
static void assert_refused(const char *first, const char *second, const char *says)
{
	const char *const parameters[] = { first, second, NULL };
	struct child child = run_in_child(run_with, parameters);

	if (!WIFEXITED(child.status) || WEXITSTATUS(child.status) != 1 || !strstr(child.said, says))
		fail_msg("%s %s: ended with status %#x, wanted \"%s\", said: %s", first,
			 second ? second : "", (unsigned int)child.status, says, child.said);
}

static void wrong_parameters_are_refused(void **state)
{
	(void)state;
	assert_refused("algorithm=lz4", NULL, "size= is missing");
	assert_refused("size=0", NULL, "size=0: must be more than 0 bytes");
	assert_refused("size=-1", NULL, "size");
	assert_refused("size=1x", NULL, "size");
	assert_refused("1M", "limit=0", "limit=0: must be more than 0 bytes");
	assert_refused("1M", "level=high", "level: ");
	assert_refused("1M", "level=65538", "algorithm=lz4 level=65538: libzram has none such");
	assert_refused("1M", "algorithm=lzma", "algorithm=lzma level=0: libzram has none such");
	assert_refused("1M", "colour=red", "colour=red: no such parameter: size,");
	/* With a sanitizer in it, nbdkit hangs in libp11-kit once strerror() was called. */
	if (TEST_LESS == 1)
		assert_refused("size=9223372036854775807", NULL, "no disk of that size");
}

/* Fills the disk until a request fails. Returns how many MiB it took. */
static uint64_t fill_disk(struct nbd_handle *nbd, char *bytes)
{
	uint64_t wrote = 0;

	do
		random_fill(bytes, MIB, wrote);
	while (nbd_pwrite(nbd, bytes, MIB, wrote * MIB, 0) == 0 && ++wrote < DISK_MIB);
	return wrote;
}

static void assert_holds(struct nbd_handle *nbd, char *bytes, uint64_t first, uint64_t end)
{
	for (uint64_t mib = first; mib < end; mib++) {
		assert_done(nbd_pread(nbd, bytes, MIB, mib * MIB, 0));
		assert_true(random_is(bytes, MIB, mib));
	}
}

static void a_full_disk_loses_nothing(void **state)
{
	const char *const parameters[] = { "128M", "limit=8M", NULL };
	struct server server = server_start(parameters);
	struct nbd_handle *nbd = server_connect(&server);
	char *bytes = malloc(MIB);
	uint64_t wrote;

	(void)state;
	assert_non_null(bytes);
	wrote = fill_disk(nbd, bytes);
	assert_int_equal(nbd_get_errno(), ENOSPC);
	assert_in_range(wrote, 6, 8);
	assert_holds(nbd, bytes, 0, wrote);
	/* A page that is overwritten takes no more than before. */
	random_fill(bytes, MIB, 0);
	assert_done(nbd_pwrite(nbd, bytes, MIB, 0, 0));
	/* A trim of all but the first, and there is room at once. */
	assert_done(nbd_trim(nbd, (DISK_MIB - 1) * MIB, MIB, 0));
	random_fill(bytes, MIB, wrote);
	for (uint64_t mib = 1; mib < wrote; mib++)
		assert_done(nbd_pwrite(nbd, bytes, MIB, mib * MIB, 0));
	assert_holds(nbd, bytes, 0, 1);
	free(bytes);
	nbd_close(nbd);
	server_stop(&server);
}

#define MOST_EXTENTS 16

/* What the disk says of its pages: lengths and flags in turn. */
struct extents {
	size_t count;
	uint32_t entry[2 * MOST_EXTENTS];
};

static int keep_extents(void *arg, const char *context, uint64_t offset, uint32_t *entries,
			size_t count, int *error)
{
	struct extents *extents = arg;

	(void)context;
	(void)offset;
	(void)error;
	for (size_t i = 0; i < count && extents->count < 2 * (size_t)MOST_EXTENTS; i++)
		extents->entry[extents->count++] = entries[i];
	return 0;
}

static void disk_tells_what_is_empty(void **state)
{
	const char *const parameters[] = { "size=81000", NULL };
	const uint32_t hole = LIBNBD_STATE_HOLE | LIBNBD_STATE_ZERO;
	const uint32_t page = (uint32_t)page_size();
	struct server server = server_start(parameters);
	struct nbd_handle *nbd = nbd_create();
	struct extents extents = { 0 };
	char *bytes = calloc(3, page);
	const uint32_t expected[] = {
		2 * page, hole, 2 * page, 0, page, hole, page, 0, 81000 - 6 * page, hole,
	};

	(void)state;
	assert_non_null(nbd);
	assert_non_null(bytes);
	assert_done(nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION));
	assert_done(nbd_connect_unix(nbd, server.socket));
	memset(bytes, 1, 2UL * page);
	assert_done(nbd_pwrite(nbd, bytes, 3UL * page, 2UL * page, 0));
	assert_done(nbd_pwrite(nbd, bytes, page, 5UL * page, 0));
	assert_done(nbd_pwrite(nbd, bytes, page, 7UL * page, 0));
	assert_done(nbd_trim(nbd, page, 7UL * page, 0));
	assert_done(nbd_block_status(
		nbd, 81000, 0,
		(nbd_extent_callback){ .callback = keep_extents, .user_data = &extents }, 0));
	assert_int_equal(extents.count, sizeof(expected) / sizeof(expected[0]));
	assert_memory_equal(extents.entry, expected, sizeof(expected));
	/* One alone, from the middle of a page. */
	extents.count = 0;
	assert_done(nbd_block_status(
		nbd, 10UL * page, 100,
		(nbd_extent_callback){ .callback = keep_extents, .user_data = &extents },
		LIBNBD_CMD_FLAG_REQ_ONE));
	assert_int_equal(extents.count, 2);
	assert_int_equal(extents.entry[0], 2 * page - 100);
	assert_int_equal(extents.entry[1], hole);
	free(bytes);
	nbd_close(nbd);
	server_stop(&server);
}

/* Makes a file of @mib MiB for write-back, and the parameter that names it. */
static void backing_make(char *parameter, size_t room, uint64_t mib)
{
	char name[] = "/tmp/test-nbdkit-back-XXXXXX";
	int file = mkstemp(name);

	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, (off_t)(mib * MIB)), 0);
	close(file);
	snprintf(parameter, room, "writeback=%s", name);
}

/* A disk of 128 MiB that has 8 MiB of memory, with a file for the rest. */
struct backed_disk {
	char writeback[64];
	struct server server;
	struct nbd_handle *nbd;
	char *bytes; /* a MiB */
};

/* Starts a server whose files take no byte beyond @most, as a device with a bad part. */
static struct server server_start_limited(const char *const *parameters, rlim_t most)
{
	struct rlimit before, limit;
	struct server server;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){ .rlim_cur = most, .rlim_max = before.rlim_max };
	signal(SIGXFSZ, SIG_IGN); /* which the server inherits: the write fails instead */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	server = server_start(parameters);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	return server;
}

/* The file has @file_mib MiB; the server's writes beyond byte @most of it fail, but for 0. */
static struct backed_disk disk_start(uint64_t file_mib, rlim_t most)
{
	struct backed_disk disk;
	const char *const parameters[] = { "128M", "limit=8M", disk.writeback, NULL };

	disk.bytes = malloc(MIB);
	assert_non_null(disk.bytes);
	backing_make(disk.writeback, sizeof(disk.writeback), file_mib);
	disk.server = most ? server_start_limited(parameters, most) : server_start(parameters);
	disk.nbd = server_connect(&disk.server);
	return disk;
}

static void disk_end(struct backed_disk *disk)
{
	free(disk->bytes);
	nbd_close(disk->nbd);
	server_stop(&disk->server);
	unlink(strchr(disk->writeback, '/'));
}

static void disk_write(struct backed_disk *disk, uint64_t mib)
{
	random_fill(disk->bytes, MIB, mib);
	assert_done(nbd_pwrite(disk->nbd, disk->bytes, MIB, mib * MIB, 0));
}

static void writes_beyond_the_limit_go_to_the_file(void **state)
{
	const uint64_t mib = 64;
	struct backed_disk disk = disk_start(mib, 0);

	(void)state;
	for (uint64_t i = 0; i < mib; i++)
		disk_write(&disk, i);
	assert_holds(disk.nbd, disk.bytes, 0, mib);
	/* What was overwritten gives its place in the file back. */
	for (uint64_t i = 0; i < mib; i += 2)
		disk_write(&disk, i);
	assert_holds(disk.nbd, disk.bytes, 0, mib);
	disk_end(&disk);
}

static void a_full_file_loses_nothing(void **state)
{
	struct backed_disk disk = disk_start(8, 0);
	uint64_t wrote = fill_disk(disk.nbd, disk.bytes);

	(void)state;
	assert_int_equal(nbd_get_errno(), ENOSPC);
	assert_in_range(wrote, 14, 16);
	assert_holds(disk.nbd, disk.bytes, 0, wrote);
	disk_end(&disk);
}

static void a_file_that_fails_writes_loses_nothing(void **state)
{
	struct backed_disk disk;
	uint64_t wrote;

	(void)state;
	/* With a sanitizer in it, nbdkit hangs in libp11-kit once strerror() was called. */
	if (TEST_LESS != 1)
		skip();
	disk = disk_start(64, 4 * MIB);
	wrote = fill_disk(disk.nbd, disk.bytes);
	assert_int_equal(nbd_get_errno(), ENOSPC);
	assert_in_range(wrote, 10, 12);
	assert_holds(disk.nbd, disk.bytes, 0, wrote);
	/* A page that has its place can be written, and a trim makes room. */
	disk_write(&disk, wrote - 1);
	assert_done(nbd_trim(disk.nbd, 2 * MIB, (wrote - 2) * MIB, 0));
	disk_write(&disk, wrote - 2);
	assert_holds(disk.nbd, disk.bytes, 0, wrote - 1);
	disk_end(&disk);
}

/* Reads all pages of the first @mib MiB. Returns how many fail; the others are what they were. */
static uint64_t count_failing(struct nbd_handle *nbd, uint64_t mib)
{
	char *expected = malloc(MIB), *page = malloc(page_size());
	uint64_t failing = 0;

	assert_non_null(expected);
	assert_non_null(page);
	for (uint64_t at = 0; at < mib * MIB; at += page_size()) {
		if (at % MIB == 0)
			random_fill(expected, MIB, at / MIB);
		if (nbd_pread(nbd, page, page_size(), at, 0) == 0) {
			assert_memory_equal(page, expected + at % MIB, page_size());
		} else {
			assert_int_equal(nbd_get_errno(), EIO);
			failing++;
		}
	}
	free(page);
	free(expected);
	return failing;
}

static void a_file_that_shrinks_fails_its_pages_alone(void **state)
{
	const uint64_t mib = 12, left = 7; /* a round of write-back moves nearly 8 */
	struct backed_disk disk = disk_start(64, 0);
	uint64_t failing;

	(void)state;
	for (uint64_t i = 0; i < mib; i++)
		disk_write(&disk, i);
	assert_int_equal(truncate(strchr(disk.writeback, '/'), (off_t)(left * MIB)), 0);
	failing = count_failing(disk.nbd, mib);
	assert_in_range(failing, 1, (mib - left) * MIB / page_size());
	/* Written anew, all is well. */
	assert_done(nbd_trim(disk.nbd, mib * MIB, 0, 0));
	for (uint64_t i = 0; i < 4; i++)
		disk_write(&disk, i);
	assert_holds(disk.nbd, disk.bytes, 0, 4);
	disk_end(&disk);
}

struct resident {
	pid_t pid;
	uint64_t most;
};

static uint64_t resident_bytes(pid_t pid)
{
	unsigned long pages = 0;
	char name[64];
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/statm", (int)pid);
	file = fopen(name, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
	fclose(file);
	return pages * page_size();
}

static bool is_back(void *arg)
{
	const struct resident *resident = arg;

	return resident_bytes(resident->pid) <= resident->most;
}

/* Fills the disk, frees it by the request, and waits until the memory is the system's again. */
static void assert_gives_back(int (*request)(struct nbd_handle *nbd, uint64_t count,
					     uint64_t offset, uint32_t flags))
{
	const char *const parameters[] = { "128M", NULL };
	struct server server = server_start(parameters);
	struct nbd_handle *nbd = server_connect(&server);
	struct resident resident = { .pid = server.pid };
	char *bytes = malloc(MIB);

	assert_non_null(bytes);
	resident.most = resident_bytes(server.pid) + BUFFERS;
	assert_int_equal(fill_disk(nbd, bytes), DISK_MIB);
	assert_true(resident_bytes(server.pid) > DISK_MIB * MIB);
	assert_done(request(nbd, DISK_MIB * MIB, 0, 0));
	assert_true(wait_for(is_back, &resident));
	free(bytes);
	nbd_close(nbd);
	server_stop(&server);
}

static int trim(struct nbd_handle *nbd, uint64_t count, uint64_t offset, uint32_t flags)
{
	return nbd_trim(nbd, count, offset, flags);
}

static int zero(struct nbd_handle *nbd, uint64_t count, uint64_t offset, uint32_t flags)
{
	return nbd_zero(nbd, count, offset, flags);
}

static void memory_comes_back(void **state)
{
	(void)state;
	/* A sanitizer's own memory counts as the program's, and does not come back. */
	if (TEST_LESS != 1)
		skip();
	assert_gives_back(trim);
	assert_gives_back(zero);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disk_says_what_it_can),
		cmocka_unit_test(wrong_parameters_are_refused),
		cmocka_unit_test(disk_tells_what_is_empty),
		cmocka_unit_test(a_full_disk_loses_nothing),
		cmocka_unit_test(writes_beyond_the_limit_go_to_the_file),
		cmocka_unit_test(a_full_file_loses_nothing),
		cmocka_unit_test(a_file_that_fails_writes_loses_nothing),
		cmocka_unit_test(a_file_that_shrinks_fails_its_pages_alone),
		cmocka_unit_test(memory_comes_back),
	};

	need_nbdkit(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
