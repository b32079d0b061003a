/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The page store of a process: where the memory of zspages comes from and where it goes.
 *
 * Address space is mapped in spans and cut into regions of 512 pages. A region is cut into equal
 * chains, so that a zspage is contiguous and their different lengths waste nothing. An empty
 * region may be cut anew. A chain that was freed keeps its pages ("dirty") for the next zspage of
 * that length. What stays dirty for a whole TRIM_MS goes back to the system: whole regions first,
 * then the runs of free chains in regions in use.
 *
 * A chain without dirty pages gets them from the system a few at a time, ahead of their first use.
 * One call for four pages takes less than four page faults.
 */
#ifndef ZS_PORT_STORE_H
#define ZS_PORT_STORE_H

struct span;

struct port_store {
	struct port_lock lock; /* protects all of it */
	struct region *partial[PORT_MAX_CHAIN + 1]; /* some chains free; by pages in a chain */
	struct region *empty_dirty;
	struct region *empty_clean;
	struct span *spans;
	u32 span_regions; /* how many the next span has */
	size_t dirty_pages;
	size_t idle_pages; /* the fewest dirty pages since the last trim: these were not used */
	u64 trimmed; /* when, in the time of port_now() */
	bool asked; /* to be trimmed */
};

bool port_store_forked(struct port_store *store);

#endif /* ZS_PORT_STORE_H */
