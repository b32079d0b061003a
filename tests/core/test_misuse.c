/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Misuse is caught: each wrong call is told in one line on stderr, then ends the program, or is
 * counted and changes nothing. Every case runs both ways, in a child. (Reaches inside for handles
 * that look right and are not, and for the size of a slot: src/pool.h.)
 */
#include "helpers.h"
#include "invariants.h"

#include "pool.h"

#define SIZE 1000
#define OTHERS 50 /* objects that nothing may happen to */

/* What a case has to do its harm with. */
struct victims {
	struct zs_pool *pool;
	struct zs_pool *other_pool;
	unsigned long live;
	unsigned long dead;
	unsigned long stale; /* its entry serves another object */
	unsigned long foreign;
	unsigned long invented; /* of the pool's tag, for an entry that there is not */
	unsigned long unused; /* for an entry that was never given out */
	unsigned long small; /* an object of 10 bytes, too small to host a chunk */
	size_t slot; /* bytes of the live object's */
	char buffer[65536];
};

struct misuse {
	const char *name;
	void (*commit)(struct victims *victims);
	const char *told;
	bool of_no_pool;
};

static void free_twice(struct victims *v)
{
	zs_free(v->pool, v->dead);
}

static void free_stale(struct victims *v)
{
	zs_free(v->pool, v->stale);
}

static void free_foreign(struct victims *v)
{
	zs_free(v->pool, v->foreign);
}

static void free_number(struct victims *v)
{
	zs_free(v->pool, 12345);
}

static void free_pointer(struct victims *v)
{
	zs_free(v->pool, (unsigned long)v);
}

static void free_invented(struct victims *v)
{
	zs_free(v->pool, v->invented);
}

static void free_unused(struct victims *v)
{
	zs_free(v->pool, v->unused);
}

static void free_of_no_pool(struct victims *v)
{
	zs_free(NULL, v->live);
}

static void defer(struct victims *v, unsigned long handle)
{
	zs_free_deferred(v->pool, handle);
	zs_free_deferred_flush(v->pool);
}

static void defer_dead(struct victims *v)
{
	defer(v, v->dead);
}

static void defer_twice(struct victims *v)
{
	unsigned long handle = object_make(v->pool, SIZE, 1);

	zs_free_deferred(v->pool, handle);
	defer(v, handle);
}

static void defer_small_twice(struct victims *v)
{
	zs_free_deferred(v->pool, v->small);
	defer(v, v->small);
}

static void defer_then_free(struct victims *v)
{
	zs_free_deferred(v->pool, v->small);
	zs_free(v->pool, v->small);
	zs_free_deferred_flush(v->pool);
}

static void free_then_defer(struct victims *v)
{
	zs_free(v->pool, v->small);
	defer(v, v->small);
}

static void defer_stale(struct victims *v)
{
	defer(v, v->stale);
}

static void defer_foreign(struct victims *v)
{
	defer(v, v->foreign);
}

static void defer_number(struct victims *v)
{
	defer(v, 12345);
}

static void defer_invented(struct victims *v)
{
	defer(v, v->invented);
}

static void defer_unused(struct victims *v)
{
	defer(v, v->unused);
}

/* Of the pool's tag, and nothing else: the queue has nothing to tell it from none. */
static void defer_bare(struct victims *v)
{
	defer(v, v->live >> 48 << 48);
}

static void defer_of_no_pool(struct victims *v)
{
	zs_free_deferred(NULL, v->live);
}

static void flush_no_pool(struct victims *v)
{
	(void)v;
	zs_free_deferred_flush(NULL);
}

/* The good ones among them are freed. */
static void bulk(struct victims *v, unsigned long bad)
{
	unsigned long handles[] = { object_make(v->pool, SIZE, 1), bad,
				    object_make(v->pool, SIZE, 2) };

	zs_free_bulk(v->pool, handles, 3);
	CHILD_CHECK(!entry_is(
		(u64)atomic64_read(handle_entry(&runtime.handles, handle_name(handles[0]))),
		handle_name(handles[0])));
	CHILD_CHECK(!entry_is(
		(u64)atomic64_read(handle_entry(&runtime.handles, handle_name(handles[2]))),
		handle_name(handles[2])));
}

