/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The report of a reading: text for people, or JSON for programs, where sizes are in bytes and
 * times in nanoseconds.
 */
#include "top.h"

#include <inttypes.h>

#include "util.h"
#include "zsmalloc.h"

/* The zspages of a class. */
static uint64_t zspages_of(const struct zs_published_class *class)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < ZS_PUBLISHED_TENTHS; i++)
		sum += class->zspages[i];
	return sum;
}

/* The memory that a pool holds over what is stored in it, in per cent; 0 if nothing is. */
static double overhead_of(const struct zs_published_pool *pool)
{
	if (!pool->stored)
		return 0;
	return 100 * ((double)pool->resident / (double)pool->stored - 1);
}

static void print_size(FILE *out, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double size = (double)bytes;
	unsigned int unit = 0;

	while (size >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		size /= 1024;
		unit++;
	}
	fprintf(out, "%.*f %s", unit ? 1 : 0, size, units[unit]);
}

static void print_stored(const struct zs_published_pool *pool, FILE *out)
{
	fprintf(out, "  stored     ");
	print_size(out, pool->stored);
	fprintf(out, " in %" PRIu64 " objects; resident ", pool->objects);
	print_size(out, pool->resident);
	if (pool->stored)
		fprintf(out, ", overhead %.1f %%", overhead_of(pool));
	fputc('\n', out);
}

/* Each page that is written back is kept as it is. */
static double ratio_of(const struct zs_published_pool *pool)
{
	double page_size = pool->page_size;
	double kept = (double)pool->store.compressed + (double)pool->store.written_back * page_size;

	return kept > 0 ? (double)pool->store.pages * page_size / kept : 0;
}

static void print_store(const struct zs_published_pool *pool, FILE *out)
{
	const struct zs_published_store *store = &pool->store;

	if (!store->pages)
		return;
	fprintf(out,
		"  store      %" PRIu64 " pages, %" PRIu64 " same-filled, %" PRIu64
		" incompressible; compressed ",
		store->pages, store->same, store->huge);
	print_size(out, store->compressed);
	if (store->compressed || store->written_back)
		fprintf(out, ", ratio %.2f", ratio_of(pool));
	if (store->written)
		fprintf(out, "\n  write-back %" PRIu64 " pages there, %" PRIu64 " ever written",
			store->written_back, store->written);
	fputc('\n', out);
}

static void print_deferred(const struct zs_published_pool *pool, FILE *out)
{
	fprintf(out, "  deferred   %" PRIu64 " of %" PRIu64 " pending; %" PRIu64 " fallbacks\n",
		pool->pending, pool->capacity, pool->fallbacks);
	fprintf(out, "  drained    %" PRIu64 " of %" PRIu64 " queued, in %" PRIu64 " drains",
		pool->drained, pool->queued, pool->drains);
	fprintf(out, ", the longest %.1f ms\n", (double)pool->longest_drain_ns / 1e6);
}

static void print_compacted(const struct zs_published_pool *pool, FILE *out)
{
	fprintf(out, "  compaction %" PRIu64 " pages given back", pool->pages_compacted);
	if (pool->misuses)
		fprintf(out, "; misuses: %" PRIu64, pool->misuses);
	fputc('\n', out);
}

/* Counters only grow; what is less than it was is another program's, with the same pid. */
static double rate(uint64_t now, uint64_t before, double seconds)
{
	return now > before ? (double)(now - before) / seconds : 0;
}

static void print_rates(const struct zs_published_pool *now, const struct zs_published_pool *before,
			double seconds, FILE *out)
{
	fprintf(out, "  per second %.0f queued, %.0f drained, %.0f drains, %.0f fallbacks, ",
		rate(now->queued, before->queued, seconds),
		rate(now->drained, before->drained, seconds),
		rate(now->drains, before->drains, seconds),
		rate(now->fallbacks, before->fallbacks, seconds));
	fprintf(out, "%.0f pages compacted\n",
		rate(now->pages_compacted, before->pages_compacted, seconds));
}

/* How many of the slots hold an object; not more than all, as they are not counted all at once. */
static void print_fullness(const struct zs_published_class *class, uint64_t zspages, FILE *out)
{
	uint64_t slots = zspages * class->slots;
	uint64_t objects = class->objects < slots ? class->objects : slots;

	fprintf(out, "%5.1f %% ", slots ? 100 * (double)objects / (double)slots : 0);
	print_bar(out, objects, slots);
	fputc('\n', out);
}

