/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* See empty.c. */
#ifndef BENCH_EMPTY_H
#define BENCH_EMPTY_H

void empty(unsigned long object);

#endif /* BENCH_EMPTY_H */