static void bulk_dead(struct victims *v)
{
	bulk(v, v->dead);
}

static void bulk_stale(struct victims *v)
{
	bulk(v, v->stale);
}

static void bulk_foreign(struct victims *v)
{
	bulk(v, v->foreign);
}

static void bulk_number(struct victims *v)
{
	bulk(v, 12345);
}

static void bulk_invented(struct victims *v)
{
	bulk(v, v->invented);
}

static void bulk_twice(struct victims *v)
{
	unsigned long handle = object_make(v->pool, SIZE, 1);
	unsigned long handles[] = { handle, handle };

	zs_free_bulk(v->pool, handles, 2);
}

static void bulk_of_no_pool(struct victims *v)
{
	zs_free_bulk(NULL, &v->live, 1);
}

static void bulk_of_nothing(struct victims *v)
{
	zs_free_bulk(v->pool, NULL, 1);
}

static void read_bad(struct victims *v, unsigned long handle, size_t length)
{
	CHILD_CHECK(!zs_obj_read_begin(v->pool, handle, length, v->buffer));
}

static void read_dead(struct victims *v)
{
	read_bad(v, v->dead, SIZE);
}

static void read_stale(struct victims *v)
{
	read_bad(v, v->stale, SIZE);
}

static void read_foreign(struct victims *v)
{
	read_bad(v, v->foreign, SIZE);
}

static void read_number(struct victims *v)
{
	read_bad(v, 12345, SIZE);
}

static void read_nothing(struct victims *v)
{
	read_bad(v, 0, SIZE);
}

static void read_invented(struct victims *v)
{
	read_bad(v, v->invented, SIZE);
}

static void read_unused(struct victims *v)
{
	read_bad(v, v->unused, SIZE);
}

static void read_beyond(struct victims *v)
{
	read_bad(v, v->live, v->slot + 1);
}

static void read_far_beyond(struct victims *v)
{
	read_bad(v, v->live, SIZE_MAX);
}

static void read_of_no_pool(struct victims *v)
{
	CHILD_CHECK(!zs_obj_read_begin(NULL, v->live, SIZE, v->buffer));
}

static void end_unbegun(struct victims *v)
{
	zs_obj_read_end(v->pool, v->live, SIZE, v->buffer);
}

static void end_dead(struct victims *v)
{
	zs_obj_read_end(v->pool, v->dead, SIZE, v->buffer);
}

static void end_foreign(struct victims *v)
{
	zs_obj_read_end(v->pool, v->foreign, SIZE, v->buffer);
}

static void end_nowhere(struct victims *v)
{
	void *memory = zs_obj_read_begin(v->pool, v->live, SIZE, v->buffer);

	zs_obj_read_end(v->pool, v->live, SIZE, NULL);
	zs_obj_read_end(v->pool, v->live, SIZE, memory);
}

/* The zspage is pinned, but not for this. */
static void end_elsewhere(struct victims *v)
{
	void *memory = zs_obj_read_begin(v->pool, v->live, SIZE, v->buffer);

	zs_obj_read_end(v->pool, v->live, SIZE, v->buffer);
	zs_obj_read_end(v->pool, v->live, SIZE, memory);
}

static void end_of_no_pool(struct victims *v)
{
	zs_obj_read_end(NULL, v->live, SIZE, v->buffer);
}

static void write_dead(struct victims *v)
{
	zs_obj_write(v->pool, v->dead, v->buffer, SIZE);
}

static void write_stale(struct victims *v)
{
	zs_obj_write(v->pool, v->stale, v->buffer, SIZE);
}

static void write_foreign(struct victims *v)
{
	zs_obj_write(v->pool, v->foreign, v->buffer, SIZE);
}

static void write_number(struct victims *v)
{
	zs_obj_write(v->pool, 12345, v->buffer, SIZE);
}

static void write_invented(struct victims *v)
{
	zs_obj_write(v->pool, v->invented, v->buffer, SIZE);
}

