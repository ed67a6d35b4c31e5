/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* runs.c -- freed runs that one thread keeps for itself: taken and given without the heap's lock.
 *
 * Owns:    struct runs of a local; `carved` of runs: RUN_KEPT while one is here.
 * Calls:   span.c; kept.c and region.c for what they keep.  Beside local.c and gate.c.
 * Locks:   none on the usual way: the local is busy, so nobody stops the heap, and only its own thread comes here.
 *          LOCK span to give some back.
 * Always:  a kept run is a run in the page map and in the heap's books, and dirty.  Its list is whole between any two
 *          instructions, in the order in which they are written: a child of fork, or who comes after a jump out of a
 *          handler, finds all but the one in `hand`, whose seal may be old.
 * Why:     two threads that take and give blocks of 16-60 KB met at the heap's lock for each: 200 ns, mostly
 *          waiting.  Bounded by bytes, not by count: what lies here is memory that nobody else can use. */
#include "hot.h"
#include "valid.h"

/* Made fast, not small: it is the way of every run of up to 256 KB. */

enum {
    KEEP_FIRST_UNITS = (128 << 10) / UNIT_BYTES, /* a thread begins so, */
    KEEP_MOST_UNITS = (1 << 20) / UNIT_BYTES,    /* and doubles it when it gives more than fits, and takes as well */
    TAKES_TO_GROW = 16,
    FIT_BINS = 7,                                /* a run may be so many bins larger than asked for: an eighth each */
};

/* ---- bins: an eighth of a power of two each; a run lies in the bin of the largest size that it has -------------- */

static unsigned bin_of(uint32_t units)
{
    const unsigned log = 31 - (unsigned)__builtin_clz(units);
    return units < 8 ? units : 8 * (log - 2) + (units >> (log - 3) & 7);
}

/* What to ask the heap for, so that the run can serve again whoever asks for a little more or less. */
uint32_t ph_runs_round(uint32_t units)
{
    if (units <= 16 || units > RUN_KEEP_UNITS)
        return units;
    const uint32_t step = 1u << (31 - __builtin_clz(units) - 3);
    return (units + step - 1) & ~(step - 1);
}

/* ---- taking and giving ------------------------------------------------------------------------------------------ */

/* Busy on entry.  NULL: none fits. */
struct span *ph_runs_take(struct local *lo, uint32_t units, size_t wanted, bool sized)
{
    struct runs *rs = &lo->runs;
    if (units > RUN_KEEP_UNITS || unlikely(rs->hand != SPAN_NONE)) /* a handler that nobody told us of came in between */
        return NULL;
    const unsigned least = bin_of(ph_runs_round(units));
    const uint64_t fit = rs->used >> least & FIT_BINS;
    rs->takes++;
    if (fit == 0)
        return NULL;
    const unsigned bin = least + (unsigned)__builtin_ctzll(fit);
    struct span *sp = ph_span_at(rs->head[bin]);
    rs->hand = (uint32_t)sp->self;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if ((rs->head[bin] = sp->next) == SPAN_NONE)
        rs->used &= ~(1ULL << bin);
    rs->units -= (uint32_t)sp->units;
    sp->next = SPAN_NONE;
    __atomic_store_n(&sp->carved, 0, __ATOMIC_RELAXED);
    span_want_anew(sp, wanted, sized);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    rs->hand = SPAN_NONE;
    return sp;
}

/* For malloc, without the ways of what is unusual.  NULL: ask alloc.c. */
void *ph_runs_malloc(struct local *lo, size_t bytes)
{
    const size_t units = (bytes + UNIT_BYTES - 1) >> UNIT_BITS;
    struct span *sp = NULL;
    if (units > RUN_KEEP_UNITS || unlikely(ph_locks_held != 0))
        return NULL;
    local_enter(lo);
    if (likely(__atomic_load_n(&lo->biased, __ATOMIC_RELAXED)))
        sp = ph_runs_take(lo, (uint32_t)units, bytes, false);
    local_leave(lo);
    return sp != NULL ? ph_span_start(sp) : NULL;
}

static void runs_overflow(struct local *lo)
{
    struct runs *rs = &lo->runs;
    if (rs->takes >= TAKES_TO_GROW && rs->most < KEEP_MOST_UNITS) {
        rs->most *= 2;
        rs->takes = 0;
    }
    if (rs->units > rs->most)
        ph_runs_empty(lo, rs->most / 2);
}

/* Of two threads that free a run at once one is first.  The other may find that its descriptor has become something
 * else: then nothing was done. */
