/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What the commands share: how they end, read /proc, and write a report. The progress bar is in
 * progress.c, all else in util.c.
 */
#ifndef TOOLS_UTIL_H
#define TOOLS_UTIL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "clock.h"
#include "zram.h"

/* The exit statuses; 0 is success. */
enum {
	/* The library broke a promise: a page came back changed, or memory did not come back. */
	STATUS_BROKEN = 1,
	/* The command could not do what it was asked. */
	STATUS_TROUBLE = 2,
};

/* Tells which command runs: its name stands before what it says. */
void command_begin(const char *name);

/* Says "zsmalloc: COMMAND: ..." in one line on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same; and exits with STATUS_TROUBLE. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Opens what is not open of stdin, stdout and stderr: no other file takes their place. */
void command_files(void);

/* Exits, with STATUS_TROUBLE if what was printed could not be written. */
void command_end(int status) __attribute__((noreturn));

/* Memory that is all zero. None to be had ends the command: there is "no memory for @what". */
void *zeroed(size_t count, size_t size, const char *what);

/* Ends the command where libzram has no such algorithm. */
void check_algorithm(const char *algorithm);

/* Creates a store. What fails ends the command. */
struct zram *create_store(struct zram_options options);

/* Copies the value of the first line "KEY : VALUE" of a file; false if there is none. */
bool proc_field(const char *path, const char *key, char *value, size_t size);

/* Reads a field "KEY: N kB" in bytes; false, and *@bytes as it was, if there is none. */
bool proc_bytes(const char *path, const char *key, uint64_t *bytes);

/* Replaces the bytes of a path or a name that terminals, or JSON, do not take. */
void make_printable(char *text);

/* Begins a report for people: the command, and the machine that the figures come from. */
void print_machine(void);

/* Draws "[####  ]", filled by the share that @part is of @whole. */
void print_bar(FILE *out, uint64_t part, uint64_t whole);

static inline double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

/*
 * Reports in JSON. json_pack() gives NULL for no memory, and for a part that is NULL: so only what
 * takes a finished part checks, and ends the command.
 */
json_t *number(uint64_t value);
void append(json_t *array, json_t *value);
json_t *machine_json(void);
json_t *stored_json(const struct zram_mm_stat *stat);

/* Prints the report on stdout, and frees it. */
void print_json(json_t *report);

/*
 * Begins a progress bar of @total steps, 0 for a number that is not known. @label is kept, not
 * copied.
 */
void progress_begin(const char *label, size_t total);

/* Has @note print lines below the bar, and return how many. */
void progress_note(int (*note)(FILE *out));

/* Counts @steps as done; from any thread. */
void progress_add(size_t steps);

/* Takes the bar off the terminal. */
void progress_end(void);

#endif /* TOOLS_UTIL_H */
