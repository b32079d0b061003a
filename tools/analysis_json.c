/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* An analysis for programs. Sizes are in bytes. */
#include "analysis_report.h"
#include "json.h"
#include "zsmalloc.h"

static json_t *class_json(const struct class *class, const struct class_use *use)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "size",
			 number(class->size), "pages_per_zspage", number(class->pages),
			 "slots_per_zspage", number(class->slots), "objects", number(use->objects),
			 "zspages", number(use->zspages), "pages", number(use->pages),
			 "waste_rounding", number(use->rounding), "waste_tails", number(use->tails),
			 "waste_free", number(use->free));
}

static json_t *classes_json(const struct class_table *table, const struct outcome *outcome)
{
	json_t *classes = json_array();

	for (size_t i = 0; i < table->count; i++)
		if (outcome->use[i].objects)
			append(classes, class_json(&table->class[i], &outcome -> use[i]));
	return classes;
}

static json_t *chains_json(const struct outcome *outcome)
{
	json_t *chains = json_array();

	for (unsigned int chain = 1; chain <= CHAIN_MAX; chain++)
		append(chains, json_pack("{s:o, s:o, s:f}", "pages", number(chain), "memory",
					 number(outcome->memory[chain]), "overhead_percent",
					 outcome_overhead(outcome, chain)));
	return chains;
}

static json_t *sizes_json(const struct analysis *analysis, const struct outcome *outcome)
{
	json_t *sizes = json_array();

	for (size_t size = 1; size <= analysis->source->page_size; size++)
		if (outcome->sizes[size])
			append(sizes, json_pack("{s:o, s:o}", "size", number(size), "pages",
						number(outcome->sizes[size])));
	return sizes;
}

static json_t *outcome_json(const struct analysis *analysis, const struct outcome *outcome)
{
	return json_pack("{s:s, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "algorithm",
			 outcome->algorithm, "ratio", outcome_ratio(analysis, outcome), "objects",
			 number(outcome->objects), "compressed", number(outcome->compressed),
			 "incompressible_pages", number(outcome->incompressible), "best_chain",
			 number(outcome->best_chain), "chains", chains_json(outcome), "sizes",
			 sizes_json(analysis, outcome), "classes",
			 classes_json(&analysis->classes, outcome));
}

void analysis_json(const struct analysis *analysis, const struct machine *machine)
{
	json_t *outcomes = json_array();

	for (unsigned int i = 0; i < analysis->algorithms; i++)
		append(outcomes, outcome_json(analysis, &analysis->outcome[i]));
	print_json(json_pack("{s:s, s:o, s:o, s:o, s:o}", "version", ZS_VERSION, "machine",
			     machine_json(machine), "loaded", source_json(analysis->source),
			     "same_filled_pages", number(analysis->same_filled), "algorithms",
			     outcomes));
}
