/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* forget.c -- the end of a heap: its spans' entries cleared, descriptors and cells given back; and of regions in which
 * nothing is in use, or of their ends.
 *
 * Owns:    nothing.
 * Calls:   map.c, meta.c, region.c.  Beside span.c, whose descriptors these are.
 * Locks:   none but the pools', where the heap is nobody's any more; for regions LOCK span, taken inside.
 * Why:     a million blocks are thousands of descriptors, each a line that the processor no longer has
 *          at hand: they go back in rows, most of them unread. */
#include "hot.h"

/* Descriptors and cells on their way back, a row for each pool: its lock is taken once. */
struct row {
    struct pool *po;
    uint32_t first, last;
};

static void row_add(struct row *row, uint32_t cell)
{
    *(uint32_t *)ph_cell_at(cell) = row->first;
    row->last = row->first == 0 ? cell : row->last;
    row->first = cell;
}

static void row_give(const struct row *row)
{
    if (row->first != 0)
        ph_pool_give_row(row->po, row->first, row->last);
}

static bool entry_is_sized(uint64_t entry) { return kind_is_sized(entry_kind(entry)) && entry_kind(entry) < KIND_RUN; }

/* A sized page, its descriptor given back unread; its units. */
static uint32_t sized_forget(const uint64_t *entry, uint32_t most, struct row *cells, struct row *spans)
{
    uint32_t units = 1;
    while (units < most && entry[units] == *entry)
        units++;
    const size_t bytes = ph_size_cell_bytes(units * UNIT_BYTES / ph_class_bytes[kind_class(entry_kind(*entry))]);
    while (bytes > (size_t)cells->po->cells << CELL_BITS)
        cells++;
    row_add(spans, entry_cell(*entry)->span);
    row_add(cells, entry_cell_number(*entry));
    return units;
}

/* A million blocks are thousands of descriptors, far apart: what the entry of a unit further on leads
 * to is fetched ahead. */
static void entries_forget(const uint64_t *entry, uint32_t most, struct row *cells, struct row *spans)
{
    enum { AHEAD = 64 };
    for (uint32_t unit = 0; unit < most && entry[unit] != 0;) {
        if (unit + AHEAD < most && entry_is_sized(entry[unit + AHEAD]))
            __builtin_prefetch(entry_cell(entry[unit + AHEAD]), 1);
        if (entry_is_sized(entry[unit])) {
            unit += sized_forget(entry + unit, most - unit, cells, spans);
        } else {
            struct span *sp = ph_span_at(entry_span(entry[unit]));
            unit += (uint32_t)sp->units;
            row_add(spans, sp->self);
        }
    }
}

/* The same where the entries of a region stand in two leaves of the map. */
static void entries_forget_apart(const struct region *rg, struct row *spans)
{
    uint64_t entry;
    for (uint32_t unit = rg->first; unit < rg->top && (entry = map_get(ph_region_unit(rg, unit))) != 0;) {
        struct span *sp = ph_span_at(entry_span(entry));
        unit += (uint32_t)sp->units;
        if (sp->cell != 0)
            ph_pool_give(ph_pool_of(ph_size_cell_bytes(sp->capacity)), sp->cell);
        row_add(spans, sp->self);
    }
}

static void region_forget(const struct region *rg, struct row *cells, struct row *spans)
{
    const uint64_t from = ((uintptr_t)rg->base >> UNIT_BITS) + rg->first, last = from + (rg->top - rg->first) - 1;
    if (from / MAP_LEAF_ENTRIES == last / MAP_LEAF_ENTRIES)
        entries_forget(ph_map_root[from / MAP_LEAF_ENTRIES] + from % MAP_LEAF_ENTRIES, rg->top - rg->first, cells, spans);
    else
        entries_forget_apart(rg, spans);
    ph_map_clear_range(ph_region_unit(rg, rg->first), rg->top - rg->first);
}

/* Every span and page of a heap that ends. */
static void spans_forget(struct heap *hp)
{
    struct row spans = {.po = &ph_pool_spans}, cells[POOL_COUNT] = {{0}};
    for (unsigned i = 0; i < POOL_COUNT; i++)
        cells[i].po = ph_pool_number(i);
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        if (rg->top > rg->first)
            region_forget(rg, cells, &spans);
    while (hp->spares != SPAN_NONE)
        row_add(&spans, ph_span_descriptor(hp)->self);
    for (unsigned i = 0; i < POOL_COUNT; i++)
        row_give(&cells[i]);
    row_give(&spans);
}

