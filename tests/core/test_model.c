/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Pools against a plain model. Whatever is done to them in whatever order, an object holds what was
 * last written to it. All that can be counted comes out as the model says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "invariants.h"
#include "seed.h"
#include "zsmalloc.h"

#define OPERATIONS 150000 /* unless TEST_OPERATIONS says otherwise */
#define POOLS 4
#define MAX_OBJECTS 3000 /* in a pool */
#define MAX_PINS 4
#define MAX_RUN 1200 /* objects freed by one operation: more than a batch */

struct object {
	unsigned long handle;
	size_t size;
	uint64_t content;
	void *pinned; /* what zs_obj_read_begin() returned, while it is read */
};

struct model {
	struct zs_pool *pool;
	uint64_t random;
	struct object object[MAX_OBJECTS];
	size_t objects;
	bool shrinks; /* from when it is full until it is nearly empty */
	size_t pins;
	uint64_t compacted; /* pages */
};

/* The pools share the queue, which has the largest capacity of theirs. */
#define CAPACITY 32768U
#define LAG 128U /* handles that a thread may have queued before they count */

static uint64_t deferred; /* frees of all pools */
static struct model *models[POOLS];
static size_t pins; /* reads under way in all pools */

static uint64_t below(struct model *model, uint64_t limit)
{
	return random_below(&model->random, limit);
}

/* Short runs are more likely. */
static uint64_t run_length(struct model *model)
{
	return below(model, below(model, MAX_RUN) + 1);
}

static void assert_content(const struct object *object, const void *memory)
{
	if (!random_is(memory, object->size, object->content))
		fail_msg("object %#lx of %zu bytes does not hold what was written", object->handle,
			 object->size);
}

static void write_object(struct model *model, struct object *object)
{
	char *buffer = malloc(object->size);

	assert_non_null(buffer);
	object->content = next_random(&model->random);
	random_fill(buffer, object->size, object->content);
	zs_obj_write(model->pool, object->handle, buffer, object->size);
	free(buffer);
}

static void read_object(struct model *model, const struct object *object)
{
	void *memory = zs_obj_read_begin(model->pool, object->handle, object->size, NULL);

	assert_non_null(memory);
	assert_content(object, memory);
	zs_obj_read_end(model->pool, object->handle, object->size, memory);
}

/* An object without a reader, or NULL if luck finds none. */
static struct object *pick(struct model *model)
{
	struct object *object;

	if (!model->objects)
		return NULL;
	object = &model->object[below(model, model->objects)];
	return object->pinned ? NULL : object;
}

/* Forget an object. Returns its handle, which the caller frees. */
static unsigned long forget(struct model *model, struct object *object)
{
	unsigned long handle = object->handle;

	*object = model->object[--model->objects];
	return handle;
}

static void op_malloc(struct model *model)
{
	struct object *object = &model->object[model->objects];
	gfp_t flags = below(model, 16) ? GFP_KERNEL : GFP_NOWAIT;

	if (model->objects == MAX_OBJECTS)
		model->shrinks = true;
	else if (model->objects < MAX_OBJECTS / 16)
		model->shrinks = false;
	if (model->shrinks && below(model, 2))
		return;
	if (model->objects == MAX_OBJECTS)
		return;
	*object = (struct object){ .size = random_size(&model->random) };
	object->handle = zs_malloc(model->pool, object->size, flags, NUMA_NO_NODE);
	if (flags == GFP_NOWAIT && zs_is_err(object->handle))
		return;
	assert_false(zs_is_err(object->handle));
	model->objects++;
	write_object(model, object);
}

static void op_write(struct model *model)
{
	struct object *object = pick(model);

	if (object)
		write_object(model, object);
}

static void op_read(struct model *model)
{
	struct object *object = pick(model);

	if (object)
		read_object(model, object);
}

static void op_pin(struct model *model)
{
	struct object *object = pick(model);

	if (!object || model->pins == MAX_PINS)
		return;
	object->pinned = zs_obj_read_begin(model->pool, object->handle, object->size, NULL);
	assert_non_null(object->pinned);
	model->pins++;
	pins++;
}

