/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* span.c -- runs of units cut out of regions and joined again.
 *
 * Owns:    struct span but for the page fields; the bins of a heap; each region's `top`.
 * Calls:   region.c, map.c, meta.c, os.c; spanguard.c, which is part of this room.
 * Locks:   LOCK span of the heap, taken inside; below it map, cache, meta.
 * Always:  free spans of one region never touch each other, but where both together had 64 GB; the entries of a free span's first
 *          and last unit name it, those between are 0.
 * Why:     bins by size with good fit and joining at once keep memory as dense as boundary tags
 *          do, with nothing of ours inside anybody's memory. */
#include "valid.h"

#include "hot.h"

/* Made fast, not small: every run that no thread keeps comes by here, twice. */

enum {
    FEW_TRIES = 16,
    GIVES_PER_CLOCK = 32,
    REGION_LEAST_BYTES = 4 << 20,
    REGION_MOST_BYTES = 1 << 30,
    MOST_UNITS = 1 << 24,                          /* of one span: 64 GB */
};

/* ---- descriptors ---------------------------------------------------------------------------- */

/* As ph_span_new, from the heap's own spares: the pool's lock is the whole process's.  Held: span lock. */
struct span *ph_span_descriptor(struct heap *hp)
{
    if (hp->spares == SPAN_NONE)
        return ph_span_new();
    struct span *sp = ph_span_at(hp->spares);
    hp->spares = sp->next;
    hp->spare_count--;
    *sp = (struct span){.self = sp->self};
    return sp;
}

static void descriptor_give(struct heap *hp, struct span *sp)
{
    if (hp->spare_count >= SPAN_SPARES) {
        ph_span_drop(sp);
        return;
    }
    *sp = (struct span){.self = sp->self, .tag = hp->tag, .next = hp->spares}; /* a spare of this heap */
    hp->spares = sp->self;
    hp->spare_count++;
}

/* ---- bins: free spans by units -------------------------------------------------------------- */

static void bin_insert(struct heap *hp, struct span *sp)
{
    const unsigned bin = span_bin(sp->units);
    uint32_t first;
    sp->prev = SPAN_NONE;
    sp->next = hp->bin[bin];
    if (sp->next != SPAN_NONE)
        ph_span_at(sp->next)->prev = sp->self;
    hp->bin[bin] = sp->self;
    hp->bins_used |= 1ULL << bin;
    if (sp->state == SPAN_DIRTY)
        hp->dirty_units += ph_purge_units(sp, &first);
}

static void bin_remove(struct heap *hp, struct span *sp)
{
    const unsigned bin = span_bin(sp->units);
    uint32_t first;
    if (sp->next != SPAN_NONE)
        ph_span_at(sp->next)->prev = sp->prev;
    if (sp->prev != SPAN_NONE)
        ph_span_at(sp->prev)->next = sp->next;
    else if ((hp->bin[bin] = sp->next) == SPAN_NONE)
        hp->bins_used &= ~(1ULL << bin);
    if (sp->state == SPAN_DIRTY)
        hp->dirty_units -= ph_purge_units(sp, &first);
}

/* The first span of a bin that is large enough, a few tries deep. */
static struct span *bin_search(struct heap *hp, unsigned bin, uint32_t units, unsigned tries)
{
    for (uint32_t i = hp->bin[bin]; i != SPAN_NONE && tries-- > 0;) {
        struct span *sp = ph_span_at(i);
        if (sp->units >= units)
            return sp;
        i = sp->next;
    }
    return NULL;
}

/* A free span of at least so many units, out of its bin; or NULL.  `tries`: how deep to look into a
 * bin whose spans may be smaller. */
static struct span *bin_take(struct heap *hp, uint32_t units, unsigned tries)
{
    const unsigned least = span_bin(units);
    uint64_t used = hp->bins_used & (~0ULL << least);
    while (used != 0) {
        const unsigned bin = (unsigned)__builtin_ctzll(used);
        struct span *sp = bin_search(hp, bin, units, tries);
        if (sp != NULL) {
            bin_remove(hp, sp);
            return sp;
        }
        used &= used - 1;
    }
    return NULL;
}