static void write_beyond(struct victims *v)
{
	zs_obj_write(v->pool, v->live, v->buffer, v->slot + 1);
}

static void write_far_beyond(struct victims *v)
{
	zs_obj_write(v->pool, v->live, v->buffer, SIZE_MAX);
}

static void write_nothing(struct victims *v)
{
	zs_obj_write(v->pool, v->live, NULL, SIZE);
}

static void write_of_no_pool(struct victims *v)
{
	zs_obj_write(NULL, v->live, v->buffer, SIZE);
}

static void malloc_of_no_pool(struct victims *v)
{
	(void)v;
	CHILD_CHECK(zs_is_err(zs_malloc(NULL, SIZE, GFP_KERNEL, NUMA_NO_NODE)));
}

static void compact_no_pool(struct victims *v)
{
	(void)v;
	CHILD_CHECK(zs_compact(NULL) == 0);
}

static void destroy_no_pool(struct victims *v)
{
	(void)v;
	zs_destroy_pool(NULL);
}

static void ask_no_pool(struct victims *v)
{
	(void)v;
	CHILD_CHECK(zs_get_total_pages(NULL) == 0);
}

static void classes_of_no_pool(struct victims *v)
{
	(void)v;
	CHILD_CHECK(zs_stats_classes(NULL, stdout) == -EINVAL);
}

static void deferred_of_no_pool(struct victims *v)
{
	(void)v;
	CHILD_CHECK(zs_stats_deferred(NULL, stdout) == -EINVAL);
}

static void stats_nowhere(struct victims *v)
{
	zs_pool_stats(v->pool, NULL);
}

#define FREED "double free or use after free"
#define STALE "stale handle"
#define FOREIGN "handle that is not this pool's"
#define UNGIVEN "handle that was never given out"
#define BEYOND "beyond the end of the slot"
#define NO_POOL "called with no pool"
#define NO_BUFFER "null buffer"

static const struct misuse misuses[] = {
	{ "zs_free twice", free_twice, FREED, false },
	{ "zs_free stale", free_stale, STALE, false },
	{ "zs_free foreign", free_foreign, FOREIGN, false },
	{ "zs_free number", free_number, FOREIGN, false },
	{ "zs_free pointer", free_pointer, FOREIGN, false },
	{ "zs_free invented", free_invented, UNGIVEN, false },
	{ "zs_free unused", free_unused, UNGIVEN, false },
	{ "zs_free no pool", free_of_no_pool, NO_POOL, true },
	{ "deferred dead", defer_dead, FREED, false },
	{ "deferred twice", defer_twice, FREED, false },
	{ "deferred twice, small", defer_small_twice, FREED, false },
	{ "deferred, then freed", defer_then_free, FREED, false },
	{ "freed, then deferred", free_then_defer, FREED, false },
	{ "deferred stale", defer_stale, STALE, true }, /* the entry is another object's */
	{ "deferred foreign", defer_foreign, FOREIGN, false },
	{ "deferred number", defer_number, FOREIGN, false },
	{ "deferred invented", defer_invented, UNGIVEN, true },
	{ "deferred unused", defer_unused, UNGIVEN, true },
	{ "deferred bare", defer_bare, UNGIVEN, true },
	{ "deferred no pool", defer_of_no_pool, NO_POOL, true },
	{ "flush no pool", flush_no_pool, NO_POOL, true },
	{ "bulk dead", bulk_dead, FREED, false },
	{ "bulk stale", bulk_stale, STALE, false },
	{ "bulk foreign", bulk_foreign, FOREIGN, false },
	{ "bulk number", bulk_number, FOREIGN, false },
	{ "bulk invented", bulk_invented, UNGIVEN, false },
	{ "bulk twice", bulk_twice, FREED, false },
	{ "bulk no pool", bulk_of_no_pool, NO_POOL, true },
	{ "bulk null", bulk_of_nothing, NO_BUFFER, false },
	{ "read dead", read_dead, FREED, false },
	{ "read stale", read_stale, STALE, false },
	{ "read foreign", read_foreign, FOREIGN, false },
	{ "read number", read_number, FOREIGN, false },
	{ "read handle 0", read_nothing, FOREIGN, false },
	{ "read invented", read_invented, UNGIVEN, false },
	{ "read unused", read_unused, UNGIVEN, false },
	{ "read beyond", read_beyond, BEYOND, false },
	{ "read far beyond", read_far_beyond, BEYOND, false },
	{ "read no pool", read_of_no_pool, NO_POOL, true },
	{ "end without begin", end_unbegun, "no begin", false },
	{ "end elsewhere", end_elsewhere, "pointer to something else", false },
	{ "end dead", end_dead, FREED, false },
	{ "end foreign", end_foreign, FOREIGN, false },
	{ "end null", end_nowhere, NO_BUFFER, false },
	{ "end no pool", end_of_no_pool, NO_POOL, true },
	{ "write dead", write_dead, FREED, false },
	{ "write stale", write_stale, STALE, false },
	{ "write foreign", write_foreign, FOREIGN, false },
	{ "write number", write_number, FOREIGN, false },
	{ "write invented", write_invented, UNGIVEN, false },
	{ "write beyond", write_beyond, BEYOND, false },
	{ "write far beyond", write_far_beyond, BEYOND, false },
	{ "write null", write_nothing, NO_BUFFER, false },
	{ "write no pool", write_of_no_pool, NO_POOL, true },
	{ "malloc no pool", malloc_of_no_pool, NO_POOL, true },
	{ "compact no pool", compact_no_pool, NO_POOL, true },
	{ "destroy no pool", destroy_no_pool, NO_POOL, true },
	{ "pages no pool", ask_no_pool, NO_POOL, true },
	{ "classes no pool", classes_of_no_pool, NO_POOL, true },
	{ "deferred_free no pool", deferred_of_no_pool, NO_POOL, true },
	{ "stats null", stats_nowhere, NO_BUFFER, false },
};