/* What was pinned has stayed where it was, whatever was done since. */
static void op_unpin(struct model *model)
{
	for (size_t i = 0; i < model->objects; i++) {
		struct object *object = &model->object[i];

		if (!object->pinned)
			continue;
		assert_content(object, object->pinned);
		zs_obj_read_end(model->pool, object->handle, object->size, object->pinned);
		object->pinned = NULL;
		model->pins--;
		pins--;
		return;
	}
}

static void op_free(struct model *model)
{
	struct object *object = pick(model);

	if (object)
		zs_free(model->pool, forget(model, object));
}

static void op_free_deferred(struct model *model)
{
	struct object *object = pick(model);

	if (!object)
		return;
	zs_free_deferred(model->pool, forget(model, object));
	deferred++;
}

/* As a process that exits: many at once, here in the order of their creation or about that. */
static void op_free_deferred_run(struct model *model)
{
	for (uint64_t run = run_length(model); run && model->objects; run--) {
		struct object *object = &model->object[model->objects - 1];

		if (object->pinned)
			return;
		zs_free_deferred(model->pool, forget(model, object));
		deferred++;
	}
}

static void op_free_bulk(struct model *model)
{
	unsigned long handles[MAX_RUN];
	size_t count = run_length(model);

	for (size_t i = 0; i < count; i++) {
		struct object *object = pick(model);

		/* What is not an object is ignored. */
		handles[i] = object ? forget(model, object) : i % 2 ? 0 : (unsigned long)-ENOMEM;
	}
	zs_free_bulk(model->pool, handles, count);
}

static void op_flush(struct model *model)
{
	zs_free_deferred_flush(model->pool);
}

/* A pin of any pool may have the count of this pool's objects, and keep them in place. */
static void unpin_all(void)
{
	for (unsigned int i = 0; i < POOLS; i++)
		while (models[i]->pins)
			op_unpin(models[i]);
}

static void op_compact(struct model *model)
{
	unsigned long before, freed;

	if (below(model, 2))
		unpin_all();
	pool_pause(model->pool);
	zs_free_deferred_flush(model->pool);
	before = zs_get_total_pages(model->pool);
	freed = zs_compact(model->pool);
	model->compacted += freed;
	assert_int_equal(before - zs_get_total_pages(model->pool), freed);
	if (!pins)
		check_compacted(model->pool);
	pool_resume(model->pool);
}