/* It is no span any more: free or a guard, in a region that goes.  Held: the span lock. */
void ph_span_discard(struct heap *hp, struct span *sp)
{
    if (entry_kind(sp->tag) == KIND_FREE)
        bin_remove(hp, sp);
    else
        ph_spanguard_forget(hp, sp);
    ph_map_clear_ends(sp);
    descriptor_give(hp, sp);
}

/* ---- joining and cutting -------------------------------------------------------------------- */

/* File a free span: its two entries first (its first unit may be the region's), then its bin. */
static void span_file(struct heap *hp, struct span *sp)
{
    CHECK_INTERNAL(sp->units > 0);
    sp->tag = hp->tag | KIND_FREE;
    sp->seal = span_seal(sp);
    ph_map_ends(sp);
    bin_insert(hp, sp);
    CHECK_COSTLY(ph_span_is_valid(hp, sp));
}

static struct span *free_span_of_unit(struct heap *hp, uint64_t unit)
{
    const uint64_t entry = map_get(ph_unit_address(unit));
    return (uint32_t)entry == (hp->tag | KIND_FREE) ? ph_span_at(entry_span(entry)) : NULL;
}

static enum span_state joined_state(unsigned a, unsigned b) { return a < b ? a : b; }

/* Which units of a free span are dirty is kept as one range, so that a small dirty part does not
 * make its clean neighbours count, be purged again and be keyed. */
static void dirty_all(struct span *sp)
{
    sp->state = SPAN_DIRTY;
    sp->dirty_first = 0;
    sp->dirty_count = (uint32_t)sp->units;
}

/* The range of a dirty span as unit numbers; empty for a clean one. */
static void dirty_range(const struct span *sp, uint64_t *from, uint64_t *to)
{
    const bool dirty = sp->state == SPAN_DIRTY;
    *from = dirty ? sp->start + sp->dirty_first : UINT64_MAX;
    *to = dirty ? sp->start + sp->dirty_first + sp->dirty_count : 0;
}

/* What becomes of a span whose units are [start, start + units) now: `clean` where nothing of
 * [from, to) lies in it. */
static void dirty_set(struct span *sp, uint64_t from, uint64_t to, enum span_state clean)
{
    const uint64_t start = sp->start, end = start + sp->units;
    from = from > start ? from : start;
    to = to < end ? to : end;
    sp->state = from < to ? SPAN_DIRTY : clean;
    sp->dirty_first = from < to ? (uint32_t)(from - start) : 0;
    sp->dirty_count = from < to ? (uint32_t)(to - from) : 0;
}

/* `low` takes `high`, its right neighbour, in. */
static void span_absorb(struct span *low, const struct span *high)
{
    uint64_t from, to, from_high, to_high;
    dirty_range(low, &from, &to);
    dirty_range(high, &from_high, &to_high);
    const enum span_state state = joined_state(low->state, high->state);
    low->units += high->units;
    dirty_set(low, from < from_high ? from : from_high, to > to_high ? to : to_high, state);
}

/* Free units that nobody names any more (their entries are clear but for the first): join them to
 * their free neighbours in the region and file the result. */
static struct span *span_join(struct heap *hp, const struct region *rg, struct span *sp)
{
    const uint64_t base = (uintptr_t)rg->base >> UNIT_BITS;
    struct span *after = sp->start + sp->units < base + rg->top ? free_span_of_unit(hp, sp->start + sp->units) : NULL;
    struct span *before = sp->start > base ? free_span_of_unit(hp, sp->start - 1) : NULL;
    if (after != NULL && sp->units + after->units >= MOST_UNITS)
        after = NULL;
    if (before != NULL && before->units + sp->units + (after ? after->units : 0) >= MOST_UNITS)
        before = NULL;
    if (after != NULL) {
        bin_remove(hp, after);
        ph_map_clear_ends(after);
        span_absorb(sp, after);
        descriptor_give(hp, after);
    }
    if (before != NULL) {
        bin_remove(hp, before);
        ph_map_clear_last(before);
        ph_map_clear_first(sp);
        span_absorb(before, sp);
        before->freed_ms = sp->freed_ms;
        descriptor_give(hp, sp);
        sp = before;
    }
    span_file(hp, sp);
    return sp;
}