/* A handle whose entry was handed out again since. */
static unsigned long make_stale(struct zs_pool *pool)
{
	unsigned long old = object_alloc(pool, SIZE);
	unsigned long handle;

	zs_free(pool, old);
	do
		handle = object_alloc(pool, SIZE);
	while ((u32)handle != (u32)old);
	CHILD_CHECK(handle != old);
	return old;
}

static void prepare(struct victims *v, unsigned int mode)
{
	v->pool = make_pool((struct zs_pool_options){
		.deferred_delay_ms = NEVER_MS,
		.misuse = mode,
	});
	v->other_pool = make_lazy_pool();
	v->stale = make_stale(v->pool);
	v->live = object_make(v->pool, SIZE, 1000);
	v->dead = object_make(v->pool, SIZE, 1001);
	v->small = object_make(v->pool, 10, 1002);
	v->foreign = object_make(v->other_pool, SIZE, 1003);
	v->invented = handle_make(v->pool->tag, name_make(1, ~0U));
	v->unused = handle_make(v->pool->tag, name_make(1, 1)); /* block 0 is not used */
	v->slot = v->pool->table->geometry[class_for(v->pool->table, SIZE)].size;
	zs_free(v->pool, v->dead);
}

/* In a child: commit the misuse, and see that nothing but the count has changed. */
static void commit_counted(const void *arg)
{
	const struct misuse *misuse = arg;
	static struct victims v;
	unsigned long *others;

	setenv("ZSMALLOC_MISUSE", "count", 1); /* what goes for no pool at all */
	prepare(&v, ZS_MISUSE_COUNT);
	others = objects_make(v.pool, SIZE, OTHERS);
	misuse->commit(&v);
	CHILD_CHECK(misuses_of(v.pool) == (misuse->of_no_pool ? 0 : 1));
	CHILD_CHECK(misuses_of(v.other_pool) == 0);
	for (unsigned int i = 0; i < OTHERS; i++)
		CHILD_CHECK(object_holds(v.pool, others[i], SIZE, i));
	CHILD_CHECK(object_holds(v.pool, v.live, SIZE, 1000));
	CHILD_CHECK(object_holds(v.other_pool, v.foreign, SIZE, 1003));
	/* Nothing is pinned, and nothing was freed that should not have been. */
	zs_compact(v.pool);
	zs_free_bulk(v.pool, others, OTHERS);
	zs_free(v.pool, v.live);
	zs_free(v.other_pool, v.foreign);
	CHILD_CHECK(misuses_of(v.pool) == (misuse->of_no_pool ? 0 : 1));
	CHILD_CHECK(zs_get_total_pages(v.other_pool) == 0);
	zs_destroy_pool(v.pool);
	zs_destroy_pool(v.other_pool);
}

