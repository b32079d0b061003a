/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * A zspage: a chain of pages cut into equal slots.
 *
 * All that is known of it stands in its descriptor, never in its pages, which are cold when an
 * object is freed. A descriptor is a run of cache lines in a table: the first line is all that a
 * free needs, behind it come the rest of the chain and the reverse map, from slot to handle index,
 * which compaction needs. It is named by the number of its first line.
 *
 * Descriptors are type-stable: a run of lines is a descriptor of that length for ever, so that a
 * reader that comes too late, when one has died or serves another zspage, finds a word of pins
 * there. It changes that only while the descriptor is alive, and then nothing but its count, which it
 * takes back.
 *
 * Invariant: once a descriptor is dead and its count of pins is 0, nobody writes to it but under
 * zspages.lock. So the host may discard the page that it is in: who looks there finds zeros, which is
 * a dead descriptor without pins.
 */
#ifndef ZS_ZSPAGE_H
#define ZS_ZSPAGE_H

#include "class.h"
#include "table.h"

#define ZSPAGE_LINE PORT_CACHELINE
#define ZSPAGE_NUMBER_BITS 30 /* lines of 64 bytes: 64 GiB of descriptors */
#define ZSPAGE_MAX_LINES                                                                           \
	DIV_ROUND_UP(offsetof(struct zspage, chain) + ZS_MAX_CHAIN * sizeof(void *) +              \
			     ZS_MAX_SLOTS * sizeof(u32),                                           \
		     ZSPAGE_LINE)
#define ZSPAGE_FROZEN (1 << 30) /* in the pins: it, or its objects, are being moved */
#define ZSPAGE_ALIVE (1 << 29) /* in the pins: the descriptor is in use */
#define ZSPAGE_STATE (ZSPAGE_FROZEN | ZSPAGE_ALIVE)

struct zspage {
	atomic_t pins; /* readers, plus ZSPAGE_ALIVE, and ZSPAGE_FROZEN under the class lock */
	u16 class; /* its index plus 1 while it lives, else 0; changes under that class's lock */
	u16 inuse; /* slots; this and what follows is protected by the class lock */
	u32 prev; /* in the list of a fullness group, or of dead descriptors */
	u32 next;
	u64 used[ZS_MAX_SLOTS / 64]; /* a bit a slot */
	struct port_chain chain;
};

/* What is left of a zspage of which a slot was freed. */
enum zspage_left {
	ZSPAGE_SOME,
	ZSPAGE_HALF, /* or less, and it was more: told at least once while it empties */
	ZSPAGE_NONE, /* it was the last slot: the zspage is dead, and the caller's to release */
};

/* The descriptors of one length in lines. */
struct descriptors {
	u32 dead; /* the first that can be used again; those in blank pages are not in this list */
	u32 blank; /* the first chunk with blank pages, plus 1 */
	u32 alive; /* how many are in use */
	u32 idle; /* how many are in the list of dead ones */
};

struct zspages {
	struct table lines;
	struct table chunks; /* of struct zspage_chunk: one for each chunk of lines */
	struct port_store store;
	struct port_lock lock; /* protects what follows, and the chunks */
	struct descriptors of[ZSPAGE_MAX_LINES + 1];
	u64 blank; /* pages of descriptors */
	u32 wanted; /* chunks of lines that there are, or that somebody is about to add */
	atomic64_t pages; /* that the zspages hold; needs no lock */
};

/* How a chunk of lines is cut, and which of its pages are blank: not used yet, or discarded. */
struct zspage_chunk {
	u32 lines; /* of each descriptor in it; 0 if it has none yet */
	u32 next; /* chunk with blank pages, plus 1 */
	u32 blank; /* a bit a page: every descriptor that has a part in it is dead, and in no list */
	u32 busy; /* the blank ones that are just being discarded */
};

int zspages_init(struct zspages *zspages);
void zspages_destroy(struct zspages *zspages, const struct classes *classes);
u32 zspage_create(struct zspages *zspages, const struct size_class *class, gfp_t flags, int nid);
void zspage_add(struct zspages *zspages, struct size_class *class, u32 number);
void zspage_drop(struct zspages *zspages, struct size_class *class, u32 number);
int zspage_release(struct zspages *zspages, const struct size_class *class, u32 number);

