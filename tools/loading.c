/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Loading real memory: see loading.h. */
#include "loading.h"

#include <limits.h>

#include "cli.h"
#include "machine.h"
#include "progress.h"

static const size_t default_size = (size_t)1 << 30;

static const struct argp_option loading_options[] = {
	{ "pid", 'p', "PID", 0, "Load the private memory of this process", 0 },
	{ "size", 's', "SIZE", 0,
	  "Load at most so many bytes (K, M, G and T are understood); default 1G, or less where "
	  "memory is short",
	  0 },
	{ 0 },
};

static error_t parse_loading(int key, char *arg, struct argp_state *state)
{
	struct loading *loading = state->input;

	switch (key) {
	case 'p':
		loading->pid = (pid_t)cli_number("--pid", arg, 1, INT_MAX);
		return 0;
	case 's':
		loading->size = cli_size("--size", arg);
		return 0;
	case ARGP_KEY_ARGS:
		loading->files = state->argv + state->next;
		return 0;
	case ARGP_KEY_END:
		if (loading->pid && loading->files)
			fail("give --pid or files, not both");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp loading_argp = { .options = loading_options, .parser = parse_loading };

static size_t decide_size(const struct loading *loading, double taken)
{
	size_t wanted = loading->size ? loading->size : default_size;
	double available = (double)machine_available_memory();
	double needed = taken * (double)wanted;

	if (needed <= available)
		return wanted;
	if (loading->size)
		fail("not enough memory: %zu MiB take up to %.0f MiB, of which %.0f MiB are "
		     "available; choose a smaller --size",
		     wanted >> 20, needed / (1 << 20), available / (1 << 20));
	return (size_t)(available / taken);
}

void loading_run(const struct loading *loading, double taken, struct source *source)
{
	source_create(source, decide_size(loading, taken));
	progress_begin("Loading", source->room);
	if (loading->pid)
		source_load_process(source, loading->pid);
	else if (loading->files)
		source_load_files(source, loading->files);
	else
		source_load_system(source);
	progress_end();
}