void ph_span_forget(struct heap *hp)
{
    if (hp->live_units > 0 || hp->bins_used != 0 || hp->spares != SPAN_NONE)
        spans_forget(hp);
    for (unsigned bin = 0; hp->bins_used != 0 && bin < BIN_COUNT; bin++)
        hp->bin[bin] = SPAN_NONE;
    hp->bins_used = hp->peak_units = hp->low_units = hp->low_ms = hp->swing_units = hp->shed_units = 0;
    hp->live_units = hp->dirty_units = 0;
    hp->purge_ms = hp->gives = hp->sheds = 0;
}

/* ---- a region ------------------------------------------------------------------------------------ */

/* The free span or guard that begins there; NULL: something is in use. */
static struct span *idle_span(const struct heap *hp, uint64_t unit)
{
    const uint64_t entry = map_get(ph_unit_address(unit));
    const bool idle = (uint32_t)entry == (hp->tag | KIND_FREE) || (uint32_t)entry == (hp->tag | KIND_GUARD);
    return idle ? ph_span_at(entry_span(entry)) : NULL;
}

/* Is nothing of that region in use?  Then its spans are given up.  Held: the span lock. */
static bool region_empty(struct heap *hp, const struct region *rg)
{
    const uint64_t base = (uintptr_t)rg->base >> UNIT_BITS;
    struct span *sp;
    if (rg->packed != NULL)
        return false;
    for (uint32_t unit = rg->first; unit < rg->top; unit += (uint32_t)sp->units)
        if ((sp = idle_span(hp, base + unit)) == NULL)
            return false;
    for (uint32_t unit = rg->first; unit < rg->top;) {
        sp = idle_span(hp, base + unit);
        unit += (uint32_t)sp->units;
        ph_span_discard(hp, sp);
    }
    return true;
}

/* Regions but the first in which nothing is in use go back whole; whether there were some. */
bool ph_span_release(struct heap *hp)
{
    bool any = false;
    ph_lock_take(&hp->span_lock);
    for (struct region *rg = hp->regions; rg->next != NULL;)
        if (region_empty(hp, rg->next)) {
            ph_region_drop_next(hp, rg);
            any = true;
        } else {
            rg = rg->next;
        }
    ph_lock_give(&hp->span_lock);
    return any;
}

/* The end of a region that nobody uses goes, from a multiple of HEAP_ALIGN on. */
static bool region_retreat(struct heap *hp, struct region *rg)
{
    const uint64_t base = (uintptr_t)rg->base >> UNIT_BITS;
    struct span *sp = rg->top > rg->first ? idle_span(hp, base + rg->top - 1) : NULL;
    if (sp != NULL && entry_kind(sp->tag) != KIND_FREE)
        sp = NULL;
    const uint32_t used = sp != NULL ? rg->top - (uint32_t)sp->units : rg->top;
    const uint32_t keep = (uint32_t)(ph_round_up((size_t)used << UNIT_BITS, HEAP_ALIGN) >> UNIT_BITS);
    if (keep >= rg->units)
        return false;
    rg->top = keep < rg->top ? keep : rg->top;
    if (sp != NULL && rg->top > used)
        ph_span_keep(hp, sp, rg->top - used);
    else if (sp != NULL)
        ph_span_discard(hp, sp);
    ph_region_cut(hp, rg, keep);
    return true;
}

/* The unused ends of all regions but the first, whether there were some: descriptors have mappings of their own, and
 * where the system has no memory left for these, free blocks of other sizes are of no use.  Not for a request that all
 * regions together could not serve: each of those would cost the heap its ends. */
bool ph_span_retreat(struct heap *hp, uint64_t units)
{
    bool any = false;
    ph_lock_take(&hp->span_lock);
    struct region *rg = units < hp->reserved_units && hp->bound_units == 0 ? hp->regions->next : NULL;
    for (; rg != NULL; rg = rg->next)
        any |= rg->packed == NULL && region_retreat(hp, rg);
    ph_lock_give(&hp->span_lock);
    return any;
}
