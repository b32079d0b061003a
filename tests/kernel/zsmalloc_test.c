/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The contract of the exported interface, tried in the kernel. Loading the module runs the tests,
 * which report in KTAP; it fails to load if one of them failed. Some tests ask a shell what debugfs
 * shows: it is mounted, and there are awk, head, sed, tee and tr.
 *
 * With the parameter "only" it runs the test of that name alone. With "failing" it runs only the
 * tests that have allocations fail. They need a kernel that can do that (CONFIG_FAIL_PAGE_ALLOC),
 * with one zone and no other pool in use. Frees must not be deferred.
 */
#define pr_fmt(fmt) fmt

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/stop_machine.h>
#include <linux/umh.h>
#include <linux/vmalloc.h>
#include <linux/zsmalloc.h>

#include "../../port/linux/compat.h"
#include "../../port/linux/zsmalloc_deferred.h"

#define DEADLINE_MS 20000 /* for what must happen */
#define THREADS 4
#define LONGEST 16 /* pages of a zspage */
#define SHOWN "/sys/kernel/debug/zsmalloc/ktap/" /* where debugfs shows the pool */

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			pr_info("# %s:%d: not so: %s\n", __func__, __LINE__, #condition);          \
			return false;                                                              \
		}                                                                                  \
	} while (0)

static bool failing;
module_param(failing, bool, 0);

static char *only;
module_param(only, charp, 0);

static unsigned char *buffer; /* of two pages: what is written, and room for what is read */

static unsigned long object_new_with(struct zs_pool *pool, size_t size, gfp_t flags)
{
#if HAVE_MAP
	return zs_malloc(pool, size, flags);
#else
	return zs_malloc(pool, size, flags, NUMA_NO_NODE);
#endif
}

static unsigned long object_new(struct zs_pool *pool, size_t size)
{
	return object_new_with(pool, size, GFP_KERNEL);
}

static void object_write(struct zs_pool *pool, unsigned long handle, void *from, size_t size)
{
#if HAVE_MAP
	memcpy(zs_map_object(pool, handle, ZS_MM_WO), from, size);
	zs_unmap_object(pool, handle);
#else
	zs_obj_write(pool, handle, from, size);
#endif
}

static bool object_is(struct zs_pool *pool, unsigned long handle, const void *expected, size_t size,
		      void *copy)
{
	bool same;

#if HAVE_MAP
	same = !memcmp(zs_map_object(pool, handle, ZS_MM_RO), expected, size);
	zs_unmap_object(pool, handle);
#else
	void *memory = zs_obj_read_begin(pool, handle, size, copy);

	same = !memcmp(memory, expected, size);
	zs_obj_read_end(pool, handle, size, memory);
#endif
	return same;
}

static void fill(unsigned char *bytes, size_t size, u32 seed)
{
	struct rnd_state state;

	prandom_seed_state(&state, seed);
	prandom_bytes_state(&state, bytes, size);
}

static bool write_numbered(struct zs_pool *pool, unsigned long handle, size_t size, u32 number)
{
	fill(buffer, size, number);
	object_write(pool, handle, buffer, size);
	return true;
}

static bool is_numbered(struct zs_pool *pool, unsigned long handle, size_t size, u32 number)
{
	fill(buffer, size, number);
	return object_is(pool, handle, buffer, size, buffer + PAGE_SIZE);
}

/* Returns whether a command of the shell succeeds. */
static bool shell(const char *command)
{
	char *arguments[] = { "/bin/sh", "-c", (char *)command, NULL };
	char *environment[] = { "PATH=/bin:/usr/bin", NULL };

	return !call_usermodehelper(arguments[0], arguments, environment, UMH_WAIT_PROC);
}

/*
 * Returns whether the totals of the pool's classes are as an awk condition says. $14 is the number
 * of objects, $15 that of pages. zs_get_total_pages() leaves out what may wait, by an estimate.
 */
#define TOTAL_IS(condition) shell("awk '/Total/ { exit !(" condition ") }' " SHOWN "classes")

static bool is_empty(void)
{
	return TOTAL_IS("$14 == 0 && $15 == 0");
}

/* Returns whether the pool gives all its pages back before the deadline. */
static bool becomes_empty(void)
{
	for (unsigned int ms = 0; ms < DEADLINE_MS; ms += 10) {
		if (is_empty())
			return true;
		msleep(10);
	}
	return false;
}