static bool run_mark(const struct heap *hp, struct span *sp, const void *block)
{
    uint16_t live = 0, kept = RUN_KEPT;
    if (!__atomic_compare_exchange_n(&sp->carved, &live, RUN_KEPT, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return false;
    const uint64_t entry = map_get(block);
    if (likely((uint32_t)entry == (hp->tag | KIND_RUN) && entry_span(entry) == sp->self))
        return true;
    (void)__atomic_compare_exchange_n(&sp->carved, &kept, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return false;
}

/* Busy on entry.  False: it was freed before, or is no run that is kept. */
bool ph_runs_give(struct local *lo, struct span *sp, const void *block)
{
    struct runs *rs = &lo->runs;
    const uint32_t units = (uint32_t)sp->units;
    if (units > RUN_KEEP_UNITS || units == 0 || unlikely(rs->hand != SPAN_NONE))
        return false;
    const unsigned bin = bin_of(units);
    rs->hand = (uint32_t)sp->self;
    const bool live = run_mark(lo->heap, sp, block);
    if (live) {
        sp->state = SPAN_DIRTY;
        sp->next = rs->head[bin];
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        rs->head[bin] = (uint32_t)sp->self;
        rs->used |= 1ULL << bin;
        rs->units += units;
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    rs->hand = SPAN_NONE;
    if (live && unlikely(rs->units > rs->most))
        runs_overflow(lo);
    return live;
}

/* Where free comes by: a run of this heap.  Busy on entry. */
bool ph_runs_free(struct local *lo, uint64_t entry, const void *block)
{
    struct span room;
    const uint32_t number = entry >> 32 & 0x3ffffff;
    if (ph_cell_chunk[number >> CELLS_LOG] == NULL)
        return false;
    struct span *sp = ph_span_at(number);
    const struct span *seen = unseen_span(sp, &room);
    return seen->tag == (uint32_t)entry && seen->self == number && ph_span_start(seen) == block && ph_runs_give(lo, sp, block);
}

/* A live run has another size now, as far as one asks.  Busy on entry. */
void ph_runs_want(struct local *lo, struct span *sp, size_t wanted, bool sized)
{
    lo->runs.hand = (uint32_t)sp->self;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    span_want_anew(sp, wanted, sized);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    lo->runs.hand = SPAN_NONE;
}

/* ---- emptying --------------------------------------------------------------------------------------------------- */

/* One list after the other, the one after the last time's first.  Held: the span lock. */
static void bin_empty(struct local *lo, unsigned bin)
{
    struct runs *rs = &lo->runs;
    while (rs->head[bin] != SPAN_NONE) {
        struct span *sp = ph_span_at(rs->head[bin]);
        rs->head[bin] = sp->next;
        rs->units -= (uint32_t)sp->units;
        sp->next = SPAN_NONE;
        ph_map_clear_last(sp);
        ph_span_give_held(lo->heap, sp);
    }
    rs->used &= ~(1ULL << bin);
}

/* Down to so many units.  Held: the gate lock, heap stopped; or the local is ours, and busy. */
void ph_runs_empty(struct local *lo, uint32_t units)
{
    struct runs *rs = &lo->runs;
    if (rs->used == 0)
        return;
    ph_lock_take(&lo->heap->span_lock);
    for (unsigned i = 0; i < RUN_BINS && rs->units > units; i++) {
        rs->turn = rs->turn + 1 < RUN_BINS ? rs->turn + 1 : 0;
        if (rs->head[rs->turn] != SPAN_NONE)
            bin_empty(lo, rs->turn);
    }
    ph_lock_give(&lo->heap->span_lock);
}

/* None was asked for since this was asked last: they go, and the thread begins small again. */
static void runs_expire(struct local *lo)
{
    struct runs *rs = &lo->runs;
    if (rs->takes == 0 && rs->used != 0) {
        ph_runs_empty(lo, 0);
        rs->most = KEEP_FIRST_UNITS;
    }
    rs->takes = 0;
}

void ph_local_expire(struct local *lo)
{
    runs_expire(lo);
    ph_kept_expire();
    ph_region_expire();
    if (ph_depot_look(lo->heap))
        ph_shard_age(lo->heap);
}

void ph_runs_none(struct local *lo) { lo->runs = (struct runs){.most = KEEP_FIRST_UNITS}; }

/* The operation that had a run in hand never goes on. */
void ph_runs_settle(struct local *lo)
{
    struct span *sp = ph_span_known(lo->runs.hand);
    if (sp != NULL && sp->tag == (lo->heap->tag | KIND_RUN))
        sp->seal = span_seal(sp);
}

static struct span *kept_span(const struct heap *hp, uint32_t number)
{
    struct span *sp = ph_span_known(number);
    const bool kept = sp != NULL && sp->tag == (hp->tag | KIND_RUN) && sp->self == number && sp->carved == RUN_KEPT;
    return kept ? sp : NULL;
}

/* Of a thread that is gone: each must prove itself.  Held: the gate lock. */
void ph_runs_salvage(struct local *lo)
{
    struct heap *hp = lo->heap;
    struct span *sp;
    ph_lock_take(&hp->span_lock);
    for (unsigned i = 0; i <= RUN_BINS; i++)
        for (uint32_t number = i < RUN_BINS ? lo->runs.head[i] : lo->runs.hand; (sp = kept_span(hp, number)) != NULL;) {
            number = i < RUN_BINS ? sp->next : SPAN_NONE;
            sp->next = SPAN_NONE;
            ph_map_clear_last(sp);
            ph_span_give_held(hp, sp);
        }
    ph_lock_give(&hp->span_lock);
    ph_runs_none(lo);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* `count` grows by how many there are.  The heap is closed. */
bool ph_runs_are_valid(const struct local *lo, uint64_t *count)
{
    const struct runs *rs = &lo->runs;
    uint32_t units = 0;
    for (unsigned bin = 0; bin < RUN_BINS; bin++) {
        if ((rs->used >> bin & 1) != (rs->head[bin] != SPAN_NONE))
            return false;
        for (uint32_t number = rs->head[bin]; number != SPAN_NONE; ++*count) {
            const struct span *sp = kept_span(lo->heap, number);
            if (sp == NULL || sp->units == 0 || sp->units > RUN_KEEP_UNITS || bin_of((uint32_t)sp->units) != bin ||
                (units += (uint32_t)sp->units) > rs->units)
                return false;
            number = sp->next;
        }
    }
    return units == rs->units && rs->used >> RUN_BINS == 0 && rs->hand == SPAN_NONE && rs->most <= KEEP_MOST_UNITS;
}
