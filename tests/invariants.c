/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The invariants of a pool: see invariants.h. This reaches into all of the core but the deferred
 * queue's lanes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "helpers.h"
#include "invariants.h"
#include "pool.h"

/* What was met while walking the zspages. */
struct tally {
	u64 zspages;
	u64 objects;
	u64 pages;
	u64 pins;
	u64 partial; /* zspages that should be in a list */
};

unsigned long host_make(struct zs_pool *pool, size_t size, uint64_t key)
{
	unsigned long handle = object_make(pool, size, key);
	unsigned long host = handle;

	if (!deferred_may_host(handle)) {
		host = host_make(pool, size, key);
		zs_free(pool, handle);
	}
	return host;
}

void pool_pause(struct zs_pool *pool)
{
	port_worker_stop(&pool->worker);
}

void pool_resume(struct zs_pool *pool)
{
	struct port_worker *worker = &pool->worker;

	assert_int_equal(port_worker_init(worker, worker->run, worker->arg), 0);
	port_worker_kick(worker, 0); /* it may have been about to run */
}

/* The used slots are as many as counted, and each is where its handle's entry says. */
static void check_slots(struct zs_pool *pool, struct size_class *class, u32 number)
{
	struct zspage *zspage = zspage_at(&pool->zspages, number);
	const u32 *handles = zspage_handles(zspage, class);
	u32 used = 0;

	for (u32 slot = 0; slot < ZS_MAX_SLOTS; slot++) {
		u64 entry;

		if (!(zspage->used[slot / 64] >> slot % 64 & 1))
			continue;
		assert_true(slot < class->geometry.slots);
		entry = handle_word(&pool->handles, handles[slot]);
		assert_true(entry & ENTRY_LIVE);
		assert_int_equal(entry_zspage(entry), number);
		assert_int_equal(entry_class(entry), class->index);
		assert_int_equal(entry_slot(entry), slot);
		used++;
	}
	assert_int_equal(used, zspage->inuse);
}

static void check_zspages(struct zs_pool *pool, struct size_class *class, struct tally *tally)
{
	for (u32 number = 0; (number = zspage_next(&pool->zspages, number));) {
		const struct zspage *zspage = zspage_at(&pool->zspages, number);

		if (zspage->class != class->index + 1)
			continue;
		check_slots(pool, class, number);
		assert_int_equal(atomic_read(&zspage->pins) & ZSPAGE_STATE, ZSPAGE_ALIVE);
		tally->zspages++;
		tally->objects += zspage->inuse;
		tally->pages += zspage_held(zspage, class);
		tally->pins += (u64)zspage_pins(zspage);
		tally->partial += !zspage_is_full(zspage, class);
	}
}

/* A zspage that is not full is in the list of its group, once; no other is in a list. */
static void check_lists(struct zs_pool *pool, const struct size_class *class, u64 partial)
{
	u64 listed = 0;

	for (u32 group = 0; group < ZS_GROUPS; group++) {
		u32 prev = 0;

		for (u32 number = class->partial[group]; number;) {
			const struct zspage *zspage = zspage_at(&pool->zspages, number);

			assert_int_equal(zspage->class, class->index + 1);
			assert_false(zspage_is_full(zspage, class));
			assert_int_equal(zspage_group(class, zspage->inuse), group);
			assert_int_equal(zspage->prev, prev);
			assert_true(++listed <= partial);
			prev = number;
			number = zspage->next;
		}
	}
	assert_int_equal(listed, partial);
}

static struct tally check_classes(struct zs_pool *pool)
{
	struct tally all = { .zspages = 0 };

	for (u32 i = 0; i < pool->classes.count; i++) {
		struct size_class *class = &pool->classes.class[i];
		struct tally tally = { .zspages = 0 };

		check_zspages(pool, class, &tally);
		check_lists(pool, class, tally.partial);
		assert_int_equal(tally.zspages, class->zspages);
		assert_int_equal(tally.objects, class->objects);
		all.zspages += tally.zspages;
		all.objects += tally.objects;
		all.pages += tally.pages;
		all.pins += tally.pins;
	}
	return all;
}

static u64 live_of(struct zs_pool *pool, u32 block)
{
	u64 live = 0;

	for (u32 i = 0; i < HANDLE_BLOCK; i++) {
		live |= (handle_word(&pool->handles, block * HANDLE_BLOCK + i) & ENTRY_LIVE) << i;
	}
	return live;
}