static unsigned long *objects_new(struct zs_pool *pool, size_t count, size_t size)
{
	unsigned long *handles = kvcalloc(count, sizeof(*handles), GFP_KERNEL);

	for (size_t i = 0; handles && i < count; i++) {
		handles[i] = object_new(pool, size);
		if (IS_ERR_VALUE(handles[i])) {
			pr_info("# no memory for object %zu\n", i);
			while (i--)
				zs_free(pool, handles[i]);
			kvfree(handles);
			return NULL;
		}
	}
	return handles;
}

/* Every size, from 1 to a page. */
static bool test_sizes(struct zs_pool *pool)
{
	for (size_t size = 1; size <= PAGE_SIZE; size++) {
		unsigned long handle = object_new(pool, size);

		CHECK(!IS_ERR_VALUE(handle) && handle);
		write_numbered(pool, handle, size, (u32)size);
		CHECK(is_numbered(pool, handle, size, (u32)size));
		zs_free(pool, handle);
		cond_resched();
	}
	zs_free_deferred_flush(pool);
	CHECK(is_empty());
	return true;
}

/* Many objects of sizes that don't divide a page: some span two pages. */
static bool test_spanning(struct zs_pool *pool)
{
	static const size_t sizes[] = { 24, 200, 1000, 1700, 2720, 3000, 3500, 4000 };
	const size_t count = 500;

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		unsigned long *handles = objects_new(pool, count, sizes[s]);
		bool right = true;

		CHECK(handles);
		for (size_t i = 0; i < count; i++)
			write_numbered(pool, handles[i], sizes[s], (u32)i);
		for (size_t i = 0; i < count; i++)
			right &= is_numbered(pool, handles[i], sizes[s], (u32)i);
		for (size_t i = 0; i < count; i++)
			zs_free_deferred(pool, handles[i]);
		kvfree(handles);
		CHECK(right);
	}
	zs_free_deferred_flush(pool);
	CHECK(is_empty());
	return true;
}

static bool test_errors(struct zs_pool *pool)
{
	CHECK(object_new(pool, 0) == (unsigned long)-EINVAL);
	CHECK(object_new(pool, PAGE_SIZE + 1) == (unsigned long)-ENOSPC);
	zs_free(pool, 0);
	zs_free(pool, (unsigned long)-ENOMEM);
	zs_free_deferred(pool, 0);
	zs_free_deferred(pool, (unsigned long)-ENOSPC);
	zs_free_deferred_flush(pool);
	CHECK(is_empty());
	return true;
}

/*
 * Calls under a spinlock, with bottom halves off, and with interrupts off. So is a drain of an
 * allocation.
 */
static bool test_atomic(struct zs_pool *pool)
{
	static DEFINE_SPINLOCK(lock);
	const size_t count = 6000;
	unsigned long *handles = objects_new(pool, count, 700);
	unsigned long flags, other;
	size_t i = 0;

	CHECK(handles);
	spin_lock(&lock);
	for (; i < count / 3; i++)
		zs_free_deferred(pool, handles[i]);
	other = object_new_with(pool, 3000, GFP_NOWAIT | __GFP_NOWARN);
	spin_unlock(&lock);
	spin_lock_bh(&lock);
	for (; i < count / 3 * 2; i++)
		zs_free_deferred(pool, handles[i]);
	spin_unlock_bh(&lock);
	/* With PREEMPT_RT the kernel's own zs_free() may not be called so, either. */
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		local_irq_save(flags);
	for (; i < count; i++)
		zs_free_deferred(pool, handles[i]);
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		local_irq_restore(flags);
	kvfree(handles);
	zs_free(pool, other);
	zs_free_deferred_flush(pool);
	CHECK(is_empty());
	return true;
}

/* Nothing lingers: without a flush, and below the threshold. */
static bool test_lingering(struct zs_pool *pool)
{
	unsigned long handle = object_new(pool, 2000);

	CHECK(!IS_ERR_VALUE(handle));
	zs_free_deferred(pool, handle);
	CHECK(becomes_empty());
	return true;
}

