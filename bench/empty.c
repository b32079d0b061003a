/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A function that does nothing, in a shared library, where the allocators are, too. Each of their
 * figures contains what one call of it per object takes.
 */
#include "empty.h"

void empty(unsigned long object)
{
	(void)object;
}
