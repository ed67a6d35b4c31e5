/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* visit.c -- every live block of a heap, with one lock for all of them.
 *
 * Owns:    nothing.  Calls: walk.c to close the heap, page.c, packed.c and span.c to read it.
 * Locks:   the heap is closed while the visitor runs.
 * Always:  all stacks are emptied, so that a size code other than 0 is a live block.
 * Why:     apart from walk.c, because this loop is made fast, not small: a call of the visitor is
 *          most of what a block costs. */
#include "api.h"
#include "hot.h"

struct visit {
    ph_visitor visitor;
    void *context;
};

static bool visit_one(const struct visit *vi, void *block, size_t bytes)
{
    const struct ph_block shown = {.address = block, .bytes = bytes};
    return vi->visitor(&shown, vi->context) != FALSE;
}

static bool visit_sized(const struct visit *vi, const struct span *pg)
{
    const unsigned class = kind_class(entry_kind(pg->tag));
    const size_t bytes = ph_class_bytes[class];
    const uint16_t *code = ph_page_size_place(pg, 0);
    struct ph_block shown = {.address = ph_page_block(pg, 0)};
    for (unsigned left = pg->carved; left > 0; left--, code--, shown.address = (char *)shown.address + bytes) {
        if (*code == 0)
            continue;
        shown.bytes = bytes + 1 - *code / 3u;
        struct ph_block seen = shown; /* the visitor cannot change where we are */
        if (!vi->visitor(&seen, vi->context))
            return false;
    }
    return true;
}

static bool visit_plain(const struct visit *vi, const struct span *pg)
{
    for (unsigned index = 0; index < pg->carved; index++)
        if (!ph_page_is_free(pg, index) &&
            !visit_one(vi, ph_page_block(pg, index), ph_class_bytes[kind_class(entry_kind(pg->tag))]))
            return false;
    return true;
}

static bool visit_span(const struct visit *vi, const struct span *sp)
{
    const unsigned kind = entry_kind(sp->tag);
    if (kind == KIND_RUN)
        return visit_one(vi, ph_span_start(sp), sp->sized ? sp->wanted : ph_span_bytes(sp));
    if (kind >= KIND_RUN)
        return true;
    return kind_is_sized(kind) ? visit_sized(vi, sp) : visit_plain(vi, sp);
}

static bool visit_region(struct heap *hp, const struct visit *vi, const struct region *rg)
{
    struct packed_part part;
    const size_t tail = ph_debug_tail_bytes(hp);
    const char *top = rg->packed != NULL ? rg->base + (rg->packed->top << GRANULE_BITS) : NULL;
    for (const char *at = rg->base + ph_packed_control_bytes(); at < top && ph_packed_part(rg, at, &part); at = part.at + part.bytes)
        if (part.live && !visit_one(vi, part.at, part.wanted - tail))
            return false;
    for (uint32_t unit = rg->first; unit < rg->top;) {
        const struct span *sp = ph_span_containing(hp, ph_region_unit(rg, unit));
        if (sp == NULL)
            return true;
        if (!visit_span(vi, sp))
            return false;
        unit += (uint32_t)sp->units;
    }
    return true;
}

static bool visit_heap(struct heap *hp, const struct visit *vi)
{
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        if (!visit_region(hp, vi, rg))
            return false;
    for (uint32_t i = hp->large; i != SPAN_NONE; i = ph_span_at(i)->next) {
        const struct span *sp = ph_span_at(i);
        if (!visit_one(vi, ph_large_block(sp), sp->sized ? sp->wanted : sp->mapped_bytes))
            return false;
    }
    return true;
}

BOOL ph_heap_visit(HANDLE heap, ph_visitor visitor, void *context)
{
    const struct visit vi = {visitor, context};
    struct heap *hp = ph_api_heap(heap);
    if (hp == NULL)
        return FALSE;
    if (visitor == NULL)
        return ph_api_refuse(ERROR_INVALID_PARAMETER);
    ph_walk_close(hp, ENTER_PATIENTLY);
    const bool all = visit_heap(hp, &vi);
    ph_gate_open(hp);
    return all ? TRUE : FALSE;
}