#ifndef CONFIG_PREEMPT_RT
/* Frees that nothing else runs beside, with interrupts off. */
struct alone {
	struct zs_pool *pool;
	unsigned long *handles;
	size_t count;
};

static int free_alone(void *arg)
{
	struct alone *alone = arg;

	for (size_t i = 0; i < alone->count; i++)
		zs_free_deferred(alone->pool, alone->handles[i]);
	return 0;
}

/* Writes how many frees fell back so far, for whatever reason, to a file. */
#define FALLBACKS_TO(file)                                                                         \
	shell("awk '/^fallbacks_/ { sum += $2 } END { print sum }' " SHOWN "deferred_free >" file)

/*
 * Frees more than the queue takes, while the test keeps all CPUs from the worker. What does not fit
 * is freed at once, but for what the lanes do not count yet: below 200 handles a CPU. The budget is
 * 128 MiB. Where memory is short a free may fall back for want of a segment.
 */
static bool test_fallback(struct zs_pool *pool)
{
	const size_t capacity = (128 << 20) >> PAGE_SHIFT;
	const size_t lag = 200 * num_online_cpus();
	struct alone alone = { .pool = pool, .count = capacity + lag + 1000 };

	alone.handles = objects_new(pool, alone.count, PAGE_SIZE);
	CHECK(alone.handles);
	CHECK(FALLBACKS_TO("/tmp/before"));
	stop_machine(free_alone, &alone, NULL);
	kvfree(alone.handles);
	CHECK(FALLBACKS_TO("/tmp/after"));
	CHECK(shell("[ $(($(cat /tmp/after) - $(cat /tmp/before))) -ge 1000 ]"));
	zs_free_deferred_flush(pool);
	CHECK(is_empty());
	return true;
}
#endif

/* The first two lines of deferred_free. */
static bool test_shown(struct zs_pool *pool)
{
	CHECK(shell("[ \"$(head -n 2 " SHOWN "deferred_free | tr -d '0-9\\n')\" = "
		    "'pending: capacity: ' ]"));
	return true;
}

/*
 * Destroys a pool with frees pending and objects left: nothing leaks, as nr_zspages shows
 * afterwards.
 */
static bool test_destroy(struct zs_pool *unused)
{
	struct zs_pool *pool = zs_create_pool("ktap_destroy");
	unsigned long *handles;

	CHECK(pool);
	handles = objects_new(pool, 3000, 900);
	CHECK(handles);
	for (size_t i = 0; i < 2000; i++)
		zs_free_deferred(pool, handles[i]);
	zs_destroy_pool(pool);
	kvfree(handles);
	return true;
}

static bool test_compact(struct zs_pool *pool)
{
	const size_t count = 4000, size = 1500;
	unsigned long *handles = objects_new(pool, count, size);
	struct zs_pool_stats stats;
	bool right = true;

	CHECK(handles);
	for (size_t i = 0; i < count; i++)
		write_numbered(pool, handles[i], size, (u32)i);
	for (size_t i = 0; i < count; i++)
		if (i % 4)
			zs_free_deferred(pool, handles[i]);
	zs_free_deferred_flush(pool);
	zs_compact(pool); /* if the shrinker has not done it just before */
	zs_pool_stats(pool, &stats);
	CHECK(atomic_long_read(&stats.pages_compacted) > 0);
	/* A third more than the objects need. */
	CHECK(TOTAL_IS("$14 == 1000 && $15 < 500"));
	for (size_t i = 0; i < count; i += 4)
		right &= is_numbered(pool, handles[i], size, (u32)i);
	for (size_t i = 0; i < count; i += 4)
		zs_free(pool, handles[i]);
	kvfree(handles);
	zs_free_deferred_flush(pool);
	CHECK(right);
	CHECK(is_empty());
	return true;
}

/* Sets a parameter of the module, whatever its name is. */
#define SET(parameter, value)                                                                      \
	shell("echo " value " | tee /sys/module/zsmalloc*/parameters/" parameter)

