/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What is allowed: see allowance.h.
 *
 * /proc/self/cgroup names the group of this program in each hierarchy, /proc/self/mountinfo where
 * the hierarchy is mounted, and which part of it. A container may see a part alone: the limits
 * above that are out of sight. The part of the page cache that is idle counts as free.
 */
#include "allowance.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The files of a version of control groups. */
struct version {
	const char *max[2]; /* bytes that a group may have; NULL: none */
	const char *usage; /* bytes that it has */
	const char *idle; /* what of these can go, a key of memory.stat */
};

static const struct version versions[] = {
	{ { "memory.limit_in_bytes" }, "memory.usage_in_bytes", "total_inactive_file " },
	{ { "memory.max", "memory.high" }, "memory.current", "inactive_file " },
};

static void least(uint64_t *value, uint64_t other)
{
	if (other < *value)
		*value = other;
}

static FILE *open_at(const char *root, const char *folder, const char *name)
{
	char path[3 * PATH_MAX];

	snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
	return fopen(path, "re");
}

/* Reads the number behind @key at the beginning of a line; false if there is none, as for "max". */
static bool read_number(const char *root, const char *folder, const char *name, const char *key,
			uint64_t *number)
{
	FILE *file = open_at(root, folder, name);
	size_t length = strlen(key);
	bool found = false;
	char line[256];

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = strncmp(line, key, length) == 0 &&
			sscanf(line + length, "%" SCNu64, number) == 1;
	fclose(file);
	return found;
}

static uint64_t minus(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

static void look_at_memory(const char *root, const char *group, const struct version *version,
			   struct allowance *allowance)
{
	uint64_t usage, max;
	uint64_t idle = 0;

	if (!read_number(root, group, version->usage, "", &usage))
		return;
	read_number(root, group, "memory.stat", version->idle, &idle);
	for (unsigned int i = 0; i < 2 && version->max[i]; i++)
		if (read_number(root, group, version->max[i], "", &max))
			least(&allowance->memory, minus(max, minus(usage, idle)));
}

/* CPUs by the time that a group may run in each period; a part of one counts as one. */
static void look_at_cpus(const char *root, const char *group, struct allowance *allowance)
{
	FILE *file = open_at(root, group, "cpu.max");
	int64_t quota = -1;
	int64_t period = 0;
	uint64_t value;

	if (file) {
		if (fscanf(file, "%" SCNd64 " %" SCNd64, &quota, &period) != 2)
			quota = -1; /* "max" */
		fclose(file);
	} else if (read_number(root, group, "cpu.cfs_quota_us", "", &value)) {
		quota = (int64_t)value; /* -1: none */
		read_number(root, group, "cpu.cfs_period_us", "", &value);
		period = (int64_t)value;
	}
	if (quota > 0 && period > 0 && (quota + period - 1) / period < allowance->cpus)
		allowance->cpus = (unsigned int)((quota + period - 1) / period);
}

/* Looks at a group and all above it, up to where the hierarchy is mounted. */
static void look_at_groups(const char *root, const char *mount, const char *path,
			   const struct version *version, struct allowance *allowance)
{
	char group[2 * PATH_MAX];
	size_t end = strlen(mount);

	snprintf(group, sizeof(group), "%s%s", mount, path);
	for (;;) {
		char *slash;

		look_at_memory(root, group, version, allowance);
		look_at_cpus(root, group, allowance);
		slash = strrchr(group, '/');
		if (!slash || (size_t)(slash - group) < end)
			return;
		*slash = '\0';
	}
}

/* Where a hierarchy is mounted. */
struct mount {
	char part[PATH_MAX]; /* of the hierarchy */
	char point[PATH_MAX];
};

/* Finds the mount of the hierarchy with a controller; "" is that of version 2. */
static bool find_mount(const char *root, const char *controller, struct mount *mount)
{
	FILE *file = open_at(root, "/proc/self", "mountinfo");
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	while (file && !found && getline(&line, &room, file) > 0) {
		const char *type = strstr(line, " - ");
		char name[32], options[256];

		if (!type || sscanf(type, " - %31s %*s %255s", name, options) != 2 ||
		    sscanf(line, "%*s %*s %*s %4095s %4095s", mount->part, mount->point) != 2)
			continue;
		found = *controller ? strcmp(name, "cgroup") == 0 && strstr(options, controller) :
				      strcmp(name, "cgroup2") == 0;
	}
	free(line);
	if (file)
		fclose(file);
	return found;
}

/* Takes a line "NUMBER:CONTROLLERS:PATH" of /proc/self/cgroup. */
static void look_at_hierarchy(const char *root, char *line, struct allowance *allowance)
{
	static const char *const controllers[] = { "memory", "cpu" };
	char *list = strchr(line, ':');
	char *path = list ? strchr(list + 1, ':') : NULL;
	struct mount mount;

	if (!path)
		return;
	*path++ = '\0';
	list++;
	path[strcspn(path, "\n")] = '\0';
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		const char *wanted = *list ? controllers[i] : "";
		size_t part;

		if (!strstr(list, wanted) || !find_mount(root, wanted, &mount))
			continue;
		part = strcmp(mount.part, "/") == 0 ? 0 : strlen(mount.part);
		/* A path may lead out of what is mounted. */
		if (strncmp(path, mount.part, part) != 0 || strstr(path, "/.."))
			path[part = 0] = '\0';
		look_at_groups(root, mount.point, strcmp(path, "/") == 0 ? "" : path + part,
			       &versions[!*list], allowance);
	}
}

/* Takes a share of what a limit leaves: one @part-th. */
static void look_at_resource(int resource, const char *root, const char *used, unsigned int part,
			     struct allowance *allowance)
{
	struct rlimit limit;
	uint64_t kilobytes = 0;

	if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return;
	read_number(root, "/proc/self", "status", used, &kilobytes);
	least(&allowance->memory, minus(limit.rlim_cur, kilobytes * 1024) / part);
}

struct allowance allowance_find(const char *root)
{
	struct allowance allowance = { .memory = UINT64_MAX, .cpus = 1 };
	uint64_t kilobytes;
	char *line = NULL;
	size_t room = 0;
	cpu_set_t set;
	FILE *groups;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		allowance.cpus = (unsigned int)CPU_COUNT(&set);
	else if (sysconf(_SC_NPROCESSORS_ONLN) > 0)
		allowance.cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	if (read_number(root, "/proc", "meminfo", "MemAvailable:", &kilobytes))
		allowance.memory = kilobytes * 1024;
	/* Heaps and stores reserve address space beyond what they fill. */
	look_at_resource(RLIMIT_AS, root, "VmSize:", 2, &allowance);
	look_at_resource(RLIMIT_DATA, root, "VmData:", 2, &allowance);
	groups = open_at(root, "/proc/self", "cgroup");
	while (groups && getline(&line, &room, groups) > 0)
		look_at_hierarchy(root, line, &allowance);
	free(line);
	if (groups)
		fclose(groups);
	return allowance;
}
