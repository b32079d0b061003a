/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The memory that the process may have at most. That is what the machine has, or the least limit of
 * its control groups and those above them, of both versions. A container may see a part of the
 * groups alone. What it does not see is left out.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache.h"

/* Lowers *@least to the number in a file, if there is one. */
static void look_at(const char *group, const char *name, uint64_t *least)
{
	char path[3 * PATH_MAX];
	uint64_t limit;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%" SCNu64, &limit) == 1 && limit < *least) /* else it is "max" */
		*least = limit;
	fclose(file);
}

/* Looks at a group and all above it, up to where the hierarchy is mounted. */
static void look_at_groups(const char *root, const char *mount, const char *path, uint64_t *least)
{
	char group[2 * PATH_MAX];
	size_t end = strlen(root) + strlen(mount);

	snprintf(group, sizeof(group), "%s%s%s", root, mount, path);
	for (;;) {
		char *slash;

		look_at(group, "memory.max", least);
		look_at(group, "memory.high", least);
		look_at(group, "memory.limit_in_bytes", least);
		slash = strrchr(group, '/');
		if (!slash || (size_t)(slash - group) < end)
			return;
		*slash = '\0';
	}
}

/* Returns the bytes. @root stands before each path, "" but in tests. */
uint64_t container_memory(const char *root)
{
	uint64_t least = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	char path[PATH_MAX];
	char *line = NULL;
	size_t room = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	file = fopen(path, "re");
	/* Lines are "NUMBER:CONTROLLERS:PATH", and version 2 names no controllers. */
	while (file && getline(&line, &room, file) > 0) {
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!group)
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		if (controllers[1] == '\0') {
			look_at_groups(root, "/sys/fs/cgroup", group, &least);
			look_at_groups(root, "/sys/fs/cgroup/unified", group, &least);
		} else if (strstr(controllers, "memory")) {
			look_at_groups(root, "/sys/fs/cgroup/memory", group, &least);
		}
	}
	free(line);
	if (file)
		fclose(file);
	return least;
}