/* What zram takes for incompressible has the class of a page: by the in-tree limit, and by ours. */
static bool test_huge(struct zs_pool *pool)
{
	size_t huge = zs_huge_class_size(pool), dense;
	unsigned long handle;

	CHECK(huge > PAGE_SIZE / 2);
#if HAVE_CLASS_INDEX
	CHECK(zs_lookup_class_index(pool, (unsigned int)huge) ==
	      zs_lookup_class_index(pool, PAGE_SIZE));
	CHECK(zs_lookup_class_index(pool, 1) < zs_lookup_class_index(pool, PAGE_SIZE));
#endif
	CHECK(SET("huge_dense", "Y"));
	dense = zs_huge_class_size(pool);
	CHECK(SET("huge_dense", "N"));
	CHECK(dense > huge && dense <= PAGE_SIZE && zs_huge_class_size(pool) == huge);
	handle = object_new(pool, dense);
	CHECK(!IS_ERR_VALUE(handle));
	CHECK(TOTAL_IS("$14 == 1 && $15 == 1"));
	zs_free(pool, handle);
	zs_free_deferred_flush(pool);
	return true;
}

/* What each thread of test_threads() does, and how it went. */
struct thread {
	struct zs_pool *pool;
	unsigned int number;
	bool right;
	struct completion done;
};

static int thread_run(void *arg)
{
	struct thread *thread = arg;
	unsigned char *bytes = kmalloc(2 * PAGE_SIZE, GFP_KERNEL);
	unsigned long slot[64] = { 0 };
	size_t size[64];

	thread->right = bytes != NULL;
	for (u32 step = 0; bytes && step < 40000; step++) {
		u32 at = (step * 2654435761U >> 7) % 64;

		if (slot[at]) {
			fill(bytes, size[at], thread->number * 64 + at);
			thread->right &= object_is(thread->pool, slot[at], bytes, size[at],
						   bytes + PAGE_SIZE);
			if (step & 1)
				zs_free_deferred(thread->pool, slot[at]);
			else
				zs_free(thread->pool, slot[at]);
			slot[at] = 0;
		} else {
			size[at] = step * 40503U % PAGE_SIZE + 1;
			slot[at] = object_new(thread->pool, size[at]);
			if (IS_ERR_VALUE(slot[at])) {
				slot[at] = 0;
				continue;
			}
			fill(bytes, size[at], thread->number * 64 + at);
			object_write(thread->pool, slot[at], bytes, size[at]);
		}
		if (step % 5000 == thread->number * 1000)
			zs_compact(thread->pool);
		if (step % 7000 == 0)
			zs_free_deferred_flush(thread->pool);
		cond_resched();
	}
	for (u32 at = 0; at < 64; at++)
		zs_free(thread->pool, slot[at]);
	kfree(bytes);
	complete(&thread->done);
	return 0;
}

static bool test_threads(struct zs_pool *pool)
{
	static struct thread threads[THREADS];
	bool right = true;

	for (unsigned int i = 0; i < THREADS; i++) {
		threads[i].pool = pool;
		threads[i].number = i;
		init_completion(&threads[i].done);
		if (IS_ERR(kthread_run(thread_run, &threads[i], "zs_test/%u", i)))
			complete(&threads[i].done);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		wait_for_completion(&threads[i].done);
		right &= threads[i].right;
	}
	zs_free_deferred_flush(pool);
	zs_compact(pool); /* a zspage that one thread made while another made room */
	CHECK(right);
	CHECK(is_empty());
	return true;
}

#if !HAVE_MAP
/* Objects as scatterlists, of one entry and of two. */
static bool test_sg(struct zs_pool *pool)
{
	const size_t count = 100, size = 1700;
	unsigned long *handles = objects_new(pool, count, size);
	struct scatterlist sg[2];
	unsigned int entries = 0;
	bool right = true;

	CHECK(handles);
	for (size_t i = 0; i < count; i++) {
		write_numbered(pool, handles[i], size, (u32)i);
		zs_obj_read_sg_begin(pool, handles[i], sg, size);
		entries |= 1U << sg_nents(sg);
		sg_copy_to_buffer(sg, sg_nents(sg), buffer + PAGE_SIZE, size);
		zs_obj_read_sg_end(pool, handles[i]);
		right &= !memcmp(buffer, buffer + PAGE_SIZE, size);
		zs_free(pool, handles[i]);
	}
	kvfree(handles);
	zs_free_deferred_flush(pool);
	CHECK(right);
	CHECK(entries == (1U << 1 | 1U << 2));
	CHECK(is_empty());
	return true;
}
#endif

