/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * All stores of the process: see stores.c.
 */
#ifndef ZRAM_STORES_H
#define ZRAM_STORES_H

#include <errno.h>

#include "zram_store.h"

int stores_add(struct zram *zram);
void stores_remove(struct zram *zram);

#endif /* ZRAM_STORES_H */