/* `part` is a part of `whole`, which may be itself as it was before it was cut. */
static void span_clip(struct span *part, const struct span *whole)
{
    uint64_t from, to;
    dirty_range(whole, &from, &to);
    dirty_set(part, from, to, whole->state == SPAN_DIRTY ? SPAN_PURGED : whole->state);
}

/* A new free span of units [start, start + units) that were part of `from`. */
static bool span_split_off(struct heap *hp, const struct span *from, uint64_t start, uint32_t units)
{
    struct span *rest = ph_span_descriptor(hp);
    if (rest == NULL)
        return false;
    rest->start = start;
    rest->units = units;
    span_clip(rest, from);
    rest->freed_ms = from->freed_ms;
    span_file(hp, rest);
    return true;
}

/* Cut `units` at that alignment out of a span that is in no bin; the rest is filed.  False without a
 * descriptor for a rest: the span has what is left then. */
static bool span_cut(struct heap *hp, struct span *sp, uint32_t units, uint32_t align)
{
    const struct span whole = *sp;
    const uint64_t start = (sp->start + align - 1) & ~(uint64_t)(align - 1);
    const uint32_t head = (uint32_t)(start - sp->start);
    if (head > 0 && span_split_off(hp, &whole, sp->start, head)) {
        sp->start = start;
        sp->units -= head;
    } else if (head > 0) {
        return false;
    }
    if (sp->units > units && span_split_off(hp, &whole, sp->start + units, (uint32_t)(sp->units - units)))
        sp->units = units;
    span_clip(sp, &whole);
    return sp->units == units;
}

/* ---- virgin memory -------------------------------------------------------------------------- */

/* The free span that ends where the virgin memory begins, out of its bin; or NULL. */
static struct span *top_neighbour(struct heap *hp, const struct region *rg)
{
    if (rg->top <= rg->first)
        return NULL;
    struct span *below = free_span_of_unit(hp, ((uintptr_t)rg->base >> UNIT_BITS) + rg->top - 1);
    if (below != NULL) {
        bin_remove(hp, below);
        ph_map_clear_ends(below);
    }
    return below;
}

/* Units from the virgin end of one region, and from the free span before it. */
static struct span *top_take(struct heap *hp, struct region *rg, uint32_t units, uint32_t align)
{
    struct span *sp = top_neighbour(hp, rg);
    struct span *below = sp;
    const uint64_t at = ((uintptr_t)rg->base >> UNIT_BITS) + rg->top;
    const uint64_t start = below != NULL ? below->start : at;
    const uint64_t end = ((start + align - 1) & ~(uint64_t)(align - 1)) + units;
    const uint64_t more = end > at ? end - at : 0;
    const bool fits = rg->top + more <= rg->units && end - start < MOST_UNITS &&
                      ph_region_commit(rg, (uint32_t)(rg->top + more), hp->flags & HEAPF_EXECUTE);
    if (fits && sp == NULL && (sp = ph_span_descriptor(hp)) != NULL) {
        sp->start = at;
        sp->state = SPAN_VIRGIN;
    }
    if (!fits || sp == NULL) {
        if (below != NULL)
            span_file(hp, below);
        return NULL;
    }
    sp->units += more;
    rg->top += (uint32_t)more;
    rg->seal = region_seal(rg);
    return sp;
}

/* A region that a dead heap left is dirty below its top: one free span.  Held: the span lock. */
void ph_span_file_used(struct heap *hp, struct region *rg)
{
    struct span *sp = rg->top > rg->first ? ph_span_descriptor(hp) : NULL;
    if (sp == NULL)
        return;
    sp->start = ((uintptr_t)rg->base >> UNIT_BITS) + rg->first;
    sp->units = rg->top - rg->first;
    dirty_all(sp);
    sp->freed_ms = (uint32_t)ph_os_clock_ms();
    span_file(hp, sp);
}

