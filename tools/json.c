/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Reports in JSON: what they share. */
#include "json.h"

#include <stdio.h>

#include "cli.h"

json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

void append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) != 0)
		fail("no memory for the report");
}

json_t *machine_json(const struct machine *machine)
{
	return json_pack("{s:s, s:s, s:o, s:o}", "cpu", machine->cpu, "kernel", machine->kernel,
			 "cores", number(machine->cores), "page_size", number(machine->page_size));
}

json_t *source_json(const struct source *source)
{
	return json_pack("{s:s, s:o, s:o, s:o}", "from", source->name, "pages",
			 number(source->count), "files", number(source->files), "files_left_out",
			 number(source->skipped));
}

void print_json(json_t *report)
{
	if (!report || json_dumpf(report, stdout, JSON_INDENT(2)) != 0)
		fail("cannot write the report");
	putchar('\n');
	json_decref(report);
}