#if HAVE_MAP && defined(CONFIG_PREEMPT_RT)
/* A task that has an object mapped, of one page or of two, may be preempted. */
static bool test_mapped(struct zs_pool *pool)
{
	const size_t count = 100, size = 1700;
	unsigned long *handles = objects_new(pool, count, size);
	bool atomic = false;

	CHECK(handles);
	for (size_t i = 0; i < count; i++) {
		zs_map_object(pool, handles[i], ZS_MM_RW);
		atomic |= !preemptible();
		zs_unmap_object(pool, handles[i]);
		zs_free(pool, handles[i]);
	}
	kvfree(handles);
	CHECK(!atomic);
	return true;
}
#endif

/* The pages of all pools, free ones too. */
static unsigned long pages_held(void)
{
	return zone_page_state_snapshot(page_zone(virt_to_page(buffer)), NR_ZSPAGES);
}

/* Returns whether the buffer's zone holds at most @pages before the deadline. */
static bool pages_become(unsigned long pages)
{
	for (unsigned int ms = 0; ms < DEADLINE_MS; ms += 10) {
		if (pages_held() <= pages)
			return true;
		msleep(10);
	}
	return false;
}

#ifdef CONFIG_CONTIG_ALLOC
/* Takes a page from whatever has it, as long as its contents can move. Returns 0 or an error. */
static int page_want(unsigned long pfn)
{
#ifdef ACR_FLAGS_NONE
	return alloc_contig_range(pfn, pfn + 1, ACR_FLAGS_NONE, GFP_KERNEL | __GFP_NOWARN);
#else
	return alloc_contig_range(pfn, pfn + 1, MIGRATE_MOVABLE, GFP_KERNEL | __GFP_NOWARN);
#endif
}

/* Returns the number of the page that an object of a page has. */
static unsigned long object_pfn(struct zs_pool *pool, unsigned long handle)
{
#if HAVE_MAP
	unsigned long pfn = page_to_pfn(virt_to_page(zs_map_object(pool, handle, ZS_MM_RO)));

	zs_unmap_object(pool, handle);
#else
	void *object = zs_obj_read_begin(pool, handle, PAGE_SIZE, buffer);
	unsigned long pfn = page_to_pfn(virt_to_page(object));

	zs_obj_read_end(pool, handle, PAGE_SIZE, object);
#endif
	return pfn;
}

/*
 * Pages that were freed just now come when a caller wants just them. The kernel may have reasons of
 * its own to refuse one: then it does so after the worker has been there, too.
 */
static bool test_wanted(struct zs_pool *pool)
{
	const size_t count = 4096, step = 16;
	unsigned long *handles = kvcalloc(count, sizeof(*handles), GFP_KERNEL);
	unsigned int came = 0, late = 0;

	CHECK(handles);
	for (size_t i = 0; i < count; i++) {
		handles[i] = object_new_with(pool, PAGE_SIZE, GFP_HIGHUSER_MOVABLE);
		CHECK(!IS_ERR_VALUE(handles[i]));
	}
	for (size_t i = 0; i < count; i += step) {
		unsigned long pfn = object_pfn(pool, handles[i]);
		bool first;

		zs_free_deferred(pool, handles[i]);
		zs_free_deferred_flush(pool);
		handles[i] = 0;
		first = !page_want(pfn);
		if (!first) {
			msleep(50);
			if (page_want(pfn))
				continue;
		}
		free_contig_range(pfn, 1);
		came += first;
		late += !first;
	}
	for (size_t i = 0; i < count; i++)
		zs_free(pool, handles[i]);
	kvfree(handles);
	zs_free_deferred_flush(pool);
	pr_info("# wanted: of %zu free pages %u came at once, %u later\n", count / step, came,
		late);
	CHECK(came > 10 * late);
	CHECK(is_empty());
	return true;
}
#endif

static int compete(void *arg)
{
	while (!kthread_should_stop())
		cond_resched();
	return 0;
}

/*
 * Lets others have the CPU while it destroys a pool with many objects. The pool gets larger till
 * its end is interrupted some times: an emulated CPU may stand still for most of it.
 */
