/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Keeps a file in compressed memory, tells how much it takes, and prints it from there.
 *
 *	cc zram-example.c $(pkg-config --cflags --libs zram) -o zram-example
 *	./zram-example FILE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zram.h>

int main(int argc, char **argv)
{
	const size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	struct zram_options options = { .size = sizeof(options), .algorithm = "zstd" };
	struct zram_mm_stat stat;
	uint64_t index = 0, left;
	struct zram *zram;
	FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
	char *page = calloc(1, page_size);
	size_t len;

	if (!file || !page) {
		fprintf(stderr, "usage: zram-example FILE (one that can be read)\n");
		return 1;
	}
	fseek(file, 0, SEEK_END);
	left = (uint64_t)ftell(file);
	rewind(file);

	/* A page that is never written costs nothing, so the size may be generous. */
	options.disksize = left + 1;
	zram = zram_create(&options);
	if (!zram) {
		perror("zram_create");
		return 1;
	}

	while ((len = fread(page, 1, page_size, file)) > 0) {
		int err;

		memset(page + len, 0, page_size - len);
		err = zram_write_page(zram, index++, page);
		if (err) {
			fprintf(stderr, "zram_write_page: %s\n", strerror(-err));
			return 1;
		}
	}

	zram_get_mm_stat(zram, &stat);
	fprintf(stderr, "%llu bytes take %llu\n", (unsigned long long)stat.orig_data_size,
		(unsigned long long)stat.mem_used_total);

	for (index = 0; left; index++) {
		int err = zram_read_page(zram, index, page);

		if (err) {
			fprintf(stderr, "zram_read_page: %s\n", strerror(-err));
			return 1;
		}
		len = left < page_size ? (size_t)left : page_size;
		fwrite(page, 1, len, stdout);
		left -= len;

		/* What a process's exit calls for each of its swapped pages. */
		zram_slot_free_notify(zram, index);
	}

	zram_destroy(zram);
	fclose(file);
	free(page);
	return 0;
}
