/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* walk.c -- reads a heap from outside: HeapWalk, HeapValidate, sums.
 *
 * Owns:    nothing.
 * Calls:   gate.c and local.c to close the heap and empty its stacks; then reads span.c, page.c,
 *          region.c through the page map.
 * Locks:   closes the gate for each call; nobody is inside meanwhile.
 * Always:  all state of a walk is in its entry.
 * Why:     with every stack emptied into its pages first, the bits alone say what is live: a block
 *          that lies in some thread's stack is never shown as busy. */
#include "hot.h"

#include "small.h"

static void walk_close(struct heap *hp, enum enter enter)
{
    ph_gate_close(hp, enter);
    ph_local_empty_all(hp);
}

static char *span_end(const struct span *sp) { return (char *)ph_span_start(sp) + ph_span_bytes(sp); }

static bool span_is_page(const struct span *sp) { return entry_kind(sp->tag) < KIND_RUN; }

static unsigned page_bytes(const struct span *pg) { return ph_class_bytes[kind_class(entry_kind(pg->tag))]; }

/* ---- one step ----------------------------------------------------------------------------------- */

static enum walk_result show(struct walk_entry *we, enum walk_what what, char *at, size_t bytes, unsigned region)
{
    *we = (struct walk_entry){.at = at, .bytes = bytes, .region = region, .what = what};
    return WALK_ENTRY;
}

/* W32 3.10: a region's own entry stands before its blocks. */
static enum walk_result show_region(const struct region *rg, struct walk_entry *we)
{
    (void)show(we, WALK_REGION, rg->base, (size_t)rg->first << UNIT_BITS, rg->index);
    we->rg = rg;
    return WALK_ENTRY;
}

static enum walk_result show_large(uint32_t index, struct walk_entry *we)
{
    if (index == SPAN_NONE)
        return WALK_END;
    const struct span *sp = ph_span_at(index);
    (void)show(we, WALK_BUSY, ph_span_start(sp), sp->sized ? sp->wanted : sp->mapped_bytes, 0);
    we->large = true;
    return WALK_ENTRY;
}

static bool page_block_is_free(const struct span *pg, unsigned index)
{
    return pg->bits[index / 64] >> (index % 64) & 1;
}

/* The element of a page at or behind `at`; false when none is left. */
static bool show_page(const struct span *pg, char *at, unsigned region, struct walk_entry *we)
{
    const unsigned bytes = page_bytes(pg);
    char *first = ph_page_block(pg, 0);
    const unsigned index = at > first ? (unsigned)((size_t)(at - first) + bytes - 1) / bytes : 0;
    char *block = ph_page_block(pg, index);
    if (index >= pg->capacity)
        return false;
    if (index >= pg->carved) {
        (void)show(we, WALK_FREE, block, (size_t)(span_end(pg) - block), region);
        return true;
    }
    const bool is_free = page_block_is_free(pg, index);
    const size_t wanted = !is_free && kind_is_sized(entry_kind(pg->tag)) ? ph_page_wanted(pg, index) : bytes;
    (void)show(we, is_free ? WALK_FREE : WALK_BUSY, block, wanted, region);
    we->overhead = (unsigned)(bytes - wanted) < 255 ? (unsigned)(bytes - wanted) : 255;
    return true;
}

static enum walk_result show_next_region(struct heap *hp, const struct region *rg, struct walk_entry *we)
{
    return rg->next != NULL ? show_region(rg->next, we) : show_large(hp->large, we);
}