void zspage_replace(struct zspages *zspages, struct size_class *class, u32 number, u32 by);
void zspage_replaced(struct zspages *zspages, u32 number);

void zspage_unlist(struct zspages *zspages, struct size_class *class, u32 number);
u8 zspage_take(struct zspages *zspages, struct size_class *class, u32 number, u32 handle);
enum zspage_left zspage_put_slow(struct zspages *zspages, struct size_class *class, u32 number,
				 u8 last, u32 count);

u32 descriptor_alloc(struct zspages *zspages, u32 lines, gfp_t flags);
u32 descriptor_reserve(struct zspages *zspages, u32 lines, u32 from, u32 to);
void descriptor_free(struct zspages *zspages, u32 lines, u32 number);
bool descriptors_scattered(struct zspages *zspages, u32 lines);
void descriptors_trim(struct zspages *zspages);
u64 descriptors_bytes(struct zspages *zspages);
u32 zspage_next(const struct zspages *zspages, u32 number);
u32 zspage_below(const struct zspages *zspages, u32 lines, u32 number);

static inline struct zspage *zspage_at(const struct zspages *zspages, u32 number)
{
	return table_at(&zspages->lines, number, ZSPAGE_LINE);
}

/* The class of a zspage that lives. */
static inline struct size_class *zspage_class(const struct zspage *zspage,
					      const struct classes *classes)
{
	return &classes->class[zspage->class - 1];
}

/* Take the lock of the class of a zspage that has objects. NULL, and no lock, if it has none, or does not live. */
static inline struct size_class *zspage_class_lock(const struct zspage *zspage,
						   const struct classes *classes)
{
	/* Pairs with the releases in zspage_add() and zspage_replace(). */
	u32 number = smp_load_acquire(&zspage->class);
	struct size_class *class;

	if (!number)
		return NULL;
	class = &classes->class[number - 1];
	port_lock(&class->lock);
	if (READ_ONCE(zspage->class) == number && READ_ONCE(zspage->inuse))
		return class;
	port_unlock(&class->lock);
	return NULL;
}

/* The lines that a descriptor takes. */
static inline u32 zspage_lines(struct geometry geometry)
{
	size_t bytes = offsetof(struct zspage, chain) + port_chain_bytes(geometry.pages) +
		       geometry.slots * sizeof(u32);

	return (u32)DIV_ROUND_UP(bytes, ZSPAGE_LINE);
}

/* The index of the handle of the object in each slot that is used. */
static inline u32 *zspage_handles(struct zspage *zspage, const struct size_class *class)
{
	return (u32 *)((char *)&zspage->chain + port_chain_bytes(class->geometry.pages));
}

/* inuse * ZS_GROUPS / slots, for less than a division takes; below ZS_GROUPS unless it is full. */
static inline u32 zspage_group(const struct size_class *class, u32 inuse)
{
	return inuse * class->group_scale / GROUP_ONE;
}

/* Where in a zspage nothing is stored any more: the slot behind the last that is used. */
static inline u32 zspage_end(const struct zspage *zspage, const struct size_class *class)
{
	u32 word = (class->geometry.slots - 1) / 64;

	while (word && !READ_ONCE(zspage->used[word]))
		word--;
	return word * 64 + (u32)fls64(READ_ONCE(zspage->used[word]));
}

/* The pages that a zspage holds if that is its end. */
static inline u32 class_held(const struct size_class *class, u32 end)
{
	return port_chain_held(class->geometry.pages, (size_t)end * class->size);
}

static inline u32 zspage_held(const struct zspage *zspage, const struct size_class *class)
{
	return class_held(class, zspage_end(zspage, class));
}

static inline bool zspage_is_full(const struct zspage *zspage, const struct size_class *class)
{
	return zspage->inuse == class->geometry.slots;
}

/* A zspage of the fullest group that has one, or 0. Under the class lock. */
static inline u32 class_partial(const struct size_class *class)
{
	for (u32 group = ZS_GROUPS; group-- > 0;)
		if (class->partial[group])
			return class->partial[group];
	return 0;
}

