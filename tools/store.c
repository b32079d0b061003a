/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* `zsmalloc store`: its arguments; then import, recompress, export, report. */
#include "store.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "allowance.h"
#include "options.h"
#include "util.h"

static const struct cli_option store_options[] = {
	{ "algorithm", 'a', "NAME", "Compressor of libzram; default lz4" },
	{ "dictionary", 'd', NULL, "Train a dictionary from the input, for zstd" },
	{ "json", 'j', NULL, "Report in JSON" },
	{ "level", 'l', "N", "Level of the algorithm, negative ones too; default its own" },
	{ "limit", 'L', "SIZE",
	  "Memory that the pages may take; default what machine, control groups and limits leave" },
	{ "recompress", 'r', "NAME",
	  "Compress all pages once more by this algorithm, and keep what is smaller" },
	{ "verify", 'v', NULL, "Read the output again, or the store, and compare hashes" },
	{ "writeback", 'w', "FILE", "Move pages to this file or block device at the limit" },
	{ 0 },
};

static const struct cli store_cli = {
	.usage = "zsmalloc store [OPTION...] INPUT [OUTPUT]",
	.summary = "Makes a compressed store, imports a file or block device into it, tells what "
		   "it holds in how much memory, and exports it. \"-\" is standard input or "
		   "output.",
	.options = store_options,
	.notes = "With \"-\" for OUTPUT the report goes to standard error. A file has its name\n"
		 "only once it is whole. nbdkit-zsmalloc-plugin(1) serves such a store as a "
		 "disk.\n\n"
		 "Exit status: 0; 1 if a page came back changed; 2 if the command could not do "
		 "what\n"
		 "it was asked.",
};

/* Levels may be negative: zram_create() knows which there are. */
static int level_of(const char *text)
{
	bool negative = *text == '-';
	long level = (long)cli_number("--level", text + negative, 0, 1UL << 20);

	return (int)(negative ? -level : level);
}

static void take_option(struct store_job *job, int key, bool *json)
{
	switch (key) {
	case 'a':
		job->options.algorithm = optarg;
		break;
	case 'd':
		job->dictionary = true;
		break;
	case 'j':
		*json = true;
		break;
	case 'l':
		job->options.level = level_of(optarg);
		break;
	case 'L':
		job->options.mem_limit = cli_size("--limit", optarg);
		job->own_limit = true;
		break;
	case 'r':
		job->options.secondary[0].algorithm = optarg;
		break;
	case 'v':
		job->verify = true;
		break;
	default:
		job->writeback = optarg;
	}
}

static void take_operands(struct store_job *job, int argc, char **argv)
{
	int count = argc - optind;

	if (count < 1 || count > 2)
		fail("takes an INPUT and perhaps an OUTPUT, not %d names; see %s --help", count,
		     argv[0]);
	job->input = argv[optind];
	job->output = count == 2 ? argv[optind + 1] : NULL;
	if (job->output && !*job->output)
		fail("\"\" is no name of a file");
}

static void check_options(struct store_job *job)
{
	const char *secondary = job->options.secondary[0].algorithm;

	check_algorithm(job->options.algorithm);
	if (secondary)
		check_algorithm(secondary);
	if (job->dictionary && strcmp(job->options.algorithm, "zstd") != 0)
		fail("--dictionary is for zstd, not %s; give --algorithm zstd",
		     job->options.algorithm);
	if (job->writeback && !job->own_limit)
		fail("--writeback needs a --limit: how much stays in memory");
	if (!job->own_limit)
		job->options.mem_limit = allowance_find("").memory;
	if (job->options.mem_limit == UINT64_MAX)
		job->options.mem_limit = 0;
}

static void recompress(struct store_job *job)
{
	uint64_t start = now_ns();
	int64_t pages = zram_recompress(job->store, NULL, 1);

	if (pages < 0 && pages != -ENOMEM)
		fail("cannot recompress: %s", strerror((int)-pages));
	job->recompress_ns = now_ns() - start;
}

int command_store(int argc, char **argv)
{
	struct store_job job = {
		.options = { .algorithm = "lz4" },
		.page_size = (size_t)sysconf(_SC_PAGESIZE),
	};
	bool json = false;
	int key;

	while ((key = cli_next(&store_cli, argc, argv)))
		take_option(&job, key, &json);
	take_operands(&job, argc, argv);
	check_options(&job);

	store_open_input(&job);
	store_open_output(&job);
	store_import(&job);
	if (job.options.secondary[0].algorithm)
		recompress(&job);
	store_export(&job);
	if (json)
		store_print_json(&job);
	else
		store_print(&job);
	zram_destroy(job.store);
	return 0;
}
