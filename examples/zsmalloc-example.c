/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Keeps the lines of a text in a pool, then prints them from the last to the first.
 *
 *	cc zsmalloc-example.c $(pkg-config --cflags --libs zsmalloc) -o zsmalloc-example
 *	./zsmalloc-example < TEXT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zsmalloc.h>

struct line {
	unsigned long handle;
	size_t len;
};

int main(void)
{
	struct zs_pool *pool = zs_create_pool("lines");
	struct line *lines = NULL;
	size_t count = 0, room = 0, text_size = 0;
	char *text = NULL;
	ssize_t len;

	if (!pool) {
		perror("zs_create_pool");
		return 1;
	}

	while ((len = getline(&text, &text_size, stdin)) > 0) {
		unsigned long handle = zs_malloc(pool, (size_t)len, GFP_KERNEL, NUMA_NO_NODE);

		/* An object is at most a page; a longer line gives -ENOSPC. */
		if (zs_is_err(handle)) {
			fprintf(stderr, "line %zu: %s\n", count + 1, strerror(-zs_err(handle)));
			return 1;
		}
		zs_obj_write(pool, handle, text, (size_t)len);

		if (count == room) {
			room = room ? 2 * room : 1024;
			lines = realloc(lines, room * sizeof(*lines));
			if (!lines) {
				perror("realloc");
				return 1;
			}
		}
		lines[count++] = (struct line){ .handle = handle, .len = (size_t)len };
	}
	fprintf(stderr, "%zu lines in %lu pages\n", count, zs_get_total_pages(pool));

	while (count--) {
		unsigned long handle = lines[count].handle;
		/* Between begin and end the object stays where it is; a program needs no copy. */
		void *bytes = zs_obj_read_begin(pool, handle, lines[count].len, NULL);

		fwrite(bytes, 1, lines[count].len, stdout);
		zs_obj_read_end(pool, handle, lines[count].len, bytes);

		/* Returns at once; the pool takes the memory back later. */
		zs_free_deferred(pool, handle);
	}

	zs_destroy_pool(pool);
	free(lines);
	free(text);
	return 0;
}
