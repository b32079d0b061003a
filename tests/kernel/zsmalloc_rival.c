/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What gets in the way of the takeover: another module that has zs_free() redirected, as a
 * livepatch has. It lets all calls go on. With the parameter "kill" it makes ftrace fail instead,
 * and does not stay loaded. Ftrace fails by itself when it finds code that it did not expect.
 */
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/zsmalloc.h>

static bool kill;
module_param(kill, bool, 0);

static void notrace handler(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			    struct ftrace_regs *regs)
{
}

static struct ftrace_ops rival = { .func = handler, .flags = FTRACE_OPS_FL_IPMODIFY };

/* A kprobe knows where the function is that no module may call. */
static int ftrace_make_fail(void)
{
	struct kprobe probe = { .symbol_name = "ftrace_kill" };
	int error = register_kprobe(&probe);

	if (error)
		return error;
	unregister_kprobe(&probe);
	((void (*)(void))probe.addr)();
	return -ECANCELED;
}

static int __init rival_init(void)
{
	int error;

	if (kill)
		return ftrace_make_fail();
	error = ftrace_set_filter_ip(&rival, (unsigned long)zs_free, 0, 1);
	if (error)
		return error;
	error = register_ftrace_function(&rival);
	if (error)
		ftrace_free_filter(&rival);
	return error;
}

static void __exit rival_exit(void)
{
	unregister_ftrace_function(&rival);
	ftrace_free_filter(&rival);
}

module_init(rival_init);
module_exit(rival_exit);

MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("Gets in the way of zsmalloc_takeover, for tests");
