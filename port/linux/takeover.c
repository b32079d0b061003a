/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The takeover of a zsmalloc that is built into the kernel.
 *
 *   zram ──> zs_free() of the kernel ──> ftrace: is the pool marked? ── no ──> zs_free() goes on
 *                                                                   └─ yes ─> our_free()
 *
 * The pools that are there stay the kernel's. Pools that are made from then on are ours. Callers
 * have their pointers marked: see host.h. A mark that reaches the kernel's own function is a
 * fault there. So zs_create_pool() is redirected last, and given back first.
 *
 * The module is pinned as long as one function is redirected.
 */
#define pr_fmt(fmt) "zsmalloc: " fmt

#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/zsmalloc.h>

#include "host.h"
#include "zsmalloc_deferred.h"

#if HAVE_ZPOOL
#include <linux/zpool.h>
#endif

struct redirect {
	struct ftrace_ops ops;
	const char *name;
	void *to;
};

static struct redirect redirects[24];
static unsigned int found; /* how many there are; zs_create_pool() is the last */
static unsigned int taken; /* how many are in force, from the first */

/* The number of our pools, and of those that are being made. */
static atomic_t pools;
module_param_named(pools, pools.counter, int, 0444);
MODULE_PARM_DESC(pools, "how many pools of the module there are");

static bool live = true;
module_param(live, bool, 0644);
MODULE_PARM_DESC(live, "new pools are the module's; N: the kernel's own, as before");

static struct task_struct *tester; /* while it tests, new pools are ours for this task alone */

/* Notes that a pool is gone, or was never made. Its caller returns without sleeping. */
void takeover_uncount(void)
{
	atomic_dec(&pools);
}

/* Frees an object of a pool of the kernel's own. */
void takeover_free(struct zs_pool *pool, unsigned long handle)
{
	zs_free(pool, handle);
}

/* Has a redirected call go on in our function. */
static __always_inline void go_on(struct ftrace_ops *ops, struct ftrace_regs *regs)
{
	ftrace_regs_set_instruction_pointer(
		regs, (unsigned long)container_of(ops, struct redirect, ops)->to);
}

static void notrace on_pool(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			    struct ftrace_regs *regs)
{
	if (pool_is_marked((void *)ftrace_regs_get_argument(regs, 0)))
		go_on(ops, regs);
}

/* Counts the pool before it looks whether it will be ours: give_back() does it the other way. */
static void notrace on_create(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			      struct ftrace_regs *regs)
{
	struct task_struct *alone = READ_ONCE(tester);

	if (alone && alone != current)
		return;
	atomic_inc(&pools);
	smp_mb__after_atomic();
	if (alone || READ_ONCE(live))
		go_on(ops, regs);
	else
		atomic_dec(&pools);
}

/*
 * Where pages have a type, all of zsmalloc's are moved by one function. The private word of the
 * kernel's own is a pointer.
 */
static void notrace on_migrate(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			       struct ftrace_regs *regs)
{
	unsigned long word = page_private((struct page *)ftrace_regs_get_argument(regs, 1));

	if (!word || word & PAGE_WORD_OURS)
		go_on(ops, regs);
}

#define REDIRECT_FLAGS (FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT)

/* All functions, for a trial: as long as no pool is marked, all calls go on where they were. */
static struct redirect trial = {
	.name = "zs_*",
	.ops = { .func = on_pool, .flags = REDIRECT_FLAGS },
};

/* Says why a function cannot be taken over, and what to do. */
static int refuse(const struct redirect *redirect, int error)
{
	if (error == -EBUSY)
		pr_err("%s: another module or livepatch is there, or ftrace is off, %d; see "
		       "/sys/kernel/tracing/enabled_functions, or set kernel.ftrace_enabled=1\n",
		       redirect->name, error);
	else if (error == -ENODEV)
		pr_err("%s: ftrace has failed, %d; reboot\n", redirect->name, error);
	else
		pr_err("%s: ftrace can't find it, %d; keep this kernel's own zsmalloc\n",
		       redirect->name, error);
	return error;
}

/* Tells ftrace of a function. One without address is found by its name. */
static int filter_add(struct ftrace_ops *ops, const char *name, void *from)
{
	if (from)
		return ftrace_set_filter_ip(ops, (unsigned long)from, 0, 0);
	return ftrace_set_filter(ops, (u8 *)name, (int)strlen(name), 0);
}