/* Under the class lock: say that a slot is not used, for zspage_put_done(). */
static inline void zspage_clear(struct zspage *zspage, u8 slot)
{
	u64 *word = &zspage->used[slot / 64];

	WRITE_ONCE(*word, *word & ~(1ULL << slot % 64));
}

/**
 * zspage_put_done() - count slots of a zspage that were freed by zspage_clear().
 * @zspages: the pool's zspages
 * @class: its class
 * @zspage: the zspage
 * @number: its number
 * @last: the last of these slots
 * @count: how many they are
 *
 * Context: Under the class lock, since the first was freed.
 * Return: what is left of the zspage.
 */
static inline enum zspage_left zspage_put_done(struct zspages *zspages, struct size_class *class,
					       struct zspage *zspage, u32 number, u8 last,
					       u32 count)
{
	u32 inuse = zspage->inuse - count;

	/* Mostly a later slot is used, so that its end is where it was, and it stays in its list. */
	if (likely(zspage->used[last / 64] >> last % 64 &&
		   zspage_group(class, inuse) == zspage_group(class, inuse + count))) {
		WRITE_ONCE(zspage->inuse, (u16)inuse);
		return ZSPAGE_SOME;
	}
	return zspage_put_slow(zspages, class, number, last, count);
}

/**
 * zspage_put() - free a slot.
 * @zspages: the pool's zspages
 * @class: its class
 * @zspage: the zspage
 * @number: its number
 * @slot: one that is used
 *
 * Context: Under the class lock.
 * Return: what is left of the zspage.
 */
static inline enum zspage_left zspage_put(struct zspages *zspages, struct size_class *class,
					  struct zspage *zspage, u32 number, u8 slot)
{
	zspage_clear(zspage, slot);
	return zspage_put_done(zspages, class, zspage, number, slot, 1);
}

/*
 * Keep a zspage's objects from moving, unless they are just being moved or the zspage is dead. No lock.
 * The acquire pairs with the release of zspage_thaw(): who pins after it sees where objects went.
 */
static inline bool zspage_pin(struct zspage *zspage)
{
	int pins = atomic_read(&zspage->pins);

	/*
	 * A dead one is not even written what was there: its page may be one that is discarded. (If it dies
	 * between the look and the exchange the page is there again, zeroed, until it is discarded again.)
	 */
	while (likely((pins & ZSPAGE_STATE) == ZSPAGE_ALIVE)) {
		int seen = atomic_cmpxchg_acquire(&zspage->pins, pins, pins + 1);

		if (likely(seen == pins))
			return true;
		pins = seen;
	}
	return false;
}

/*
 * Pairs with the acquire of zspage_freeze(): what was done under the pin is done; and with that of
 * zspage_is_idle(): nothing more is done to what has died meanwhile.
 */
static inline void zspage_unpin(struct zspage *zspage)
{
	atomic_fetch_sub_release(1, &zspage->pins);
}

static inline int zspage_pins(const struct zspage *zspage)
{
	return atomic_read(&zspage->pins) & ~ZSPAGE_STATE;
}

static inline bool zspage_is_alive(const struct zspage *zspage)
{
	return atomic_read(&zspage->pins) & ZSPAGE_ALIVE;
}

/* Whether it is dead and nobody will write to it. Pairs with zspage_unpin(). */
static inline bool zspage_is_idle(const struct zspage *zspage)
{
	return !atomic_read_acquire(&zspage->pins);
}

/* Under the class lock: have the zspage to oneself, if nobody has pinned it. */
static inline bool zspage_freeze(struct zspage *zspage)
{
	return atomic_cmpxchg_acquire(&zspage->pins, ZSPAGE_ALIVE, ZSPAGE_STATE) == ZSPAGE_ALIVE;
}

static inline void zspage_thaw(struct zspage *zspage)
{
	atomic_fetch_sub_release(ZSPAGE_FROZEN, &zspage->pins);
}

#endif /* ZS_ZSPAGE_H */
