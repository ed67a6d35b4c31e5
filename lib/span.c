/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* span.c -- runs of units cut out of regions and joined again; dirty memory by age.
 *
 * Owns:    struct span but for the page fields; the bins of a heap; each region's `top`.
 * Calls:   region.c, map.c, meta.c, os.c.
 * Locks:   LOCK span of the heap, taken inside; below it map, cache, meta.
 * Always:  free spans of one region never touch each other; the entries of a free span's first
 *          and last unit name it, those between are 0; the entry of a region's first unit is
 *          never 0, because the handle is found by it.
 * Why:     bins by size with good fit and joining at once keep memory as dense as boundary tags
 *          do, with nothing of ours inside anybody's memory. */
#include "hot.h"
#include "options.h"

#include "small.h"

enum {
    EXACT_BINS = 32,
    PURGE_LEAST_UNITS = 16,                        /* at once only runs of 64 KB and more */
    DIRTY_UNITS = (16 << 20) / UNIT_BYTES,         /* dirty memory that may stay, at least */
    GIVES_PER_CLOCK = 32,
    REGION_LEAST_BYTES = 4 << 20,
    REGION_MOST_BYTES = 1 << 30,
};

/* ---- descriptors ---------------------------------------------------------------------------- */

struct span *ph_span_new(void)
{
    const uint32_t cell = ph_pool_take(&ph_pool_spans);
    if (cell == SPAN_NONE)
        return NULL;
    struct span *sp = ph_span_at(cell);
    *sp = (struct span){.self = cell};
    return sp;
}

void ph_span_drop(struct span *sp) { ph_pool_give(&ph_pool_spans, sp->self); }

/* ---- bins: free spans by units -------------------------------------------------------------- */

static unsigned bin_of(uint32_t units)
{
    if (units <= EXACT_BINS)
        return units - 1;
    const unsigned log = 31 - (unsigned)__builtin_clz(units);
    const unsigned bin = EXACT_BINS + (log - 5) * 4 + (units >> (log - 2) & 3);
    return bin < BIN_COUNT ? bin : BIN_COUNT - 1;
}

static void bin_insert(struct heap *hp, struct span *sp)
{
    const unsigned bin = bin_of(sp->units);
    sp->prev = SPAN_NONE;
    sp->next = hp->bin[bin];
    if (sp->next != SPAN_NONE)
        ph_span_at(sp->next)->prev = sp->self;
    hp->bin[bin] = sp->self;
    hp->bins_used |= 1ULL << bin;
    if (sp->state == SPAN_DIRTY)
        hp->dirty_units += sp->units;
}

