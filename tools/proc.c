/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Reading the files of /proc, line by line. */
#include "proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool proc_field(const char *path, const char *key, char *value, size_t size)
{
	FILE *file = fopen(path, "re");
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	if (!file)
		return false;
	while (!found && getline(&line, &room, file) > 0) {
		const char *colon = strchr(line, ':');

		if (!colon || strncmp(line, key, strlen(key)) != 0)
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		snprintf(value, size, "%.*s", (int)strcspn(colon, "\n"), colon);
		found = true;
	}
	free(line);
	fclose(file);
	return found;
}

void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}