/* The element of a region at or behind `at`. */
static enum walk_result show_at(struct heap *hp, const struct region *rg, char *at, struct walk_entry *we)
{
    while (at < ph_region_unit(rg, rg->top)) {
        const struct span *sp = ph_span_containing(hp, at);
        if (sp == NULL)
            return WALK_BAD;
        if (span_is_page(sp)) {
            if (show_page(sp, at, rg->index, we))
                return WALK_ENTRY;
        } else if (at == ph_span_start(sp)) {
            const size_t bytes = ph_span_bytes(sp);
            if (entry_kind(sp->tag) == KIND_FREE)
                return show(we, WALK_FREE, at, bytes, rg->index);
            return show(we, WALK_BUSY, at, sp->sized ? sp->wanted : bytes, rg->index);
        }
        at = span_end(sp);
    }
    if (at < ph_region_unit(rg, rg->committed))
        return show(we, WALK_FREE, at, (size_t)(ph_region_unit(rg, rg->committed) - at), rg->index);
    if (at < ph_region_unit(rg, rg->units))
        return show(we, WALK_UNCOMMITTED, at, (size_t)(ph_region_unit(rg, rg->units) - at), rg->index);
    return show_next_region(hp, rg, we);
}

/* Where the walk goes on behind an element that starts at `at`, of whatever is there by now. */
static char *behind(struct heap *hp, const struct region *rg, char *at)
{
    if (at >= ph_region_unit(rg, rg->top))
        return at < ph_region_unit(rg, rg->committed) ? ph_region_unit(rg, rg->committed) : ph_region_unit(rg, rg->units);
    const struct span *sp = ph_span_containing(hp, at);
    if (sp == NULL || !span_is_page(sp))
        return sp != NULL ? span_end(sp) : at + UNIT_BYTES;
    char *first = ph_page_block(sp, 0);
    if (at < first)
        return first;
    const unsigned index = (unsigned)((size_t)(at - first) / page_bytes(sp));
    return index >= sp->carved ? span_end(sp) : ph_page_block(sp, index + 1);
}

static enum walk_result walk_step(struct heap *hp, struct walk_entry *we)
{
    if (we->at == NULL)
        return show_region(hp->regions, we);
    const struct region *rg = ph_region_of(hp, we->at);
    if (rg == NULL) {
        const uint64_t entry = map_get(we->at);
        if ((uint32_t)entry != (hp->tag | KIND_LARGE))
            return WALK_BAD;
        return show_large(ph_span_at(entry_span(entry))->next, we);
    }
    if (we->what == WALK_REGION)
        return we->at == rg->base ? show_at(hp, rg, ph_region_unit(rg, rg->first), we) : WALK_BAD;
    if (we->what == WALK_UNCOMMITTED)
        return show_next_region(hp, rg, we);
    return show_at(hp, rg, behind(hp, rg, we->at), we);
}

enum walk_result ph_walk_next(struct heap *hp, struct walk_entry *we, enum enter enter)
{
    walk_close(hp, enter);
    const enum walk_result result = walk_step(hp, we);
    ph_gate_open(hp);
    return result;
}

/* ---- validation --------------------------------------------------------------------------------- */

static bool region_is_valid(struct heap *hp, const struct region *rg)
{
    if (rg->first > rg->top || (rg->top > rg->first && rg->top > rg->committed) || rg->committed > rg->units)
        return false;
    for (uint32_t unit = rg->first; unit < rg->top;) {
        const struct span *sp = ph_span_containing(hp, ph_region_unit(rg, unit));
        if (sp == NULL || ph_span_start(sp) != ph_region_unit(rg, unit) || !ph_span_is_valid(hp, sp))
            return false;
        if (span_is_page(sp) && !ph_page_is_valid(sp))
            return false;
        unit += (uint32_t)sp->units;
        if (unit > rg->top)
            return false;
    }
    return true;
}

static bool large_list_is_valid(const struct heap *hp)
{
    uint64_t count = 0, bytes = 0;
    uint32_t before = SPAN_NONE;
    for (uint32_t i = hp->large; i != SPAN_NONE && count <= hp->large_count; count++) {
        const struct span *sp = ph_span_at(i);
        if (sp->tag != (hp->tag | KIND_LARGE) || sp->prev != before || sp->wanted > sp->mapped_bytes ||
            entry_span(map_get(ph_span_start(sp))) != i)
            return false;
        bytes += sp->mapped_bytes;
        before = i;
        i = sp->next;
    }
    return count == hp->large_count && bytes == hp->large_bytes;
}

