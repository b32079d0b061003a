/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Shows what zs_huge_class_size() answers, as the parameter "size": of the module, or of the
 * kernel's own zsmalloc.
 */
#include <linux/atomic.h>
#include <linux/module.h>
#include <linux/zsmalloc.h>

static unsigned long size;
module_param(size, ulong, 0444);

static int __init huge_init(void)
{
	struct zs_pool *pool = zs_create_pool("huge");

	if (!pool)
		return -ENOMEM;
	size = zs_huge_class_size(pool);
	zs_destroy_pool(pool);
	return 0;
}

static void __exit huge_exit(void)
{
}

module_init(huge_init);
module_exit(huge_exit);

MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("Shows zs_huge_class_size(), for tests");
