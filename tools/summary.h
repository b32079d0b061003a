/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* What the rounds of the experiment come to, for each policy. */
#ifndef TOOLS_SUMMARY_H
#define TOOLS_SUMMARY_H

#include "experiment.h"

/* Medians over all rounds (and processes) in nanoseconds, unless it says otherwise. */
struct summary {
	double exit;
	double exit_worst; /* the most */
	double exit_cpu;
	double slots; /* part of the exit: handing over the swapped slots */
	double resident; /* part of the exit: releasing the resident pages */
	double slot_per_page; /* slots, for each swapped page */
	double resident_back;
	double store_empty;
	double compressed_back;
	double cpu;
	double fallbacks; /* a number, not a time */
};

void summarize(const struct experiment *experiment, enum zram_free_policy policy,
	       struct summary *summary);

#endif /* TOOLS_SUMMARY_H */