static void commit_fatal(const void *arg)
{
	const struct misuse *misuse = arg;
	static struct victims v;

	setenv("ZSMALLOC_MISUSE", "abort", 1);
	prepare(&v, ZS_MISUSE_ABORT);
	misuse->commit(&v);
}

/* One line, which names the pool if there is one, the function, and what was wrong. */
static void assert_told(const struct misuse *misuse, const struct child *child)
{
	const char *start = misuse->of_no_pool ? "zsmalloc: " : "zsmalloc: pool \"test\": ";
	const char *end = strchr(child->said, '\n');
	const char *function = child->said + strlen(start);
	size_t length;

	if (!end || end[1] || strncmp(child->said, start, strlen(start)) != 0)
		fail_msg("%s: this was said: %s", misuse->name, child->said);
	length = strspn(function, "abcdefghijklmnopqrstuvwxyz_");
	if (strncmp(function, "zs_", 3) != 0 || strncmp(function + length, ": ", 2) != 0 ||
	    !strstr(function + length, misuse->told))
		fail_msg("%s: this was said: %s", misuse->name, child->said);
}

static void test_counted(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
		struct child child = run_in_child(commit_counted, &misuses[i]);

		if (!WIFEXITED(child.status) || WEXITSTATUS(child.status))
			fail_msg("%s: status %#x, %s", misuses[i].name, (unsigned int)child.status,
				 child.said);
		assert_told(&misuses[i], &child);
	}
}

static void test_fatal(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
		struct child child = run_in_child(commit_fatal, &misuses[i]);

		if (!WIFSIGNALED(child.status) || WTERMSIG(child.status) != SIGABRT)
			fail_msg("%s: status %#x, %s", misuses[i].name, (unsigned int)child.status,
				 child.said);
		assert_told(&misuses[i], &child);
	}
}

/* What a pool does whose options don't say. */
static void free_twice_by_default(const void *wish)
{
	struct zs_pool *pool;
	unsigned long handle;

	if (wish)
		setenv("ZSMALLOC_MISUSE", wish, 1);
	else
		unsetenv("ZSMALLOC_MISUSE");
	pool = zs_create_pool("default");
	handle = object_alloc(pool, SIZE);
	zs_free(pool, handle);
	zs_free(pool, handle);
	CHILD_CHECK(misuses_of(pool) == 1);
}

static void test_environment(void **state)
{
	const char *const fatal[] = { NULL, "abort", "", "Count", "counted" };
	struct child child;

	(void)state;
	for (unsigned int i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		child = run_in_child(free_twice_by_default, fatal[i]);
		assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT);
	}
	child = run_in_child(free_twice_by_default, "count");
	assert_child_ended_well(&child);
}

/* The option says it, whatever the environment has. */
static void count_against_environment(const void *arg)
{
	struct zs_pool *pool;

	(void)arg;
	setenv("ZSMALLOC_MISUSE", "abort", 1);
	pool = make_pool((struct zs_pool_options){ .misuse = ZS_MISUSE_COUNT });
	zs_free(pool, 1);
	CHILD_CHECK(misuses_of(pool) == 1);
}

static void abort_against_environment(const void *arg)
{
	(void)arg;
	setenv("ZSMALLOC_MISUSE", "count", 1);
	zs_free(make_pool((struct zs_pool_options){ .misuse = ZS_MISUSE_ABORT }), 1);
}

static void test_option(void **state)
{
	struct child child = run_in_child(count_against_environment, NULL);

	(void)state;
	assert_child_ended_well(&child);
	child = run_in_child(abort_against_environment, NULL);
	assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counted),
		cmocka_unit_test(test_fatal),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