/* What one of the zs_stats_ functions prints; freed by the caller. */
static char *shown(struct model *model, int (*show)(struct zs_pool *pool, FILE *out))
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	assert_int_equal(show(model->pool, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static unsigned long long value_of(const char *text, const char *name)
{
	unsigned long long value = 0;
	const char *line = strstr(text, name);

	assert_non_null(line);
	assert_int_equal(sscanf(line + strlen(name), ": %llu", &value), 1);
	return value;
}

/* Every deferred free was queued or is a fallback; nothing waits after a flush. */
static void op_stats_deferred(struct model *model)
{
	bool flush = below(model, 2);
	char *text;

	/* A batch of a drain is counted as drained, and then as no longer pending. */
	pool_pause(model->pool);
	if (flush)
		zs_free_deferred_flush(model->pool);
	text = shown(model, zs_stats_deferred);
	pool_resume(model->pool);
	assert_int_equal(value_of(text, "capacity"), CAPACITY);
	assert_true(value_of(text, "pending") <= CAPACITY + LAG);
	assert_int_equal(value_of(text, "queued") + value_of(text, "fallbacks_full") +
				 value_of(text, "fallbacks_contended") +
				 value_of(text, "fallbacks_no_memory"),
			 deferred);
	if (flush) {
		assert_int_equal(value_of(text, "pending"), 0);
		assert_int_equal(value_of(text, "drained"), value_of(text, "queued"));
	}
	free(text);
}

static void op_stats_classes(struct model *model)
{
	unsigned long long allocated, used, pages, freeable;
	char *text, *total;

	zs_free_deferred_flush(model->pool);
	pool_pause(model->pool);
	text = shown(model, zs_stats_classes);
	total = strstr(text, "Total");
	assert_non_null(total);
	assert_int_equal(sscanf(total,
				"Total %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u "
				"%llu %llu %llu %llu",
				&allocated, &used, &pages, &freeable),
			 4);
	assert_int_equal(used, model->objects);
	assert_true(allocated >= used);
	assert_int_equal(pages, zs_get_total_pages(model->pool));
	assert_true(freeable <= pages);
	free(text);
	pool_resume(model->pool);
}

static void op_check(struct model *model)
{
	struct zs_pool_stats stats;

	check_invariants(model->pool, model->objects, pins);
	zs_pool_stats(model->pool, &stats);
	assert_int_equal(stats.pages_compacted, model->compacted);
	assert_int_equal(stats.misuses, 0);
}

static void op_read_all(struct model *model)
{
	for (size_t i = 0; i < model->objects; i++)
		read_object(model, &model->object[i]);
}

/* clang-format off */
static const struct {
	unsigned int weight;
	void (*run)(struct model *model);
} operations[] = {
	{ 2400, op_malloc },
	{ 200, op_write },
	{ 600, op_read },
	{ 40, op_pin },
	{ 40, op_unpin },
	{ 250, op_free },
	{ 500, op_free_deferred },
	{ 1, op_free_deferred_run },
	{ 1, op_free_bulk },
	{ 8, op_flush },
	{ 4, op_compact },
	{ 4, op_stats_deferred },
	{ 4, op_stats_classes },
	{ 2, op_check },
	{ 1, op_read_all },
};
/* clang-format on */

#define KINDS (sizeof(operations) / sizeof(operations[0]))

static void operate(struct model *model)
{
	unsigned int weights = 0;
	uint64_t choice;
	size_t kind = 0;

	for (size_t i = 0; i < KINDS; i++)
		weights += operations[i].weight;
	choice = below(model, weights);
	while (choice >= operations[kind].weight)
		choice -= operations[kind++].weight;
	operations[kind].run(model);
}

static struct model *model_create(const struct zs_pool_options *options, uint64_t random)
{
	struct model *model = calloc(1, sizeof(*model));

	assert_non_null(model);
	model->random = random;
	model->pool = zs_create_pool_with("model", options);
	assert_non_null(model->pool);
	return model;
}

/* Free all that is left, each way in turn: then nothing is. */
static void model_destroy(struct model *model)
{
	while (model->pins)
		op_unpin(model);
	op_check(model);
	op_read_all(model);
	while (model->objects) {
		op_free(model);
		op_free_deferred(model);
		op_free_bulk(model);
	}
	check_empty(model->pool);
	zs_destroy_pool(model->pool);
	free(model);
}

static void test_pools_do_as_the_model(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const struct zs_pool_options options[POOLS] = {
		{ .deferred_budget = CAPACITY * page },
		{ .deferred_budget = 64 * page, .deferred_delay_ms = 1, .max_chain = 4 },
		{ .deferred_budget = 1024 * page, .deferred_delay_ms = 3600 * 1000 },
		{ .deferred_budget = 1 * page, .max_chain = 1 },
	};
	uint64_t random = random_seed();

	(void)state;
	for (unsigned int i = 0; i < POOLS; i++) {
		struct zs_pool_options own = options[i];

		own.size = sizeof(own);
		own.misuse = ZS_MISUSE_COUNT;
		own.compact_share = ZS_COMPACT_NEVER; /* the model counts what compaction frees */
		models[i] = model_create(&own, random + i);
	}
	for (unsigned long i = random_operations(OPERATIONS / TEST_LESS); i; i--)
		operate(models[next_random(&random) % POOLS]);
	for (unsigned int i = 0; i < POOLS; i++)
		model_destroy(models[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pools_do_as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