static bool test_destroy_yields(struct zs_pool *unused)
{
	struct task_struct *other = kthread_create(compete, NULL, "zs_compete");
	unsigned long switches = 0;
	u64 took = 0;

	CHECK(!IS_ERR(other));
	kthread_bind(other, raw_smp_processor_id());
	CHECK(!set_cpus_allowed_ptr(current, cpumask_of(task_cpu(other))));
	wake_up_process(other);
	for (size_t count = 1 << 20; switches < 3 && count <= 8 << 20; count *= 2) {
		struct zs_pool *pool = zs_create_pool("ktap_yields");

		CHECK(pool);
		for (size_t i = 0; i < count; i++) {
			if (IS_ERR_VALUE(object_new(pool, 16)))
				break;
			if (i % 1024 == 0)
				cond_resched();
		}
		switches = current->nvcsw + current->nivcsw;
		took = current->se.sum_exec_runtime;
		zs_destroy_pool(pool);
		took = current->se.sum_exec_runtime - took;
		switches = current->nvcsw + current->nivcsw - switches;
	}
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	kthread_stop(other);
	pr_info("# destroy: gave way %lu times in %llu ms\n", switches, took / NSEC_PER_MSEC);
	CHECK(switches >= 3); /* without, it gives way to what it waits for */
	return true;
}

/* Frees three objects in four. */
static void thin_out(struct zs_pool *pool, unsigned long *handles, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i % 4 == 0)
			continue;
		zs_free(pool, handles[i]);
		handles[i] = 0;
	}
}

/* A pool that becomes sparse again and again does not keep another from being compacted. */
static bool test_fair(struct zs_pool *pool)
{
	const size_t count = 8192, size = 2000;
	struct zs_pool *busy = zs_create_pool("ktap_busy");
	unsigned long *one = objects_new(pool, count, size), *two;
	struct zs_pool_stats stats;
	u64 end = get_jiffies_64() + msecs_to_jiffies(DEADLINE_MS);

	CHECK(busy);
	two = objects_new(busy, count, size);
	CHECK(one && two);
	thin_out(pool, one, count);
	do {
		bool made = true;

		thin_out(busy, two, count);
		for (size_t i = 0; i < count; i++) {
			if (!two[i])
				two[i] = object_new(busy, size);
			made &= !IS_ERR_VALUE(two[i]);
		}
		CHECK(made);
		cond_resched();
		zs_pool_stats(pool, &stats);
	} while (!atomic_long_read(&stats.pages_compacted) && get_jiffies_64() < end);
	for (size_t i = 0; i < count; i++) {
		zs_free(pool, one[i]);
		zs_free(busy, two[i]);
	}
	kvfree(one);
	kvfree(two);
	zs_destroy_pool(busy);
	CHECK(atomic_long_read(&stats.pages_compacted) > 0);
	return true;
}

#define LIVE 1500 /* objects of each thread of test_limit() */

/* What each thread of test_limit() does, and the largest total that it has seen. */
struct overwriter {
	struct zs_pool *pool;
	unsigned long *handles;
	unsigned long most, failed;
	struct completion done;
};

/* Overwrites its objects, as zram does, and may not sleep while it does one. */
static int overwrite(void *arg)
{
	struct overwriter *writer = arg;

	for (u32 step = 0; step < 40 * LIVE; step++) {
		unsigned long *handle = &writer->handles[(step * 2654435761U >> 8) % LIVE];
		unsigned long total;

		local_bh_disable();
		zs_free_deferred(writer->pool, *handle);
		*handle = object_new_with(writer->pool, PAGE_SIZE, GFP_NOWAIT | __GFP_NOWARN);
		total = zs_get_total_pages(writer->pool);
		local_bh_enable();
		writer->most = max(writer->most, total);
		if (IS_ERR_VALUE(*handle)) {
			writer->failed++;
			*handle = 0;
		}
		cond_resched();
	}
	complete(&writer->done);
	return 0;
}

/*
 * Frees that wait are never in a pool's total, where callers may not sleep. With frees at once the
 * total is that of all objects, so that is a limit that must hold.
 */
