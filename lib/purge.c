/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* purge.c -- dirty free memory goes back to the system: how much at once, the rest by age.
 *
 * Owns:    peak_units, low_units, low_ms, swing_units, shed_units, purge_ms, gives; the state of a free span when it is purged.
 * Calls:   region.c, os.c, options.  Beside span.c, whose bins it reads.
 * Locks:   held on entry: the span lock (but for ph_purge_all, which takes it).
 * Why:     to give an OS page back and to touch it again costs as much as 400 blocks; memory that
 *          was live a moment ago will be so again. */
#include "hot.h"
#include "options.h"
#include "valid.h"

#include "small.h"

enum {
    SWEEP_SPANS = 64, /* in one sweep by age: the lock is held meanwhile */
    DIRTY_PART = 20,  /* so much of what is live may be dirty, if that is more than DIRTY_UNITS */
    LONG_PART = 16,   /* of what is live: so much may be dirty before long spans go at once */
    SMALL_UNITS = (10 << 20) / UNIT_BYTES, /* a heap of up to so much may have half as much again dirty, but no more than */
    AGAIN_UNITS = (8 << 20) / UNIT_BYTES,  /* this; larger ones less and less */
};

/* The units that a purge of a dirty free span gives back: whole OS pages, outwards from what is dirty as far as the
 * span reaches, never beyond it.  From *first, in the span. */
uint32_t ph_purge_units(const struct span *sp, uint32_t *first)
{
    const uint64_t most = (ph_os_page_bytes() >> UNIT_BITS) - 1; /* units of an OS page, less one */
    const uint64_t start = sp->start, end = start + sp->units;
    uint64_t from = (start + sp->dirty_first) & ~most, to = (start + sp->dirty_first + sp->dirty_count + most) & ~most;
    from += from < start ? most + 1 : 0;
    to -= to > end ? most + 1 : 0;
    *first = (uint32_t)(from - start);
    return from < to ? (uint32_t)(to - from) : 0;
}

/* Units of a span, from its start. */
static void units_clear(const struct span *sp, uint32_t from, uint32_t to)
{
    if (from < to)
        ph_bytes_zero(ph_unit_address(sp->start + from), (size_t)(to - from) << UNIT_BITS);
}

/* What is dirty at the ends of the span shares its OS pages with others and stays memory; it is made zero by hand.  Else
 * each neighbour that joins later would make one dirty range of it all, to be purged again. */
static void span_purge(struct heap *hp, struct span *sp)
{
    uint32_t first;
    const uint32_t count = ph_purge_units(sp, &first);
    if (ph_os_purge(ph_unit_address(sp->start + first), (size_t)count << UNIT_BITS) != 0)
        return;
    ph_region_purged(hp, ph_unit_address(sp->start + first), (size_t)count << UNIT_BITS);
    units_clear(sp, sp->dirty_first, first);
    units_clear(sp, first + count, sp->dirty_first + sp->dirty_count);
    hp->dirty_units -= count;
    sp->state = SPAN_PURGED;
}

/* Purge dirty free spans of at least `units` that were freed `age_ms` ago or earlier, the largest
 * first, until no more than `keep` dirty units are left or `most` spans were purged. */
static void purge_bins(struct heap *hp, uint32_t units, uint32_t now, uint32_t age_ms, uint64_t keep, unsigned most)
{
    const unsigned least = span_bin(units);
    for (unsigned bin = BIN_COUNT; bin-- > least;) {
        for (uint32_t i = hp->bin[bin]; i != SPAN_NONE;) {
            struct span *sp = ph_span_at(i);
            uint32_t first;
            if (hp->dirty_units <= keep || most == 0)
                return;
            if (sp->state == SPAN_DIRTY && ph_purge_units(sp, &first) >= units && now - sp->freed_ms >= age_ms) {
                span_purge(hp, sp);
                most--;
            }
            i = sp->next;
        }
    }
}

