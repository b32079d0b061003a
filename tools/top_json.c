/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* A reading for programs. Sizes are in bytes, times in nanoseconds. */
#include <stdio.h>

#include "json.h"
#include "top_show.h"
#include "zsmalloc.h"

static json_t *class_json(const struct zs_published_class *class)
{
	json_t *zspages = json_array();

	for (unsigned int i = 0; i < ZS_PUBLISHED_TENTHS; i++)
		append(zspages, number(class->zspages[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "size", number(class->size),
			 "pages_per_zspage", number(class->pages), "slots_per_zspage",
			 number(class->slots), "zspages", number(top_zspages(class)), "pages",
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

static json_t *pool_json(const struct zs_published_pool *pool)
{
	json_t *classes = json_array();

	for (unsigned int i = 0; i < pool->classes; i++)
		if (top_zspages(&pool->class[i]))
			append(classes, class_json(&pool->class[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			 pool->name, "objects", number(pool->objects), "stored",
			 number(pool->stored), "resident", number(pool->resident),
			 "overhead_percent", top_overhead(pool), "pages", number(pool->pages),
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

void top_json(const struct reading *reading)
{
	json_t *programs = json_array();

	for (size_t i = 0; i < reading->programs; i++)
		append(programs, program_json(&reading->program[i]));
	print_json(json_pack("{s:s, s:o}", "version", ZS_VERSION, "programs", programs));
}
