/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The report for programs: every figure of every round. Times are in nanoseconds. */
#include "json.h"
#include "report.h"
#include "summary.h"
#include "zsmalloc.h"

static const char *const policy_names[POLICIES] = {
	[ZRAM_FREE_DEFERRED] = "deferred",
	[ZRAM_FREE_NOW] = "freed_at_once",
};

static json_t *budget_json(size_t budget)
{
	if (!budget)
		return json_string("default");
	return budget == SIZE_MAX ? json_null() : number(budget);
}

static json_t *options_json(const struct experiment *experiment)
{
	const struct experiment_options *options = &experiment->options;

	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "algorithm", options->algorithm, "processes",
			 number(options->processes), "resident_percent", number(options->resident),
			 "rounds", number(options->rounds), "budget", budget_json(options->budget));
}

static json_t *stored_json(const struct zram_mm_stat *stat)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "orig_data_size",
			 number(stat->orig_data_size), "compr_data_size",
			 number(stat->compr_data_size), "mem_used_total",
			 number(stat->mem_used_total), "same_pages", number(stat->same_pages),
			 "huge_pages", number(stat->huge_pages));
}

static json_t *exit_json(const struct exit_times *times)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "swapped_pages", number(times->swapped_pages),
			 "wall", number(times->wall), "cpu", number(times->cpu), "slots",
			 number(times->slots), "resident", number(times->resident));
}

static json_t *run_json(const struct run *run, unsigned int processes)
{
	json_t *exits = json_array();

	for (unsigned int i = 0; i < processes; i++)
		append(exits, exit_json(&run->exits[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "exits", exits,
			 "resident_back", number(run->resident_back), "store_empty",
			 number(run->store_empty), "compressed_back", number(run->compressed_back),
			 "cpu", number(run->cpu), "fallbacks", number(run->fallbacks), "gave_up",
			 run->gave_up, "stored", stored_json(&run->stored));
}

static json_t *summary_json(const struct summary *summary)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "exit",
			 summary->exit, "exit_worst", summary->exit_worst, "exit_cpu",
			 summary->exit_cpu, "slots", summary->slots, "resident", summary->resident,
			 "slot_per_page", summary->slot_per_page, "resident_back",
			 summary->resident_back, "store_empty", summary->store_empty,
			 "compressed_back", summary->compressed_back, "cpu", summary->cpu,
			 "fallbacks", summary->fallbacks);
}

static json_t *policy_json(const struct experiment *experiment, enum zram_free_policy policy)
{
	const struct experiment_options *options = &experiment->options;
	json_t *rounds = json_array();
	struct summary summary;

	summarize(experiment, policy, &summary);
	for (unsigned int i = 0; i < options->rounds; i++)
		append(rounds, run_json(&experiment->runs[policy][i], options->processes));
	return json_pack("{s:o, s:o}", "median", summary_json(&summary), "rounds", rounds);
}

void report_json(const struct experiment *experiment, const struct machine *machine)
{
	json_t *policies = json_object();
	json_t *report;

	for (unsigned int policy = 0; policy < POLICIES; policy++)
		json_object_set_new(policies, policy_names[policy],
				    policy_json(experiment, policy));
	report = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "version", ZS_VERSION, "machine",
			   machine_json(machine), "loaded", source_json(experiment->source),
			   "options", options_json(experiment), "resident_pages",
			   number(experiment->resident_pages), "hash_mismatches",
			   number(experiment->mismatches), "policies", policies);
	print_json(report);
}
