/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* A store that damages a page: linked into the command to see that it notices. */
#include "zram.h"

int __real_zram_read_page(struct zram *zram, uint64_t index, void *page);
int __wrap_zram_read_page(struct zram *zram, uint64_t index, void *page);

int __wrap_zram_read_page(struct zram *zram, uint64_t index, void *page)
{
	int error = __real_zram_read_page(zram, index, page);

	if (!error && index == 3)
		((unsigned char *)page)[100] ^= 1;
	return error;
}
