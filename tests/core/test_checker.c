/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The checker of a debug build (src/check.c) finds each of ten corruptions of a pool. Each is made,
 * told, and mended again.
 */
#include "helpers.h"

#include "pool.h"

#ifdef ZS_DEBUG

static struct zs_pool *pool;
static unsigned long handle;
static struct zspage *zspage;
static struct zspage_ref *ref;
static atomic64_t *entry;

static void setup(void)
{
	u64 word;

	pool = make_lazy_pool();
	for (unsigned int i = 0; i < 10; i++)
		handle = object_make(pool, 1000, i);
	entry = handle_entry(&runtime.handles, handle_name(handle));
	word = (u64)atomic64_read(entry);
	ref = zspage_ref(&runtime.zspages, entry_zspage(word));
	zspage = ref->zspage;
	assert_null(pool_fault(pool));
}

static void assert_found(const char *told)
{
	const char *fault = pool_fault(pool);

	assert_non_null(fault);
	if (!strstr(fault, told))
		fail_msg("\"%s\" was told, not \"%s\"", fault, told);
}

/* Makes a corruption, has it found, and takes it back. */
#define CORRUPT(what, corruption, told)                                                            \
	do {                                                                                       \
		__typeof__(what) kept = (what);                                                    \
		corruption;                                                                        \
		assert_found(told);                                                                \
		(what) = kept;                                                                     \
		assert_null(pool_fault(pool));                                                     \
	} while (0)

static void test_corruptions(void **state)
{
	struct size_class *class;
	u32 slots;

	(void)state;
	setup();
	class = zspage->class;
	CORRUPT(zspage->used[0], zspage->used[0] |= 1ULL << 20, "bitmap");
	CORRUPT(zspage->inuse, zspage->inuse++, "bitmap");
	CORRUPT(class->objects, class->objects++, "objects");
	CORRUPT(class->zspages, class->zspages--, "zspages");
	CORRUPT(class->held, class->held += 3, "pages held");
	CORRUPT(ref->where, ref->where |= WHERE_FROZEN, "frozen");
	CORRUPT(ref->where, ref->where ^= 4096, "base");
	CORRUPT(ref->where, ref->where ^= 1ULL << WHERE_CLASS_SHIFT, "where");
	CORRUPT(*entry, atomic64_set(entry, entry_make_dead(atomic64_read(entry), pool->tag)),
		"dead");
	CORRUPT(*entry, atomic64_set(entry, atomic64_read(entry) ^ 1ULL << ENTRY_SLOT_SHIFT),
		"points elsewhere");
	CORRUPT(*entry, atomic64_set(entry, atomic64_read(entry) ^ 1ULL << ENTRY_LOCK_SHIFT),
		"lock");
	CORRUPT(zspage_handles(zspage)[0], zspage_handles(zspage)[0]++, "points elsewhere");
	CORRUPT(zspage_handles(zspage)[0], zspage_handles(zspage)[0] = ~0U, "no entry has");
	slots = class->geometry.slots;
	CORRUPT(zspage->used[slots / 64], zspage->used[slots / 64] |= 1ULL << slots % 64,
		"behind the last");
	CORRUPT(ref->zspage, ref->zspage = zspage + 1, "of another zspage");
	CORRUPT(zspage->class, zspage->class ++, "of another class");
	CORRUPT(zspage->next, (zspage->next = zspage), "lead back");
	class->group[ZS_FULL] = class->group[0];
	class->group[0] = NULL;
	assert_found("another group");
	class->group[0] = class->group[ZS_FULL];
	class->group[ZS_FULL] = NULL;
	assert_null(pool_fault(pool));
	zs_destroy_pool(pool);
}

#else

static void test_corruptions(void **state)
{
	(void)state;
	skip();
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corruptions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