static void bin_remove(struct heap *hp, struct span *sp)
{
    const unsigned bin = bin_of(sp->units);
    if (sp->next != SPAN_NONE)
        ph_span_at(sp->next)->prev = sp->prev;
    if (sp->prev != SPAN_NONE)
        ph_span_at(sp->prev)->next = sp->next;
    else if ((hp->bin[bin] = sp->next) == SPAN_NONE)
        hp->bins_used &= ~(1ULL << bin);
    if (sp->state == SPAN_DIRTY)
        hp->dirty_units -= sp->units;
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

/* A free span of at least so many units, out of its bin; or NULL. */
static struct span *bin_take(struct heap *hp, uint32_t units)
{
    const unsigned least = bin_of(units);
    uint64_t used = hp->bins_used & (~0ULL << least);
    while (used != 0) {
        const unsigned bin = (unsigned)__builtin_ctzll(used);
        struct span *sp = bin_search(hp, bin, units, bin == BIN_COUNT - 1 ? UINT32_MAX : 16);
        if (sp != NULL) {
            bin_remove(hp, sp);
            return sp;
        }
        used &= used - 1;
    }
    return NULL;
}

/* ---- joining and cutting -------------------------------------------------------------------- */

/* File a free span: its two entries first (its first unit may be the region's), then its bin. */
static void span_file(struct heap *hp, struct span *sp)
{
    CHECK_INTERNAL(sp->units > 0);
    sp->tag = hp->tag | KIND_FREE;
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

/* Free units that nobody names any more (their entries are clear but for the first): join them to
 * their free neighbours in the region and file the result. */
static void span_join(struct heap *hp, const struct region *rg, struct span *sp)
{
    const uint64_t base = (uintptr_t)rg->base >> UNIT_BITS;
    struct span *after = sp->start + sp->units < base + rg->top ? free_span_of_unit(hp, sp->start + sp->units) : NULL;
    struct span *before = sp->start > base ? free_span_of_unit(hp, sp->start - 1) : NULL;
    if (after != NULL) {
        bin_remove(hp, after);
        ph_map_clear_ends(after);
        sp->units += after->units;
        sp->state = joined_state(sp->state, after->state);
        ph_span_drop(after);
    }
    if (before != NULL) {
        bin_remove(hp, before);
        ph_map_clear_last(before);
        ph_map_clear_first(sp);
        before->units += sp->units;
        before->state = joined_state(before->state, sp->state);
        before->freed_ms = sp->freed_ms;
        ph_span_drop(sp);
        sp = before;
    }
    span_file(hp, sp);
}

/* A new free span of units [start, start + units) that were part of `from`. */
static bool span_split_off(struct heap *hp, const struct span *from, uint64_t start, uint32_t units)
{
    struct span *rest = ph_span_new();
    if (rest == NULL)
        return false;
    rest->start = start;
    rest->units = units;
    rest->state = from->state;
    rest->freed_ms = from->freed_ms;
    span_file(hp, rest);
    return true;
}

/* Cut `units` at that alignment out of a span that is in no bin; the rest is filed.  Without a
 * descriptor for a rest, the whole stays with the span. */
static void span_cut(struct heap *hp, struct span *sp, uint32_t units, uint32_t align)
{
    const uint64_t start = (sp->start + align - 1) & ~(uint64_t)(align - 1);
    const uint32_t head = (uint32_t)(start - sp->start);
    if (head > 0 && span_split_off(hp, sp, sp->start, head)) {
        sp->start = start;
        sp->units -= head;
    }
    if (sp->units > units && span_split_off(hp, sp, sp->start + units, (uint32_t)(sp->units - units)))
        sp->units = units;
}

/* ---- virgin memory -------------------------------------------------------------------------- */

/* Units from the virgin end of one region. */
static struct span *top_take(struct heap *hp, struct region *rg, uint32_t units, uint32_t align)
{
    const uint64_t at = ((uintptr_t)rg->base >> UNIT_BITS) + rg->top;
    const uint32_t head = (uint32_t)(((at + align - 1) & ~(uint64_t)(align - 1)) - at);
    if ((uint64_t)rg->top + head + units > rg->units)
        return NULL;
    if (!ph_region_commit(rg, rg->top + head + units, hp->flags & HEAPF_EXECUTE))
        return NULL;
    struct span *sp = ph_span_new();
    if (sp == NULL)
        return NULL;
    sp->start = at;
    sp->units = head + units;
    sp->state = SPAN_VIRGIN;
    rg->top += head + units;
    return sp;
}

/* A region that a dead heap left is dirty below its top: one free span.  Held: the span lock. */
void ph_span_file_used(struct heap *hp, struct region *rg)
{
    struct span *sp = rg->top > rg->first ? ph_span_new() : NULL;
    if (sp == NULL)
        return;
    sp->start = ((uintptr_t)rg->base >> UNIT_BITS) + rg->first;
    sp->units = rg->top - rg->first;
    sp->state = SPAN_DIRTY;
    sp->freed_ms = (uint32_t)ph_os_clock_ms();
    span_file(hp, sp);
}

static struct region *region_grow(struct heap *hp, uint32_t units)
{
    if (hp->bound_units != 0 && hp->regions != NULL)
        return NULL;
    const size_t least = (((size_t)units << UNIT_BITS) + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);
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
    struct span *sp = bin_take(hp, units + align - 1);
    if (sp != NULL)
        return sp;
    for (struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        if ((sp = top_take(hp, rg, units, align)) != NULL)
            return sp;
    struct region *rg = region_grow(hp, units + align - 1);
    if (rg == NULL)
        return NULL;
    sp = bin_take(hp, units + align - 1);
    return sp != NULL ? sp : top_take(hp, rg, units, align);
}

/* ---- giving memory back --------------------------------------------------------------------- */

static void span_purge(struct heap *hp, struct span *sp)
{
    if (ph_os_purge(ph_span_start(sp), ph_span_bytes(sp)) != 0)
        return;
    hp->dirty_units -= sp->units;
    sp->state = SPAN_PURGED;
}

/* Purge dirty free spans of at least `units` that were freed `age_ms` ago or earlier, the largest
 * first, until no more than `keep` dirty units are left. */
static void purge_bins(struct heap *hp, uint32_t units, uint32_t now, uint32_t age_ms, uint64_t keep)
{
    for (unsigned bin = BIN_COUNT; bin-- > bin_of(units);) {
        for (uint32_t i = hp->bin[bin]; i != SPAN_NONE;) {
            struct span *sp = ph_span_at(i);
            if (hp->dirty_units <= keep)
                return;
            if (sp->state == SPAN_DIRTY && sp->units >= units && now - sp->freed_ms >= age_ms)
                span_purge(hp, sp);
            i = sp->next;
        }
    }
}

/* Too much dirty memory goes at once, the rest by age.  Held: the span lock. */
static void purge_as_due(struct heap *hp)
{
    const uint64_t now = ph_os_clock_ms();
    const uint32_t delay = (uint32_t)ph_option(OPT_PURGE_DELAY);
    const uint64_t tenth = hp->live_units / 10;
    const uint64_t keep = tenth > DIRTY_UNITS ? tenth : DIRTY_UNITS;
    hp->gives = 0;
    if (hp->dirty_units > keep)
        purge_bins(hp, PURGE_LEAST_UNITS, (uint32_t)now, 0, keep / 2);
    if (now - hp->purge_ms >= (delay + 1) / 2) {
        hp->purge_ms = now;
        purge_bins(hp, 1, (uint32_t)now, delay, 0);
    }
}

void ph_span_purge(struct heap *hp)
{
    ph_lock_take(&hp->span_lock);
    purge_bins(hp, 1, 0, 0, 0);
    ph_lock_give(&hp->span_lock);
}

/* ---- the room's face ------------------------------------------------------------------------ */

/* `units` at a multiple of `align_units` (a power of two), for that kind.  Its two entries say so
 * before the lock is given back: a neighbour that is freed meanwhile must not join it.  NULL: no
 * memory. */
struct span *ph_span_take(struct heap *hp, unsigned kind, uint32_t units, uint32_t align_units)
{
    ph_lock_take(&hp->span_lock);
    struct span *sp = span_find(hp, units, align_units);
    if (sp != NULL) {
        span_cut(hp, sp, units, align_units);
        hp->live_units += sp->units;
        sp->tag = hp->tag | kind;
        ph_map_ends(sp);
    }
    ph_lock_give(&hp->span_lock);
    return sp;
}

/* Its entries but the first are clear. */
void ph_span_give(struct heap *hp, struct span *sp)
{
    CHECK_CALLER(sp->units > 0 && ph_region_of(hp, ph_span_start(sp)) != NULL);
    ph_lock_take(&hp->span_lock);
    hp->live_units -= sp->units;
    sp->state = SPAN_DIRTY;
    sp->cell = 0;
    sp->freed_ms = (uint32_t)hp->purge_ms;
    const bool big = sp->units >= PURGE_LEAST_UNITS;
    if (++hp->gives >= GIVES_PER_CLOCK || big)
        sp->freed_ms = (uint32_t)ph_os_clock_ms();
    span_join(hp, ph_region_of(hp, ph_span_start(sp)), sp);
    if (hp->gives >= GIVES_PER_CLOCK || (big && hp->dirty_units > DIRTY_UNITS + DIRTY_UNITS / 4))
        purge_as_due(hp);
    ph_lock_give(&hp->span_lock);
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
        span_cut(hp, after, more, 1);
        part = after;
    } else if (after == NULL && end == rg->top) {
        part = top_take(hp, rg, more, 1);
    }
    if (part != NULL) {
        ph_map_clear_last(sp);
        sp->units += part->units;
        sp->state = joined_state(sp->state, part->state);
        hp->live_units += part->units;
        ph_map_ends(sp);
        ph_span_drop(part);
    }
    ph_lock_give(&hp->span_lock);
    return part != NULL;
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
    rest->state = SPAN_DIRTY;
    rest->freed_ms = (uint32_t)ph_os_clock_ms();
    span_join(hp, ph_region_of(hp, ph_span_start(rest)), rest);
    ph_lock_give(&hp->span_lock);
}

/* The page, run or free span around an address: backwards to the nearest entry.  Held: span lock,
 * or the heap is closed. */
struct span *ph_span_containing(struct heap *hp, const void *address)
{
    const struct region *rg = ph_region_of(hp, address);
    if (rg == NULL)
        return NULL;
    const char *lowest = ph_region_unit(rg, rg->first);
    const char *unit = (const char *)((uintptr_t)address & ~(uintptr_t)(UNIT_BYTES - 1));
    if ((size_t)(unit - rg->base) >> UNIT_BITS >= rg->top)
        return NULL;
    for (; unit >= lowest; unit -= UNIT_BYTES) {
        const uint64_t entry = map_get(unit);
        if (entry_kind(entry) == KIND_NONE || entry_kind(entry) == KIND_EDGE)
            continue;
        return ph_span_at(entry_span(entry));
    }
    return NULL;
}

bool ph_span_is_valid(const struct heap *hp, const struct span *sp)
{
    const uint64_t entry = map_get(ph_span_start(sp));
    const uint64_t last = map_get(ph_unit_address(sp->start + sp->units - 1));
    return sp->units > 0 && entry_span(entry) == sp->self && entry_span(last) == sp->self &&
           (uint32_t)entry == sp->tag && (uint32_t)last == sp->tag && (sp->tag & 0xffff00) == hp->tag;
}

/* The heap is going: every entry of its regions cleared but the first, descriptors dropped. */
void ph_span_forget(struct heap *hp)
{
    for (struct region *rg = hp->regions; rg != NULL; rg = rg->next) {
        for (uint32_t unit = rg->first; unit < rg->top;) {
            struct span *sp = ph_span_containing(hp, ph_region_unit(rg, unit));
            if (sp == NULL)
                break;
            unit += (uint32_t)sp->units;
            if (entry_kind(sp->tag) < KIND_RUN) {
                ph_map_clear(sp);
                if (sp->cell != 0)
                    ph_pool_give(&ph_pool_sizes, sp->cell);
            } else {
                ph_map_clear_ends(sp);
            }
            ph_span_drop(sp);
        }
    }
    for (unsigned bin = 0; bin < BIN_COUNT; bin++)
        hp->bin[bin] = SPAN_NONE;
    hp->bins_used = 0;
    hp->live_units = hp->dirty_units = hp->reserved_units = 0;
}