static struct region *region_grow(struct heap *hp, uint32_t units)
{
    if (hp->bound_units != 0 && hp->regions != NULL)
        return NULL;
    const size_t least = ph_round_up((size_t)(units + 1) << UNIT_BITS, HEAP_ALIGN); /* and the handle's unit */
    size_t wish = (size_t)hp->reserved_units << UNIT_BITS;
    wish = wish < REGION_LEAST_BYTES ? REGION_LEAST_BYTES : wish > REGION_MOST_BYTES ? REGION_MOST_BYTES : wish;
    wish &= ~(size_t)(HEAP_ALIGN - 1);
    struct region *rg = ph_region_add(hp, wish > least ? wish : least, least);
    if (rg != NULL)
        ph_span_file_used(hp, rg);
    return rg;
}

static struct span *span_find(struct heap *hp, uint32_t units, uint32_t align)
{
    const uint32_t room = units + align - 1;
    struct span *sp = bin_take(hp, room, FEW_TRIES);
    for (struct region *rg = hp->regions; rg != NULL && sp == NULL; rg = rg->next)
        sp = top_take(hp, rg, units, align);
    if (sp == NULL && region_grow(hp, room) != NULL)
        sp = bin_take(hp, room, FEW_TRIES);
    if (sp == NULL && hp->last_region != NULL)
        sp = top_take(hp, hp->last_region, units, align);
    return sp != NULL ? sp : bin_take(hp, room, UINT32_MAX); /* rather slow than NULL */
}

/* ---- the room's face ------------------------------------------------------------------------ */

struct span *ph_span_take_locked(struct heap *hp, unsigned kind, uint32_t units, uint32_t align_units, size_t wanted, bool sized)
{
    struct span *sp = span_find(hp, units, align_units);
    if (sp != NULL && !span_cut(hp, sp, units, align_units)) {
        span_file(hp, sp);
        sp = NULL;
    }
    if (sp != NULL) {
        purge_came_back(hp, sp, units);
        hp->live_units += sp->units;
        ph_purge_taken(hp, sp);
        sp->tag = hp->tag | kind;
        sp->next = sp->prev = SPAN_NONE;
        span_want(sp, wanted, sized);
        ph_map_ends(sp);
    }
    return sp;
}

/* `units` at a multiple of `align_units` (a power of two), for that kind.  Its two entries say so
 * before the lock is given back: a neighbour that is freed meanwhile must not join it.  NULL: no
 * memory. */
struct span *ph_span_take_for(struct heap *hp, unsigned kind, uint32_t units, uint32_t align_units, size_t wanted, bool sized)
{
    ph_lock_take(&hp->span_lock);
    struct span *sp = unlikely(hp->guard_next != 0) ? ph_spanguard_take(hp, kind, units, align_units, wanted, sized) : NULL;
    if (likely(sp == NULL))
        sp = ph_span_take_locked(hp, kind, units, align_units, wanted, sized);
    ph_lock_give(&hp->span_lock);
    return sp;
}

/* Its entries but the first are clear; freed_ms is right.  The free span that it is part of now. */
struct span *ph_span_free_locked(struct heap *hp, struct span *sp)
{
    hp->live_units -= sp->units;
    dirty_all(sp);
    sp->cell = 0;
    sp->tag = hp->tag | KIND_FREE; /* before carved says that no thread keeps it: another may be about to free it again */
    ph_map_first(sp);
    __atomic_store_n(&sp->carved, 0, __ATOMIC_RELEASE);
    return span_join(hp, ph_region_of(hp, ph_span_start(sp)), sp);
}

/* Its entries but the first are clear.  Held: the span lock. */
void ph_span_give_held(struct heap *hp, struct span *sp)
{
    sp->freed_ms = (uint32_t)hp->purge_ms;
    const uint32_t units = (uint32_t)sp->units;
    const bool big = units >= PURGE_LEAST_UNITS;
    if (++hp->gives >= GIVES_PER_CLOCK || big)
        sp->freed_ms = (uint32_t)ph_os_clock_ms();
    sp = ph_span_free_locked(hp, sp);
    if (unlikely(hp->guard_count != 0))
        sp = ph_spanguard_lift(hp, sp);
    if (units > RUN_KEEP_UNITS)
        ph_purge_long(hp, sp, units);
    if (hp->gives >= GIVES_PER_CLOCK || (big && hp->dirty_units > DIRTY_UNITS + DIRTY_UNITS / 4))
        ph_purge_as_due(hp);
}

