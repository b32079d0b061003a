/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Reports in JSON. json_pack() gives NULL for no memory, and for a part that is NULL: so only what
 * takes a finished part checks, and ends the command.
 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "machine.h"
#include "source.h"

json_t *number(uint64_t value);
void append(json_t *array, json_t *value);

json_t *machine_json(const struct machine *machine);
json_t *source_json(const struct source *source);

/* Prints the report on stdout, and frees it. */
void print_json(json_t *report);

#endif /* TOOLS_JSON_H */
