/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The page store of a process: where the memory of zspages comes from and where it goes.
 *
 * Address space is mapped in spans and cut into regions of 512 pages. A region is cut into equal
 * chains, so that a zspage is contiguous and nothing is wasted by their different lengths; an empty
 * region may be cut anew. A chain that was freed keeps its pages ("dirty") for the next zspage of
 * that length, until the store is trimmed: whole regions first, and single chains only when nothing
 * has moved for a while, since their neighbours may be about to follow.
 *
 * On a machine with several NUMA nodes each region belongs to one of them, to which its memory is
 * bound, or to none: then the system takes it from where it is first touched.
 */
#ifndef ZS_PORT_STORE_H
#define ZS_PORT_STORE_H

#define STORE_MAX_CHAIN PORT_MAX_CHAIN
#define STORE_NODES 64 /* that can be preferred: the bits of a word */

struct span;

/* The regions with free chains that belong to one node, or to none. */
struct store_regions {
	struct region *partial[STORE_MAX_CHAIN + 1]; /* some chains free; by pages in a chain */
	struct region *empty_dirty;
	struct region *empty_clean;
};

struct port_store {
	struct port_lock lock; /* protects all of it but the nodes */
	u64 nodes; /* that can be preferred, a bit each; 0 if there is one only */
	struct span *spans;
	u32 span_regions; /* how many the next span has */
	size_t dirty_pages;
	u64 trimmed; /* when, in the time of port_now() */
	unsigned long used; /* chains */
	unsigned long allocs; /* since the last trim */
	unsigned long frees;
	bool asked; /* to be trimmed some time */
	bool asked_now;
	u32 places; /* so many of the following are in use */
	struct store_regions at[1 + STORE_NODES]; /* those of no node, then those of each */
};

#endif /* ZS_PORT_STORE_H */