static bool test_limit(struct zs_pool *pool)
{
	static struct overwriter writers[THREADS];
	unsigned long before = pages_held(), most = 0, held = 0, failed = 0;

	for (unsigned int i = 0; i < THREADS; i++) {
		writers[i] = (struct overwriter){ .pool = pool };
		writers[i].handles = objects_new(pool, LIVE, PAGE_SIZE);
		CHECK(writers[i].handles);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		init_completion(&writers[i].done);
		if (IS_ERR(kthread_run(overwrite, &writers[i], "zs_limit/%u", i)))
			complete(&writers[i].done);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		while (!wait_for_completion_timeout(&writers[i].done, msecs_to_jiffies(5)))
			held = max(held, pages_held());
		most = max(most, writers[i].most);
		failed += writers[i].failed;
		for (size_t j = 0; j < LIVE; j++)
			zs_free(pool, writers[i].handles[j]);
		kvfree(writers[i].handles);
	}
	zs_free_deferred_flush(pool);
	pr_info("# limit: %u pages live, total at most %lu, %lu pages held, %lu failed\n",
		THREADS * LIVE, most, held - before, failed);
	CHECK(most && most <= THREADS * (LIVE + 1)); /* each is about to have one */
	CHECK(!failed);
	CHECK(is_empty());
	return true;
}

/* Returns an object for which the nth allocation of memory fails. */
static unsigned long object_fail(struct zs_pool *pool, size_t size, unsigned int nth)
{
	unsigned long handle;

#ifdef CONFIG_FAULT_INJECTION
	current->fail_nth = nth;
#endif
	handle = object_new_with(pool, size, GFP_KERNEL | __GFP_NOWARN);
#ifdef CONFIG_FAULT_INJECTION
	current->fail_nth = 0;
#endif
	return handle;
}

/* A zspage of which only some pages could be had: they are given back with what is freed next. */
static bool test_half(struct zs_pool *pool)
{
	unsigned long before = pages_held();
	unsigned int halves = 0;

	for (unsigned int nth = 1; nth <= 3 * LONGEST; nth++) {
		unsigned long other = object_new(pool, 1000);
		unsigned long had = pages_held();
		unsigned long handle = object_fail(pool, 2000, nth);

		halves += IS_ERR_VALUE(handle) && pages_held() > had;
		zs_free(pool, handle);
		zs_free(pool, other);
		CHECK(pages_become(before));
	}
	CHECK(halves > 0);
	return true;
}

struct test {
	const char *name;
	bool (*run)(struct zs_pool *pool);
};

static const struct test tests_failing[] = { { "half", test_half } };

static const struct test tests[] = {
	{ "sizes", test_sizes },
	{ "spanning", test_spanning },
	{ "errors", test_errors },
	{ "atomic", test_atomic },
	{ "lingering", test_lingering },
	{ "destroy", test_destroy },
	{ "compact", test_compact },
	{ "huge", test_huge },
	{ "threads", test_threads },
	{ "shown", test_shown },
#ifndef CONFIG_PREEMPT_RT
	{ "fallback", test_fallback },
#elif HAVE_MAP
	{ "mapped", test_mapped },
#endif
	{ "destroy_yields", test_destroy_yields },
	{ "fair", test_fair },
	{ "limit", test_limit },
#ifdef CONFIG_CONTIG_ALLOC
	{ "wanted", test_wanted },
#endif
#if !HAVE_MAP
	{ "sg", test_sg },
#endif
};

static bool test_run(const struct test *test)
{
	struct zs_pool *pool = zs_create_pool("ktap");
	bool passed;

	if (!pool)
		return false;
	passed = test->run(pool);
	zs_destroy_pool(pool);
	return passed;
}

static int __init tests_init(void)
{
	const struct test *test = failing ? tests_failing : tests;
	size_t count = failing ? ARRAY_SIZE(tests_failing) : ARRAY_SIZE(tests);
	unsigned int failed = 0;

	buffer = kmalloc(2 * PAGE_SIZE, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	pr_info("KTAP version 1\n");
	pr_info("1..%zu\n", count);
	for (size_t i = 0; i < count; i++) {
		bool passed;

		if (only && strcmp(only, test[i].name))
			continue;
		passed = test_run(&test[i]);
		pr_info("%s %zu %s\n", passed ? "ok" : "not ok", i + 1, test[i].name);
		failed += !passed;
	}
	kfree(buffer);
	return failed ? -EINVAL : 0;
}

static void __exit tests_exit(void)
{
}

module_init(tests_init);
module_exit(tests_exit);

MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("Tests of zsmalloc's exported interface");
