/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* What a store holds: beside the progress bar, at the end, and in JSON. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "zsmalloc.h"

static double ratio_of(const struct zram_mm_stat *stat, uint64_t backed_bytes)
{
	uint64_t kept = stat->compr_data_size + backed_bytes;

	return kept ? (double)stat->orig_data_size / (double)kept : 0;
}

static uint64_t speed(uint64_t bytes, uint64_t ns)
{
	return ns ? (uint64_t)((double)bytes / ((double)ns / (double)NS_PER_S)) : 0;
}

static struct zram_bd_stat backing_of(const struct store_job *job)
{
	struct zram_bd_stat stat;

	zram_get_bd_stat(job->store, &stat);
	return stat;
}

/* Returns how many lines it printed. */
static int print_state(const struct store_job *job, FILE *out)
{
	struct zram_bd_stat backing = backing_of(job);
	struct zram_mm_stat stat;

	zram_get_mm_stat(job->store, &stat);
	fprintf(out, "Stored     %.1f MiB: %llu pages, %llu same-filled, %llu incompressible\n",
		mib(stat.orig_data_size),
		(unsigned long long)(stat.orig_data_size / job->page_size),
		(unsigned long long)stat.same_pages, (unsigned long long)stat.huge_pages);
	fprintf(out, "Kept       %.1f MiB, ratio %.2f, in %.1f MiB of memory\n",
		mib(stat.compr_data_size), ratio_of(&stat, backing.bd_count * job->page_size),
		mib(stat.mem_used_total));
	if (!backing.bd_capacity)
		return 2;
	fprintf(out, "Written    %llu of %llu pages are in \"%s\"\n",
		(unsigned long long)backing.bd_count, (unsigned long long)backing.bd_capacity,
		job->writeback);
	return 3;
}

static const struct store_job *watched;
static uint64_t watched_since;

/* Pages come into the store during an import alone. */
static int print_live(FILE *out)
{
	int lines = print_state(watched, out);
	struct zram_mm_stat stat;

	if (watched->import_ns)
		return lines;
	zram_get_mm_stat(watched->store, &stat);
	fprintf(out, "Import     %.1f MiB/s\n",
		mib(speed(stat.orig_data_size, now_ns() - watched_since)));
	return lines + 1;
}

void store_watch(const struct store_job *job)
{
	watched = job;
	watched_since = now_ns();
	progress_note(print_live);
}

static void print_compressors(const struct store_job *job)
{
	struct zram_compressor_stat stat;

	for (unsigned int i = 0; zram_get_compressor_stat(job->store, i, &stat) == 0; i++) {
		printf("%-10s level %d: %llu pages in %.1f MiB", stat.algorithm, stat.level,
		       (unsigned long long)stat.pages, mib(stat.compr_data_size));
		if (stat.dictionary_size)
			printf(", with a dictionary of %zu bytes", stat.dictionary_size);
		putchar('\n');
	}
}

void store_print(const struct store_job *job)
{
	print_state(job, stdout);
	print_compressors(job);
	printf("Import     %.2f s, %.1f MiB/s\n", (double)job->import_ns / 1e9,
	       mib(speed(job->bytes, job->import_ns)));
	if (job->recompress_ns)
		printf("Recompress %.2f s\n", (double)job->recompress_ns / 1e9);
	if (job->export_ns)
		printf("Export     %.2f s, %.1f MiB/s%s\n", (double)job->export_ns / 1e9,
		       mib(speed(job->bytes, job->export_ns)), job->verified ? "; verified" : "");
	else if (job->verified)
		printf("Verified   all pages read back as they were\n");
}

static json_t *compressors_json(const struct store_job *job)
{
	struct zram_compressor_stat stat;
	json_t *compressors = json_array();

	for (unsigned int i = 0; zram_get_compressor_stat(job->store, i, &stat) == 0; i++)
		append(compressors,
		       json_pack("{s:s, s:i, s:o, s:o, s:o}", "algorithm", stat.algorithm, "level",
				 stat.level, "dictionary_size", number(stat.dictionary_size),
				 "pages", number(stat.pages), "compr_data_size",
				 number(stat.compr_data_size)));
	return compressors;
}

static json_t *path_json(const char *path)
{
	char *name = path ? strdup(path) : NULL;
	json_t *json = json_null();

	if (!name)
		return json;
	make_printable(name);
	json = json_string(name);
	free(name);
	return json;
}

void store_print_json(const struct store_job *job)
{
	struct zram_bd_stat backing = backing_of(job);
	struct zram_mm_stat stat;

	zram_get_mm_stat(job->store, &stat);
	print_json(json_pack(
		"{s:s, s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "version",
		ZS_VERSION, "machine", machine_json(), "input", path_json(job->input), "output",
		path_json(job->output), "bytes", number(job->bytes), "stored", stored_json(&stat),
		"ratio", ratio_of(&stat, backing.bd_count * job->page_size), "compressors",
		compressors_json(job), "written_back", number(backing.bd_count),
		"room_to_write_back", number(backing.bd_capacity), "import", number(job->import_ns),
		"recompress", number(job->recompress_ns), "export", number(job->export_ns),
		"verified", (int)job->verified));
}