static void print_classes(const struct zs_published_pool *pool, FILE *out)
{
	bool any = false;

	for (unsigned int i = 0; i < pool->classes; i++) {
		const struct zs_published_class *class = &pool->class[i];
		uint64_t zspages = zspages_of(class);

		if (!zspages)
			continue;
		if (!any)
			fprintf(out, "  %6s %10s %10s %10s   full\n", "class", "objects", "zspages",
				"pages");
		any = true;
		fprintf(out, "  %6" PRIu32 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " ",
			class->size, class->objects, zspages, class->held);
		print_fullness(class, zspages, out);
	}
}

static void print_pool(const struct program *program, const struct zs_published_pool *pool,
		       const struct reading *reading, const struct reading *before, FILE *out)
{
	const struct zs_published_pool *old =
		before ? reading_find(before, program->pid, pool->id) : NULL;

	fprintf(out, "%s (%d), pool \"%s\"%s\n", program->command, program->pid, pool->name,
		program->answered ? "" : ": does not answer; this is what it told last");
	print_store(pool, out);
	print_stored(pool, out);
	print_deferred(pool, out);
	print_compacted(pool, out);
	if (old && reading->time > before->time)
		print_rates(pool, old, (double)(reading->time - before->time) / (double)NS_PER_S,
			    out);
	print_classes(pool, out);
}

void top_print(const struct reading *reading, const struct reading *before, FILE *out)
{
	bool first = true;

	for (size_t i = 0; i < reading->programs; i++) {
		const struct program *program = &reading->program[i];

		for (size_t j = 0; j < program->pools; j++) {
			if (!first)
				fputc('\n', out);
			first = false;
			print_pool(program, &program->pool[j], reading, before, out);
		}
	}
}

static json_t *class_json(const struct zs_published_class *class)
{
	json_t *zspages = json_array();

	for (unsigned int i = 0; i < ZS_PUBLISHED_TENTHS; i++)
		append(zspages, number(class->zspages[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "size", number(class->size),
			 "pages_per_zspage", number(class->pages), "slots_per_zspage",
			 number(class->slots), "zspages", number(zspages_of(class)), "pages",
			 number(class->held), "objects", number(class->objects),
			 "zspages_by_fullness", zspages);
}

static json_t *deferred_json(const struct zs_published_pool *pool)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pending", number(pool->pending),
			 "capacity", number(pool->capacity), "queued", number(pool->queued),
			 "drained", number(pool->drained), "drains", number(pool->drains),
			 "fallbacks", number(pool->fallbacks), "longest_drain",
			 number(pool->longest_drain_ns));
}

/* Null where the pool is no store's. */
static json_t *store_json(const struct zs_published_pool *pool)
{
	const struct zs_published_store *store = &pool->store;

	if (!store->pages)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:f, s:o}", "pages", number(store->pages),
			 "same_pages", number(store->same), "huge_pages", number(store->huge),
			 "written_back", number(store->written_back), "compr_data_size",
			 number(store->compressed), "ratio", ratio_of(pool), "ever_written_back",
			 number(store->written));
}

static json_t *pool_json(const struct zs_published_pool *pool)
{
	json_t *classes = json_array();

	for (unsigned int i = 0; i < pool->classes; i++)
		if (zspages_of(&pool->class[i]))
			append(classes, class_json(&pool->class[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			 pool->name, "store", store_json(pool), "objects", number(pool->objects),
			 "stored", number(pool->stored), "resident", number(pool->resident),
			 "overhead_percent", overhead_of(pool), "pages", number(pool->pages),
			 "page_size", number(pool->page_size), "deferred", deferred_json(pool),
			 "pages_compacted", number(pool->pages_compacted), "misuses",
			 number(pool->misuses), "classes", classes);
}

static json_t *program_json(const struct program *program)
{
	json_t *pools = json_array();

	for (size_t i = 0; i < program->pools; i++)
		append(pools, pool_json(&program->pool[i]));
	return json_pack("{s:i, s:s, s:b, s:o}", "pid", program->pid, "command", program->command,
			 "answered", program->answered, "pools", pools);
}

void top_print_json(const struct reading *reading)
{
	json_t *programs = json_array();

	for (size_t i = 0; i < reading->programs; i++)
		append(programs, program_json(&reading->program[i]));
	print_json(json_pack("{s:s, s:o}", "version", ZS_VERSION, "programs", programs));
}
