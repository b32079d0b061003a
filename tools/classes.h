/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The command `zsmalloc classes`, and what `analyze` needs of it: the size classes that a pool has.
 * They are what the allocator says, not a copy of its rules.
 */
#ifndef TOOLS_CLASSES_H
#define TOOLS_CLASSES_H

#include <stddef.h>

enum {
	CHAIN_MAX = 32, /* pages in the longest zspage that a pool can have */
};

struct size_class {
	size_t least; /* the smallest size of its objects, bytes */
	size_t size; /* the largest, which is that of its slots */
	unsigned int pages; /* in a zspage */
	unsigned int slots; /* in a zspage */
};

struct class_table {
	unsigned int max_chain;
	size_t page_size;
	size_t count;
	struct size_class *classes; /* by size */
};

void class_table_create(struct class_table *table, unsigned int max_chain);
void class_table_destroy(struct class_table *table);

/* Bytes behind the last slot of each zspage. */
static inline size_t class_tail(const struct class_table *table, const struct size_class *class)
{
	return class->pages * table->page_size - class->slots * class->size;
}

int command_classes(int argc, char **argv);

#endif /* TOOLS_CLASSES_H */