static u64 stocked_of(const struct zs_pool *pool, u32 block)
{
	u64 stocked = 0;

	for (unsigned int i = 0; i < pool->handles.lanes.count; i++) {
		const struct handle_lane *lane = gates_lane(&pool->handles.lanes, i);
		const struct handle_stock *stocks[] = { &lane->stock, &lane->freed };

		for (unsigned int j = 0; j < 2; j++) {
			if (!stocks[j]->free || stocks[j]->block != block)
				continue;
			assert_int_equal(stocked & stocks[j]->free, 0);
			stocked |= stocks[j]->free;
		}
	}
	return stocked;
}

/* Each entry is live, or in a lane's stock, or free, and only one of these. Returns the live. */
static u64 check_handles(struct zs_pool *pool)
{
	struct handles *handles = &pool->handles;
	u64 live_entries = 0, blocks_free = 0, blocks_listed = 0, listed = 0, listed_free = 0;

	for (u32 number = 1; number < handles->next_block; number++) {
		const struct handle_block *block =
			table_at(&handles->blocks, number, sizeof(*block));
		u64 live = live_of(pool, number);
		u64 stocked = stocked_of(pool, number);
		u64 free = atomic64_read(&block->free);

		assert_int_equal(live & free, 0);
		assert_int_equal(live & stocked, 0);
		assert_int_equal(stocked & free, 0);
		assert_int_equal(live | stocked | free, ~0ULL);
		live_entries += (u64)__builtin_popcountll(live);
		blocks_free += free != 0 && !block->folded;
		blocks_listed += block->listed;
	}
	for (u32 number = handles->available; number;) {
		const struct handle_block *block =
			table_at(&handles->blocks, number, sizeof(*block));

		assert_true(block->listed);
		assert_true(++listed <= blocks_listed);
		if (!block->folded) {
			assert_int_not_equal(atomic64_read(&block->free), 0);
			listed_free++;
		}
		number = block->next;
	}
	assert_int_equal(listed, blocks_listed);
	assert_int_equal(listed_free, blocks_free);
	return live_entries;
}

static int by_base(const void *left, const void *right)
{
	const struct port_chain *a = left, *b = right;

	return a->base < b->base ? -1 : a->base > b->base;
}

struct extent {
	struct port_chain chain; /* first, to be sorted by its base */
	size_t bytes;
};

/* No two zspages share memory. */
static void check_chains(const struct zs_pool *pool, u64 zspages)
{
	struct extent *extents = calloc(zspages + 1, sizeof(*extents));
	u64 count = 0;

	assert_non_null(extents);
	for (u32 number = 0; (number = zspage_next(&pool->zspages, number));) {
		const struct zspage *zspage = zspage_at(&pool->zspages, number);

		assert_true(count < zspages);
		extents[count].chain = zspage->chain;
		extents[count++].bytes =
			zspage_class(zspage, &pool->classes)->geometry.pages * PORT_PAGE_SIZE;
	}
	qsort(extents, count, sizeof(*extents), by_base);
	for (u64 i = 1; i < count; i++)
		assert_true(extents[i - 1].chain.base + extents[i - 1].bytes <=
			    extents[i].chain.base);
	free(extents);
}

#define CHUNK_LINES ((u32)(PORT_CHUNK_SIZE / ZSPAGE_LINE))

static const struct zspage_chunk *chunk_of(const struct zspages *zspages, u32 number)
{
	return table_at(&zspages->chunks, number / CHUNK_LINES, sizeof(struct zspage_chunk));
}

/* Whether a descriptor has a part in a blank page. */
static bool is_blank(const struct zspages *zspages, u32 number)
{
	const struct zspage_chunk *chunk = chunk_of(zspages, number);

	for (u32 line = number % CHUNK_LINES; line < number % CHUNK_LINES + chunk->lines; line++)
		if (chunk->blank >> line * ZSPAGE_LINE / PORT_PAGE_SIZE & 1)
			return true;
	return false;
}

/* Each descriptor of a chunk is a zspage's, or in a blank page, or it is dead. Counts them. */
static void check_chunk(const struct zspages *zspages, u32 chunk, struct descriptors *count)
{
	u32 lines = chunk_of(zspages, chunk * CHUNK_LINES)->lines;

	assert_int_equal(chunk_of(zspages, chunk * CHUNK_LINES)->busy, 0);
	for (u32 line = 1; line + lines <= CHUNK_LINES; line += lines) {
		const struct zspage *zspage = zspage_at(zspages, chunk * CHUNK_LINES + line);

		if (is_blank(zspages, chunk * CHUNK_LINES + line))
			continue;
		assert_int_equal(zspage_is_alive(zspage), zspage->class != 0);
		if (zspage->class)
			count[lines].alive++;
		else
			count[lines].idle++;
	}
}

