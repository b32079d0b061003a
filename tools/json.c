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

void print_json(json_t *report)
{
	if (!report || json_dumpf(report, stdout, JSON_INDENT(2)) != 0)
		fail("cannot write the report");
	putchar('\n');
	json_decref(report);
}
