/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* depot.c -- whole batches of free plain blocks, between the stacks and the pages of a class.
 *
 * Owns:    the depot fields of struct shard_class.
 * Calls:   meta.c.  Beside shard.c, which it gives to and takes from.
 * Locks:   held on entry: the class lock.  Takes: meta.
 * Always:  its blocks are as in a stack: their pages call them taken, and each has its stack key.
 * Why:     a batch that goes through its pages costs 5 ns a block, for bits, keys and pages that empty and begin
 *          anew; as pointers it costs a fifth.  Batches of 1,000 blocks of 64 bytes: 13.8 ns a pair, with it 5. */
#include "depot.h"
#include "hot.h"

#include "small.h"

enum {
    DEPOT_BYTES = 65536, /* of blocks in one class, */
    DEPOT_BLOCKS = 1024, /* at most so many */
    DEPOT_LEAST = 16,    /* a class of which fewer fit has none */
    DEPOT_FIRST = 64,    /* what it may hold at first */
    LOOK_MS = 50,
    DRAINS = 16,         /* flushes in a row */
};

uint32_t ph_depot_cap(unsigned kind)
{
    const uint32_t cap = DEPOT_BYTES / ph_class_bytes[kind_class(kind)];
    return cap > DEPOT_BLOCKS ? DEPOT_BLOCKS : cap < DEPOT_LEAST ? 0 : cap;
}

static void depot_count_set(struct shard_class *sc, uint32_t count)
{
    __atomic_store_n(&sc->depot_count, count, __ATOMIC_RELAXED);
    sc->depot_thrice = 3 * count; /* no flip of one bit makes it another's */
}

/* Without the lock: about how many of so many it can take.  Where they would go is asked for meanwhile. */
uint32_t ph_depot_room(const struct shard_class *sc, uint32_t count)
{
    const uint32_t most = __atomic_load_n(&sc->depot_most, __ATOMIC_RELAXED), have = __atomic_load_n(&sc->depot_count, __ATOMIC_RELAXED);
    const uint32_t room = most > have ? most - have : 0;
    return room < count ? room : count;
}

/* Takes the first of `count` blocks, up to `wish`; how many. */
uint32_t ph_depot_give(struct heap *hp, struct shard_class *sc, void *const *blocks, uint32_t count, uint32_t wish)
{
    const uint32_t room = sc->depot_most - sc->depot_count, come = wish < room ? wish : room;
    ph_words_copy(sc->depot + sc->depot_count, blocks, come);
    if (come > 0) {
        depot_count_set(sc, sc->depot_count + come);
        ph_idle(hp);
    }
    sc->flushed |= come < count;
    if (come < count && sc->drain < DRAINS)
        __atomic_store_n(&sc->drain, sc->drain + 1, __ATOMIC_RELAXED);
    return come;
}

/* Much is freed in this class, and nothing taken. */
bool ph_depot_drains(struct heap *hp, unsigned kind)
{
    return __atomic_load_n(&hp->shard->class[kind - KIND_PLAIN].drain, __ATOMIC_RELAXED) >= DRAINS;
}

/* The newest, up to `want`; how many. */
uint32_t ph_depot_take(struct shard_class *sc, void **out, uint32_t want)
{
    const uint32_t got = want < sc->depot_count ? want : sc->depot_count;
    ph_words_copy(out, sc->depot + (sc->depot_count - got), got);
    if (got > 0)
        depot_count_set(sc, sc->depot_count - got);
    if (sc->depot_count < sc->depot_low)
        sc->depot_low = sc->depot_count;
    return got;
}

/* A class whose blocks went to their pages and are wanted again: next time more of them stay here.  Its array is made
 * late: few classes of a small program ever need one. */
void ph_depot_missed(struct shard_class *sc, unsigned kind)
{
    const uint32_t cap = ph_depot_cap(kind);
    const bool grows = sc->flushed && sc->depot_most < cap;
    sc->flushed = false;
    __atomic_store_n(&sc->drain, 0, __ATOMIC_RELAXED);
    if (!grows)
        return;
    if (sc->depot == NULL && (sc->depot = ph_meta_take(cap * sizeof *sc->depot)) == NULL)
        return;
    const uint32_t more = sc->depot_most * 2 > DEPOT_FIRST ? sc->depot_most * 2 : DEPOT_FIRST;
    __atomic_store_n(&sc->depot_most, more < cap ? more : cap, __ATOMIC_RELAXED);
}

/* Now and then: what nobody missed since the last time is too much.  Whether it was looked at. */
bool ph_depot_look(struct heap *hp)
{
    if (hp->shard == NULL || __atomic_load_n(&hp->shard->idle, __ATOMIC_RELAXED) == 0)
        return false;
    const uint64_t now = ph_os_clock_ms(), before = __atomic_load_n(&hp->shard->idle_ms, __ATOMIC_RELAXED);
    if (now - before < LOOK_MS)
        return false;
    __atomic_store_n(&hp->shard->idle_ms, now, __ATOMIC_RELAXED);
    return true;
}

/* How many are too many now.  The next count begins. */
uint32_t ph_depot_excess(struct shard_class *sc)
{
    const uint32_t low = sc->depot_low;
    __atomic_store_n(&sc->depot_most, sc->depot_most - low / 2, __ATOMIC_RELAXED);
    sc->depot_low = sc->depot_count - low;
    return low;
}

/* What a heap that ended leaves to the next of its descriptor. */
void ph_depot_forget(struct shard_class *sc)
{
    *sc = (struct shard_class){.depot = sc->depot};
}
