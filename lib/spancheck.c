/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* spancheck.c -- whether spans are what their entries, bins and lists say.
 *
 * Owns:    nothing; reads what span.c owns.
 * Calls:   map.c, meta.c.
 * Locks:   held on entry: the span lock, or the heap is closed.
 * Always:  no number of a descriptor is followed before it is known to be one; each link is compared with
 *          the one that leads back, so that no list needs to be walked for it. */
#include "valid.h"

#include "hot.h"

#include "small.h"

/* A free span lies in its bin. */
static bool is_linked(const struct heap *hp, const struct span *sp)
{
    const struct span *before = ph_span_known(sp->prev), *after = ph_span_known(sp->next);
    return (sp->prev == SPAN_NONE ? hp->bin[span_bin((uint32_t)sp->units)] == sp->self : before != NULL && before->next == sp->self) &&
           (sp->next == SPAN_NONE || (after != NULL && after->prev == sp->self));
}

/* A bin that has spans begins with one that is its own; the rest is their links. */
bool ph_span_bins_are_valid(const struct heap *hp)
{
    for (unsigned bin = 0; bin < BIN_COUNT; bin++) {
        const struct span *sp = ph_span_known(hp->bin[bin]);
        if ((hp->bins_used >> bin & 1) != (hp->bin[bin] != SPAN_NONE))
            return false;
        if (hp->bin[bin] != SPAN_NONE && (sp == NULL || sp->tag != (hp->tag | KIND_FREE) || sp->self != hp->bin[bin] ||
                                          sp->units == 0 || span_bin((uint32_t)sp->units) != bin || sp->prev != SPAN_NONE))
            return false;
    }
    return true;
}

bool ph_span_spares_are_valid(const struct heap *hp)
{
    uint32_t count = 0, i = hp->spares;
    for (; i != SPAN_NONE && count < hp->spare_count && count < SPAN_SPARES; count++) {
        const struct span *sp = ph_span_known(i);
        if (sp == NULL || sp->tag != hp->tag || sp->self != i || sp->cell != 0 || sp->state != 0 || sp->listed != 0 || sp->odd != 0 || sp->none != 0)
            return false;
        i = sp->next;
    }
    return i == SPAN_NONE && count == hp->spare_count;
}

bool ph_span_is_valid(const struct heap *hp, const struct span *sp)
{
    const uint32_t kind = sp->tag - hp->tag;
    if (sp->units == 0 || kind == KIND_NONE || kind > KIND_GUARD || ph_map_span(map_get(ph_span_start(sp))) != sp || !ph_map_names(sp))
        return false;
    if (sp->state != SPAN_DIRTY && sp->state != SPAN_PURGED && sp->state != SPAN_VIRGIN)
        return false;
    if (kind < KIND_RUN)
        return true;
    if (sp->cell != 0 || sp->seal != span_seal(sp))
        return false;
    if (kind == KIND_FREE)
        return sp->carved == 0 && is_linked(hp, sp);
    return sp->prev == SPAN_NONE && (sp->carved == RUN_KEPT ? sp->state == SPAN_DIRTY : sp->carved == 0 && sp->next == SPAN_NONE);
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
        if (entry_kind(entry) == KIND_NONE)
            continue;
        struct span *sp = ph_map_span(entry);
        return sp != NULL && ((uintptr_t)address >> UNIT_BITS) - sp->start < sp->units ? sp : NULL;
    }
    return NULL;
}
