/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The head of a report: see head.h. */
#include "head.h"

#include <stdio.h>

#include "zsmalloc.h"

void print_machine(const char *command, const struct machine *machine)
{
	printf("zsmalloc %s %s on %s, %u core%s, %s, pages of %zu bytes\n\n", ZS_VERSION, command,
	       machine->cpu, machine->cores, machine->cores == 1 ? "" : "s", machine->kernel,
	       machine->page_size);
}

void print_source(const struct source *source)
{
	printf("Loaded     %zu pages (%.1f MiB) of %s", source->count,
	       (double)(source->count * source->page_size) / (1 << 20), source->name);
	if (source->files)
		printf(": %zu file%s", source->files, source->files == 1 ? "" : "s");
	if (!source_full(source))
		printf(", which is all there is");
	if (source->skipped)
		printf("; %zu could not be read and were left out", source->skipped);
	putchar('\n');
}