static bool heap_is_valid(struct heap *hp)
{
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        if (!region_is_valid(hp, rg))
            return false;
    return large_list_is_valid(hp);
}

/* W32 3.7. */
bool ph_walk_validate(struct heap *hp, const void *block, enum enter enter)
{
    struct block_info bi;
    walk_close(hp, enter);
    const bool valid = block == NULL ? heap_is_valid(hp) : ph_heap_look(block, &bi) == BLOCK_OK && bi.heap == hp;
    ph_gate_open(hp);
    return valid;
}

bool ph_walk_visit(struct heap *hp, bool (*visit)(void *block, size_t bytes, void *context), void *context)
{
    struct walk_entry we = {.at = NULL};
    bool go_on = true;
    walk_close(hp, ENTER_PATIENTLY);
    while (go_on && walk_step(hp, &we) == WALK_ENTRY)
        if (we.what == WALK_BUSY)
            go_on = visit(we.at, we.bytes, context);
    ph_gate_open(hp);
    return go_on;
}

/* ---- sums --------------------------------------------------------------------------------------- */

static void sum_free(size_t bytes, struct heap_sums *out)
{
    if (bytes > out->largest_free)
        out->largest_free = bytes;
}

static void sum_page(const struct span *pg, struct heap_sums *out)
{
    const unsigned live = pg->carved - pg->free_count;
    const unsigned bytes = page_bytes(pg);
    out->live_blocks += live;
    out->free_blocks += pg->capacity - live;
    sum_free(pg->free_count > 0 ? bytes : 0, out);
    sum_free((size_t)(pg->capacity - pg->carved) * bytes, out);
    if (!kind_is_sized(entry_kind(pg->tag))) {
        out->live_bytes += (uint64_t)live * bytes;
        return;
    }
    for (unsigned i = 0; i < pg->carved; i++)
        if (!page_block_is_free(pg, i))
            out->live_bytes += ph_page_wanted(pg, i);
}

static void sum_region(struct heap *hp, const struct region *rg, struct heap_sums *out)
{
    out->reserved_bytes += (uint64_t)rg->units << UNIT_BITS;
    out->committed_bytes += (uint64_t)rg->committed << UNIT_BITS;
    sum_free(rg->committed > rg->top ? (size_t)(rg->committed - rg->top) << UNIT_BITS : 0, out);
    for (uint32_t unit = rg->first; unit < rg->top;) {
        const struct span *sp = ph_span_containing(hp, ph_region_unit(rg, unit));
        if (sp == NULL)
            return;
        unit += (uint32_t)sp->units;
        if (span_is_page(sp)) {
            sum_page(sp, out);
        } else if (entry_kind(sp->tag) == KIND_FREE) {
            out->free_blocks++;
            sum_free(ph_span_bytes(sp), out);
        } else {
            out->live_blocks++;
            out->live_bytes += sp->sized ? sp->wanted : ph_span_bytes(sp);
        }
    }
}

void ph_walk_sums(struct heap *hp, struct heap_sums *out)
{
    *out = (struct heap_sums){0};
    walk_close(hp, ENTER_UNLOCKED);
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        sum_region(hp, rg, out);
    for (uint32_t i = hp->large; i != SPAN_NONE; i = ph_span_at(i)->next) {
        const struct span *sp = ph_span_at(i);
        out->live_blocks++;
        out->large_live_bytes += sp->sized ? sp->wanted : sp->mapped_bytes;
    }
    out->live_bytes += out->large_live_bytes;
    out->large_blocks = hp->large_count;
    out->large_bytes = hp->large_bytes;
    out->committed_bytes += hp->large_bytes;
    out->reserved_bytes += hp->large_bytes;
    out->dirty_bytes = hp->dirty_units << UNIT_BITS;
    ph_gate_open(hp);
}