/* Its entries but the first are clear. */
void ph_span_give(struct heap *hp, struct span *sp)
{
    CHECK_CALLER(sp->units > 0 && ph_region_of(hp, ph_span_start(sp)) != NULL);
    ph_lock_take(&hp->span_lock);
    ph_span_give_held(hp, sp);
    ph_lock_give(&hp->span_lock);
}

/* Two threads may free the same run at once: only under the lock is it known to be one still. */
bool ph_span_give_run(struct heap *hp, void *block)
{
    ph_lock_take(&hp->span_lock);
    const uint64_t entry = map_get(block);
    struct span *sp = (uint32_t)entry == (hp->tag | KIND_RUN) ? ph_span_at(entry_span(entry)) : NULL;
    uint16_t none = 0; /* else some thread keeps it: it was freed */
    const bool live = sp != NULL && ph_span_start(sp) == block &&
                      __atomic_compare_exchange_n(&sp->carved, &none, RUN_KEPT, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    if (live) {
        ph_map_clear_last(sp);
        ph_span_give_held(hp, sp);
    }
    ph_lock_give(&hp->span_lock);
    return live;
}

/* Make a run longer where it stands, from the free span or the virgin memory behind it. */
bool ph_span_grow(struct heap *hp, struct span *sp, uint32_t units)
{
    ph_lock_take(&hp->span_lock);
    struct region *rg = ph_region_of(hp, ph_span_start(sp));
    const uint64_t end = sp->start + sp->units - ((uintptr_t)rg->base >> UNIT_BITS); /* in the region */
    const uint32_t more = (uint32_t)(units - sp->units);
    struct span *after = end < rg->top ? free_span_of_unit(hp, sp->start + sp->units) : NULL;
    struct span *part = NULL;
    if (after != NULL && after->units >= more) {
        bin_remove(hp, after);
        ph_map_clear_ends(after);
        part = after;
        if (!span_cut(hp, after, more, 1)) {
            span_file(hp, after);
            part = NULL;
        }
    } else if (after == NULL && end == rg->top) {
        part = top_take(hp, rg, more, 1);
    }
    if (part != NULL) {
        ph_map_clear_last(sp);
        sp->units += part->units;
        sp->state = joined_state(sp->state, part->state);
        hp->live_units += part->units;
        ph_map_ends(sp);
        descriptor_give(hp, part);
    }
    ph_lock_give(&hp->span_lock);
    return part != NULL;
}

/* What was asked for a run or a large block, under the lock that fork waits for: its seal is never half
 * written in a child. */
void ph_span_want(struct heap *hp, struct span *sp, size_t wanted, bool sized)
{
    ph_lock_take(&hp->span_lock);
    span_want(sp, wanted, sized);
    ph_lock_give(&hp->span_lock);
}

/* Give the end of a run back. */
void ph_span_shrink(struct heap *hp, struct span *sp, uint32_t units)
{
    struct span *rest = ph_span_new();
    if (rest == NULL)
        return;
    ph_lock_take(&hp->span_lock);
    ph_map_clear_last(sp);
    rest->start = sp->start + units;
    rest->units = sp->units - units;
    sp->units = units;
    ph_map_ends(sp);
    hp->live_units -= rest->units;
    dirty_all(rest);
    rest->freed_ms = (uint32_t)ph_os_clock_ms();
    (void)span_join(hp, ph_region_of(hp, ph_span_start(rest)), rest);
    ph_lock_give(&hp->span_lock);
}

/* A free span is its first units only: the end of its region goes.  Held: the span lock. */
void ph_span_keep(struct heap *hp, struct span *sp, uint32_t units)
{
    const struct span whole = *sp;
    bin_remove(hp, sp);
    ph_map_clear_ends(sp);
    sp->units = units;
    span_clip(sp, &whole);
    span_file(hp, sp);
}