/* Notes where calls of a function go; nothing is changed yet. */
static int redirect_find(const char *name, void *from, void *to, ftrace_func_t handler)
{
	struct redirect *redirect = &redirects[found];
	int error;

	if (WARN_ON(found == ARRAY_SIZE(redirects)))
		return -ENOSPC;
	redirect->name = name;
	redirect->to = to;
	redirect->ops.func = handler;
	redirect->ops.flags = REDIRECT_FLAGS;
	error = filter_add(&redirect->ops, name, from) ?: filter_add(&trial.ops, name, from);
	if (error)
		return refuse(redirect, error);
	found++;
	return 0;
}

/* Finds an exported function. exports.c has ours, of the same type. */
#define FIND(function, handler)                                                                    \
	do {                                                                                       \
		extern typeof(zs_##function) our_##function;                                       \
		if (!error)                                                                        \
			error = redirect_find("zs_" #function, zs_##function, our_##function,      \
					      handler);                                            \
	} while (0)

static int redirects_find(void)
{
	int error = 0;

	FIND(destroy_pool, on_pool);
	FIND(malloc, on_pool);
	FIND(free, on_pool);
	FIND(get_total_pages, on_pool);
	FIND(compact, on_pool);
	FIND(pool_stats, on_pool);
	FIND(huge_class_size, on_pool);
	FIND(lookup_class_index, on_pool);
#if HAVE_MAP
	FIND(map_object, on_pool);
	FIND(unmap_object, on_pool);
#else
	FIND(obj_read_begin, on_pool);
	FIND(obj_read_end, on_pool);
	FIND(obj_read_sg_begin, on_pool);
	FIND(obj_read_sg_end, on_pool);
	FIND(obj_write, on_pool);
#endif
#if HAVE_ZPOOL
	error = error ?: redirect_find("zs_zpool_destroy", NULL, host_zpool.destroy, on_pool);
	error = error ?: redirect_find("zs_zpool_malloc", NULL, host_zpool.malloc, on_pool);
	error = error ?: redirect_find("zs_zpool_free", NULL, host_zpool.free, on_pool);
	error = error ?: redirect_find("zs_zpool_map", NULL, host_zpool.map, on_pool);
	error = error ?: redirect_find("zs_zpool_unmap", NULL, host_zpool.unmap, on_pool);
	error = error ?:
			redirect_find("zs_zpool_" __stringify(COMPAT_ZPOOL_TOTAL), NULL,
				      host_zpool.COMPAT_ZPOOL_TOTAL, on_pool);
#endif
	if (HAVE_SET_MOVABLE_OPS && IS_ENABLED(CONFIG_COMPACTION) && !error)
		error = redirect_find("zs_page_migrate", NULL, port_migrate_page, on_migrate);
	FIND(create_pool, on_create);
	return error;
}

/* Sees whether all functions are free: ftrace takes all of them at once, or none. */
static int redirects_try(void)
{
	int error = register_ftrace_function(&trial.ops);

	if (error)
		return refuse(&trial, error);
	error = unregister_ftrace_function(&trial.ops);
	if (error) { /* nor will give_back() succeed: the module stays */
		__module_get(THIS_MODULE);
		taken = 1;
	}
	return error;
}

/* Puts redirections into force, up to the number @most. */
static int redirects_take(unsigned int most)
{
	while (taken < most) {
		int error = register_ftrace_function(&redirects[taken].ops);

		if (error)
			return refuse(&redirects[taken], error);
		if (!taken++)
			__module_get(THIS_MODULE);
	}
	return 0;
}

#define TRY_OBJECTS 100
#define TRY_SIZE 1500 /* some of them span two pages */

/* Writes an object, full of a byte, and returns whether that is what is read. */
static bool try_access(struct zs_pool *pool, unsigned long handle)
{
	static u8 buffer[TRY_SIZE];
	const u8 byte = 0xa5;
	const void *object;
	bool same;

	memset(buffer, byte, sizeof(buffer));
#if HAVE_MAP
	memcpy(zs_map_object(pool, handle, ZS_MM_WO), buffer, sizeof(buffer));
	zs_unmap_object(pool, handle);
	object = zs_map_object(pool, handle, ZS_MM_RO);
	same = !memchr_inv(object, byte, sizeof(buffer));
	zs_unmap_object(pool, handle);
#else
	zs_obj_write(pool, handle, buffer, sizeof(buffer));
	memset(buffer, 0, sizeof(buffer));
	object = zs_obj_read_begin(pool, handle, sizeof(buffer), buffer);
	same = !memchr_inv(object, byte, sizeof(buffer));
	zs_obj_read_end(pool, handle, sizeof(buffer), (void *)object);
#endif
	return same;
}

/* Makes, uses and destroys a pool by the kernel's names. Returns 0 if that went well, or -EIO. */
static int try_pool(bool marked)
{
	static unsigned long handle[TRY_OBJECTS];
	struct zs_pool *pool = zs_create_pool("takeover");
	const char *wrong = pool ? NULL : "no memory";
	unsigned int made = 0;

	if (pool && pool_is_marked(pool) != marked)
		wrong = "zs_create_pool() is another's";
	while (made < TRY_OBJECTS && !wrong) {
		handle[made] = zs_malloc(pool, TRY_SIZE, GFP_KERNEL COMPAT_ANY_NODE);
		if (IS_ERR_VALUE(handle[made]))
			wrong = "no memory";
		else if (!try_access(pool, handle[made++]))
			wrong = "an object changed";
	}
	while (made)
		zs_free(pool, handle[--made]);
	if (marked && !wrong) {
		zs_free_deferred_flush(pool);
		if (zs_get_total_pages(pool))
			wrong = "a flush left pages";
	}
	if (pool)
		zs_destroy_pool(pool);
	/* The queue forgets what this pool wanted of it. */
	WRITE_ONCE(runtime.queue.capacity, 0);
	WRITE_ONCE(runtime.queue.delay_ms, 0);
	if (atomic_read(&pools) && !wrong)
		wrong = "zs_destroy_pool() is another's";
	if (!wrong)
		return 0;
	pr_err("takeover: the self-test failed, %s; keep this kernel's own zsmalloc\n", wrong);
	return -EIO;
}

/*
 * Gives all functions back; the module may go then. What left the count of pools is out of the
 * module once it has slept.
 */
static int give_back(void)
{
	bool were_live = live;
	int error = 0;

	if (!taken)
		return 0;
	WRITE_ONCE(live, false);
	smp_mb(); /* pairs with the one in on_create() */
	if (atomic_read(&pools))
		error = -EBUSY;
	else /* The kernel's own migration must meet no page of ours, not even in a bag. */
		port_store_destroy(&runtime.zspages.store);
	while (!error && taken) {
		error = unregister_ftrace_function(&redirects[taken - 1].ops);
		if (error)
			pr_err("%s: cannot be given back, %d; the module stays, reboot\n",
			       redirects[taken - 1].name, error);
		else
			taken--;
	}
	WRITE_ONCE(live, were_live);
	if (taken)
		return error;
	synchronize_rcu_tasks();
	module_put(THIS_MODULE);
	pr_info("takeover: all functions are given back, new pools are the kernel's\n");
	return 0;
}

/* Redirects all functions, and tries them before anybody else has a pool of ours. */
static int take_over(void)
{
	int error;

	if (taken == found)
		return 0;
	WRITE_ONCE(tester, current);
	error = redirects_try() ?: redirects_take(found - 1) ?: try_pool(false);
	error = error ?: redirects_take(found) ?: try_pool(true);
	if (error)
		give_back();
	if (error && taken)
		WRITE_ONCE(live, false);
	WRITE_ONCE(tester, NULL);
	if (!error)
		pr_info("takeover: %u functions are redirected, new pools are the module's\n",
			taken);
	return error;
}

/* The kernel holds the lock of the module's parameters where it is written. */
static bool enabled = true;

static int enabled_set(const char *value, const struct kernel_param *param)
{
	bool wanted;
	int error = kstrtobool(value, &wanted);

	if (!error && found)
		error = wanted ? take_over() : give_back();
	if (!error)
		enabled = wanted;
	return error;
}

static const struct kernel_param_ops enabled_ops = { .set = enabled_set, .get = param_get_bool };
module_param_cb(enabled, &enabled_ops, &enabled, 0644);
MODULE_PARM_DESC(enabled, "functions are redirected; N gives them back, before rmmod");

/* A function that could not be given back keeps the module, even if loading it failed. */
int takeover_init(void)
{
	int error;

	kernel_param_lock(THIS_MODULE);
	atomic_set(&pools, 0);
	error = redirects_find();
	if (!error && enabled)
		error = take_over();
	kernel_param_unlock(THIS_MODULE);
	if (error && !taken)
		takeover_exit();
	return taken ? 0 : error;
}

void takeover_exit(void)
{
	ftrace_free_filter(&trial.ops);
	for (unsigned int i = 0; i < found; i++)
		ftrace_free_filter(&redirects[i].ops);
}
