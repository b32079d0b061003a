/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Lanes: see lane.h. Here is where they come from.
 */
#include "lane.h"

struct lane *lanes;

/* Makes the lanes, zeroed: empty, without an owner. Returns 0 or -ENOMEM. */
int lanes_init(void)
{
	lanes = port_alloc(port_lanes() * sizeof(*lanes), GFP_KERNEL);
	return lanes ? 0 : -ENOMEM;
}

/* Frees the lanes, which no thread uses any more. */
void lanes_destroy(void)
{
	port_free(lanes, port_lanes() * sizeof(*lanes));
	lanes = NULL;
}

/* Enters the caller's lane, as lane_enter() does; gives it one first if one is free. */
struct lane *lane_claim(void)
{
	return lane_enter_number(port_lane_claim());
}
