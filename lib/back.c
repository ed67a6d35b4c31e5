/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* back.c -- wholly free pages that a class keeps back.
 *
 * Owns:    the fields `empty`, `kept`, `kept_most`, `kept_low` and `dropped` of struct shard_class; `next` of these pages.
 * Calls:   page.c.  Beside shard.c, which it gives to and takes from.
 * Locks:   held on entry: the class lock.  Takes: span, map, meta, in that order.
 * Always:  a page kept back is wholly free and in no other list; `kept` is the units of all of them.
 * Why:     making a page anew takes the heap's lock while the class's is held, and writes a key into each block of it:
 *          2,000 to 16,000 cycles in which no other thread has a block of the class.  Where batches go from thread to
 *          thread that was the half of all the time that class locks were held.  So a class that gave pages away and
 *          then wants one keeps more next time; what nobody missed for a while goes. */
#include "depot.h"
#include "hot.h"
#include "valid.h"

#include "small.h"

enum {
    SPARE_UNITS = 4,       /* a page so small is kept by any class */
    KEPT_LEAST_UNITS = 64, /* 256 KB, or */
    KEPT_PART = 8,         /* such a part of the class: more is kept by none */
};

/* Who ages a heap looks at it without the lock. */
static void kept_set(struct shard_class *sc, uint32_t units) { __atomic_store_n(&sc->kept, units, __ATOMIC_RELAXED); }

struct span *ph_back_take(struct shard_class *sc)
{
    if (sc->empty == SPAN_NONE)
        return NULL;
    struct span *pg = ph_span_at(sc->empty);
    sc->empty = pg->next;
    pg->next = SPAN_NONE;
    kept_set(sc, sc->kept - (uint32_t)pg->units);
    if (sc->kept < sc->kept_low)
        sc->kept_low = sc->kept;
    return pg;
}

void ph_back_drop(struct heap *hp, struct shard_class *sc, uint32_t units)
{
    while (sc->kept > units) {
        struct span *pg = ph_back_take(sc);
        sc->units -= (uint32_t)pg->units;
        sc->dropped = true;
        ph_page_drop(hp, pg);
    }
}

static uint32_t kept_cap(const struct shard_class *sc)
{
    return sc->units / KEPT_PART > KEPT_LEAST_UNITS ? sc->units / KEPT_PART : KEPT_LEAST_UNITS;
}

/* One stays in any case, if it is small or the class is busy, because making a page costs as much as 30 blocks. */
void ph_back_give(struct heap *hp, struct shard_class *sc, struct span *pg)
{
    const uint32_t units = (uint32_t)pg->units, cap = kept_cap(sc);
    const uint32_t one = units <= SPARE_UNITS || sc->units > 4 * units ? units : 0;
    const uint32_t most = sc->kept_most < cap ? sc->kept_most : cap;
    pg->next = sc->empty;
    sc->empty = pg->self;
    kept_set(sc, sc->kept + units);
    ph_back_drop(hp, sc, most > one ? most : one);
    ph_idle(hp);
}

void ph_back_missed(struct shard_class *sc, unsigned units)
{
    if (!sc->dropped)
        return;
    const uint32_t more = sc->kept_most == 0 ? 2 * units : 2 * sc->kept_most, cap = kept_cap(sc);
    sc->kept_most = more < cap ? more : cap;
    sc->dropped = false;
}

void ph_back_age(struct heap *hp, struct shard_class *sc)
{
    const uint32_t low = sc->kept_low, one = sc->empty != SPAN_NONE ? (uint32_t)ph_span_at(sc->empty)->units : 0;
    ph_back_drop(hp, sc, sc->kept - low > one ? sc->kept - low : one);
    sc->kept_most -= sc->kept_most < low / 2 ? sc->kept_most : low / 2;
    sc->kept_low = sc->kept;
}

/* In that list; NULL: the list is whole. */
bool ph_back_has(const struct heap *hp, unsigned kind, const struct span *pg)
{
    const struct shard_class *sc = &hp->shard->class[kind - KIND_PLAIN];
    uint32_t units = 0;
    for (uint32_t number = sc->empty; number != SPAN_NONE && units <= sc->kept;) {
        const struct span *at = ph_span_known(number);
        if (at == NULL || at->self != number || at->tag != (hp->tag | kind) || at->units == 0 || at->listed || at->free_count != at->carved)
            return false;
        if (at == pg)
            return true;
        units += (uint32_t)at->units;
        number = at->next;
    }
    return pg == NULL && units == sc->kept && sc->kept_low <= sc->kept;
}
