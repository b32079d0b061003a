/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* Having a peer give free memory back to the system. */
#ifndef BENCH_DENSITY_TRIM_H
#define BENCH_DENSITY_TRIM_H

/* By the call that the peer, which is preloaded, has for this. */
void density_trim_peer(void);

#endif /* BENCH_DENSITY_TRIM_H */
