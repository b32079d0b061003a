/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A function that does nothing, in a shared library, where the allocators are, too: what calling it
 * once an object takes is in each of their figures.
 */
#include "empty.h"

void empty(unsigned long object)
{
	(void)object;
}