/* What is new does not come back: it raises the low as well.  Held: the span lock. */
void ph_purge_taken(struct heap *hp, const struct span *sp)
{
    const bool recent = sp->state == SPAN_PURGED &&
                        (int32_t)((uint32_t)hp->purge_ms - sp->freed_ms) < (int32_t)ph_option(OPT_PURGE_DELAY);
    if (sp->state == SPAN_DIRTY)
        hp->low_units += sp->units - sp->dirty_count;
    else if (!recent)
        hp->low_units += sp->units;
    hp->shed_units -= hp->shed_units > sp->units ? sp->units : hp->shed_units;
    if (hp->live_units > hp->peak_units)
        hp->peak_units = hp->live_units;
}

/* Who gave memory back and took it again within the delay may do so again: the most that came back lately, `swing`, may
 * stay dirty. */
static void swing_see(struct heap *hp, uint64_t now, uint32_t delay)
{
    const bool recent = now - hp->low_ms < delay;
    if (recent && hp->peak_units > hp->low_units + hp->swing_units)
        hp->swing_units = hp->peak_units - hp->low_units;
    if (recent && hp->live_units >= hp->low_units)
        return;
    hp->low_units = hp->peak_units = hp->live_units;
    hp->low_ms = now;
}

bool ph_purge_sheds(const struct heap *hp) { return __atomic_load_n(&hp->sheds, __ATOMIC_RELAXED) != 0; }

/* More was given back than is left, and the program does not come back for what it frees. */
static void shed(struct heap *hp, uint64_t units)
{
    hp->shed_units += units;
    const bool most = hp->shed_units > hp->live_units && hp->swing_units <= DIRTY_UNITS;
    __atomic_store_n(&hp->sheds, most ? FLAG_SET : 0, __ATOMIC_RELAXED);
}

/* So many units were just freed and lie in this free span.  A program that makes a block longer step by step leaves a row of
 * long ones, each too short for the next: they stay memory only if it shows that it comes back for such. */
void ph_purge_long(struct heap *hp, struct span *sp, uint32_t units)
{
    const bool comes_back = hp->long_credit >= units;
    hp->long_credit -= comes_back ? units : hp->long_credit;
    if (!comes_back && sp->state == SPAN_DIRTY && hp->dirty_units > hp->live_units / LONG_PART)
        span_purge(hp, sp);
}

/* Units that may stay dirty though nobody comes back for so many.  Sixteen blocks of 32 KB to 1 MB that are replaced in turn
 * leave gaps of as much again: with 2 MB for them a replacement cost 0.5 us, not 0.22, and 9 us, not 1.4, when written. */
static uint64_t dirty_least(const struct heap *hp)
{
    const uint64_t live = hp->live_units, part = live / DIRTY_PART;
    const uint64_t most = live < SMALL_UNITS ? AGAIN_UNITS : (uint64_t)AGAIN_UNITS * SMALL_UNITS / live;
    const uint64_t again = live + live / 2 < most ? live + live / 2 : most;
    const uint64_t least = again > DIRTY_UNITS ? again : DIRTY_UNITS;
    return part > least ? part : least;
}

/* Too much dirty memory goes at once, for a program that goes to sleep now never comes here again; the rest by age.
 * Held: the span lock. */
void ph_purge_as_due(struct heap *hp)
{
    const uint64_t now = ph_os_clock_ms();
    const uint32_t delay = (uint32_t)ph_option(OPT_PURGE_DELAY);
    hp->gives = 0;
    swing_see(hp, now, delay);
    const uint64_t keep = dirty_least(hp) + hp->swing_units;
    const uint64_t dirty = hp->dirty_units;
    if (dirty > keep)
        purge_bins(hp, PURGE_LEAST_UNITS, (uint32_t)now, 0, keep - keep / 4, UINT32_MAX);
    shed(hp, dirty - hp->dirty_units);
    if (now - hp->purge_ms >= (delay + 1) / 2) {
        hp->purge_ms = now;
        hp->swing_units /= 2;
        purge_bins(hp, 1, (uint32_t)now, delay, 0, SWEEP_SPANS);
    }
}

void ph_purge_all(struct heap *hp)
{
    ph_lock_take(&hp->span_lock);
    hp->swing_units = 0;
    purge_bins(hp, 1, 0, 0, 0, UINT32_MAX);
    ph_lock_give(&hp->span_lock);
}