/* So many dead descriptors of a length can be had, each once. */
static void check_dead(const struct zspages *zspages, u32 lines, u32 idle)
{
	u32 listed = 0, prev = 0;

	for (u32 number = zspages->of[lines].dead; number;) {
		const struct zspage *zspage = zspage_at(zspages, number);

		assert_int_equal(chunk_of(zspages, number)->lines, lines);
		assert_false(is_blank(zspages, number));
		assert_false(zspage_is_alive(zspage));
		assert_int_equal(zspage->prev, prev);
		assert_true(++listed <= idle);
		prev = number;
		number = zspage->next;
	}
	assert_int_equal(listed, idle);
	assert_int_equal(zspages->of[lines].idle, idle);
}

/* So many chunks of a length are in the list of those with blank pages, each once. */
static void check_blank(const struct zspages *zspages, u32 lines, u32 chunks)
{
	u32 listed = 0;

	for (u32 next = zspages->of[lines].blank; next;) {
		const struct zspage_chunk *chunk = chunk_of(zspages, (next - 1) * CHUNK_LINES);

		assert_int_equal(chunk->lines, lines);
		assert_int_not_equal(chunk->blank, 0);
		assert_true(++listed <= chunks);
		next = chunk->next;
	}
	assert_int_equal(listed, chunks);
}

static void check_descriptors(const struct zspages *zspages)
{
	struct descriptors count[ZSPAGE_MAX_LINES + 1] = { { .dead = 0 } };
	u64 blank = 0;

	for (u32 i = 0; i < table_size(&zspages->lines, PORT_CHUNK_SIZE); i++) {
		const struct zspage_chunk *chunk = chunk_of(zspages, i * CHUNK_LINES);

		assert_in_range(chunk->lines, 1, ZSPAGE_MAX_LINES);
		check_chunk(zspages, i, count);
		blank += (u64)__builtin_popcount(chunk->blank);
		count[chunk->lines].blank += chunk->blank != 0;
	}
	assert_int_equal(zspages->blank, blank);
	assert_int_equal(zspages->wanted, table_size(&zspages->lines, PORT_CHUNK_SIZE));
	for (u32 lines = 1; lines <= ZSPAGE_MAX_LINES; lines++) {
		assert_int_equal(zspages->of[lines].alive, count[lines].alive);
		check_dead(zspages, lines, count[lines].idle);
		check_blank(zspages, lines, count[lines].blank);
	}
}

/* Nothing waits, so no chunk holds credit. */
static void check_deferred(const struct zs_pool *pool)
{
	struct deferred_stats stats;

	deferred_stats(&pool->deferred, &stats);
	assert_int_equal(stats.pending, 0);
	assert_int_equal(stats.queued, stats.drained);
	assert_int_equal(atomic64_read(&pool->deferred.taken), 0);
	assert_null(pool->deferred.full);
}

void check_invariants(struct zs_pool *pool, uint64_t objects, uint64_t pins)
{
	struct tally all;

	zs_free_deferred_flush(pool);
	pool_pause(pool);
	check_deferred(pool);
	all = check_classes(pool);
	assert_int_equal(all.objects, objects);
	assert_int_equal(all.pins, pins);
	assert_int_equal(all.pages, zs_get_total_pages(pool));
	assert_int_equal(check_handles(pool), objects);
	check_chains(pool, all.zspages);
	check_descriptors(&pool->zspages);
	pool_resume(pool);
}

void check_compacted(struct zs_pool *pool)
{
	for (u32 i = 0; i < pool->classes.count; i++) {
		const struct size_class *class = &pool->classes.class[i];

		assert_true(class->zspages * class->geometry.slots <
			    class->objects + class->geometry.slots);
	}
}

void check_empty(struct zs_pool *pool)
{
	const struct port_store *store = &pool->zspages.store;

	check_invariants(pool, 0, 0);
	zs_compact(pool); /* zspages that were made and never used */
	assert_int_equal(zs_get_total_pages(pool), 0);
	pool_pause(pool);
	for (u32 pages = 0; pages <= STORE_MAX_CHAIN; pages++)
		assert_null(store->at[0].partial[pages]);
	port_store_trim(&pool->zspages.store, true);
	assert_int_equal(store->dirty_pages, 0);
	assert_null(store->at[0].empty_dirty);
	pool_resume(pool);
}
