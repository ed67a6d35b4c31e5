/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* walk.c -- reads a heap from outside: HeapWalk, sums.  HeapValidate: valid.c.
 *
 * Owns:    nothing.
 * Calls:   gate.c and local.c to close the heap and empty its stacks; then reads span.c, page.c,
 *          region.c through the page map.
 * Locks:   closes the gate for each call; nobody is inside meanwhile.
 * Always:  all state of a walk is in its entry.
 * Why:     with every stack emptied into its pages first, the bits alone say what is live: a block
 *          that lies in some thread's stack is never shown as busy. */
#include "hot.h"
#include "pageheap.h"
#include "valid.h"

#include "small.h"

void ph_walk_close(struct heap *hp, enum enter enter)
{
    ph_gate_close(hp, enter);
    ph_local_empty_all(hp);
}

static char *span_end(const struct span *sp) { return (char *)ph_span_start(sp) + ph_span_bytes(sp); }

static bool span_is_page(const struct span *sp) { return entry_kind(sp->tag) < KIND_RUN; }

static unsigned page_bytes(const struct span *pg) { return ph_class_bytes[kind_class(entry_kind(pg->tag))]; }

/* NULL also where it would lead out of bounds. */
static const struct span *walk_span(struct heap *hp, const char *at)
{
    const struct span *sp = ph_span_containing(hp, at);
    return sp != NULL && (!span_is_page(sp) || ph_page_is_sound(sp)) ? sp : NULL;
}

/* A part of packed memory; the tail of a debug heap's block is no part of what was wanted. */
static bool packed_part(const struct heap *hp, const struct region *rg, const char *at, struct packed_part *out)
{
    if (!ph_packed_part(rg, at, out))
        return false;
    const size_t tail = out->live ? ph_debug_tail_bytes(hp) : 0;
    out->wanted -= tail <= out->wanted ? tail : 0;
    return true;
}

/* ---- one step ----------------------------------------------------------------------------------- */

static enum walk_result show(struct walk_entry *we, enum walk_what what, char *at, size_t bytes, unsigned region)
{
    *we = (struct walk_entry){.at = at, .bytes = bytes, .region = region, .what = what};
    return WALK_ENTRY;
}

/* The first address of a region that may be an element's. */
static char *region_start(const struct region *rg)
{
    return rg->packed != NULL ? rg->base + ph_packed_control_bytes() : ph_region_unit(rg, rg->first);
}

/* W32 3.10: a region's own entry stands before its blocks. */
static enum walk_result show_region(const struct region *rg, struct walk_entry *we)
{
    (void)show(we, WALK_REGION, rg->base, (size_t)(region_start(rg) - rg->base), rg->index);
    we->rg = rg;
    we->first = region_start(rg);
    return WALK_ENTRY;
}

/* The large block of that number, the next of the one `before`. */
static enum walk_result show_large(const struct heap *hp, uint32_t index, uint32_t before, struct walk_entry *we)
{
    if (index == SPAN_NONE)
        return WALK_END;
    const struct span *sp = ph_span_known(index);
    if (sp == NULL || sp->tag != (hp->tag | KIND_LARGE) || sp->prev != before)
        return WALK_BAD;
    (void)show(we, WALK_BUSY, ph_large_block(sp), sp->sized ? sp->wanted : sp->mapped_bytes, 0);
    we->large = true;
    return WALK_ENTRY;
}

/* A live block, and what its last bytes that nobody asked for are: overhead, while a BYTE can say so;
 * else an element of their own that starts at the next multiple of 16. */
static char *slack_start(char *block, size_t wanted, size_t bytes)
{
    return bytes - wanted <= UINT8_MAX ? block + bytes : block + ph_round_up(wanted > 0 ? wanted : 1, 16);
}

static void show_block(char *block, size_t wanted, size_t bytes, unsigned region, struct walk_entry *we)
{
    (void)show(we, WALK_BUSY, block, wanted, region);
    we->overhead = (unsigned)(slack_start(block, wanted, bytes) - block - wanted);
}

/* One that is live or free, of `bytes`: the element of it at or behind `at`; false when none is. */
static bool show_part(char *block, size_t wanted, size_t bytes, bool live, char *at, unsigned region, struct walk_entry *we)
{
    wanted = wanted < bytes ? wanted : bytes;
    if (at <= block) {
        if (live)
            show_block(block, wanted, bytes, region, we);
        else
            (void)show(we, WALK_FREE, block, bytes, region);
        return true;
    }
    char *slack = slack_start(block, wanted, bytes);
    if (!live || at > slack || slack == block + bytes)
        return false;
    (void)show(we, WALK_FREE, slack, (size_t)(block + bytes - slack), region);
    return true;
}

static bool page_block_is_live(const struct span *pg, unsigned index)
{
    return index < pg->carved && !ph_page_is_free(pg, index);
}

static size_t page_block_wanted(const struct span *pg, unsigned index)
{
    const size_t bytes = page_bytes(pg);
    const size_t wanted = kind_is_sized(entry_kind(pg->tag)) ? ph_page_wanted(pg, index) : bytes;
    return wanted <= bytes ? wanted : bytes;
}

/* The element of a page at or behind `at`; false when none is left.  What is left over at the page's
 * start, and the blocks that were never used, are one free element each. */
static bool show_page(const struct span *pg, char *at, unsigned region, struct walk_entry *we)
{
    const unsigned bytes = page_bytes(pg);
    char *first = ph_page_block(pg, 0);
    if (at < first && at > (char *)ph_span_start(pg))
        at = first;
    if (at < first) {
        (void)show(we, WALK_FREE, ph_span_start(pg), (size_t)(first - (char *)ph_span_start(pg)), region);
        return true;
    }
    for (unsigned index = (unsigned)((size_t)(at - first) / bytes); index < pg->capacity; index++) {
        char *block = ph_page_block(pg, index);
        if (index >= pg->carved) {
            if (at > ph_page_block(pg, pg->carved))
                return false;
            (void)show(we, WALK_FREE, block, (size_t)(span_end(pg) - block), region);
            return true;
        }
        const bool live = page_block_is_live(pg, index);
        if (show_part(block, live ? page_block_wanted(pg, index) : 0, bytes, live, at, region, we))
            return true;
    }
    return false;
}

static enum walk_result show_next_region(struct heap *hp, const struct region *rg, struct walk_entry *we)
{
    return rg->next != NULL ? show_region(rg->next, we) : show_large(hp, hp->large, SPAN_NONE, we);
}

/* Packed memory: the element at or behind `at`; false when none is left.  *bad: it is damaged. */
static bool show_packed(const struct heap *hp, const struct region *rg, char *at, struct walk_entry *we, bool *bad)
{
    struct packed_part part;
    char *const end = ph_region_unit(rg, rg->first);
    char *const committed = ph_region_unit(rg, rg->committed < rg->first ? rg->committed : rg->first);
    char *const top = rg->base + (rg->packed->top << GRANULE_BITS);
    while (at < top) {
        if (!packed_part(hp, rg, at, &part)) {
            *bad = true;
            return false;
        }
        if (show_part(part.at, part.wanted, part.bytes, part.live, at, rg->index, we))
            return true;
        at = part.at + part.bytes;
    }
    if (at <= top && top < committed)
        (void)show(we, WALK_FREE, top, (size_t)(committed - top), rg->index);
    else if (at <= committed && committed < end)
        (void)show(we, WALK_UNCOMMITTED, committed, (size_t)(end - committed), rg->index);
    else
        return false;
    return true;
}

/* The element of a region at or behind `at`. */
static enum walk_result show_at(struct heap *hp, const struct region *rg, char *at, struct walk_entry *we)
{
    bool bad = false;
    if (rg->packed != NULL && at < ph_region_unit(rg, rg->first)) {
        if (show_packed(hp, rg, at, we, &bad))
            return WALK_ENTRY;
        if (bad)
            return WALK_BAD;
        at = ph_region_unit(rg, rg->first);
    }
    while (at < ph_region_unit(rg, rg->top)) {
        const struct span *sp = walk_span(hp, at);
        if (sp == NULL)
            return WALK_BAD;
        const bool live = entry_kind(sp->tag) != KIND_FREE;
        const size_t bytes = ph_span_bytes(sp);
        const bool is_guard = entry_kind(sp->tag) == KIND_GUARD; /* no element: who walks may look at what is shown */
        if (span_is_page(sp) ? show_page(sp, at, rg->index, we)
                             : !is_guard && show_part(ph_span_start(sp), live && sp->sized ? sp->wanted : bytes, bytes, live, at, rg->index, we))
            return WALK_ENTRY;
        at = span_end(sp);
    }
    if (at < ph_region_unit(rg, rg->committed))
        return show(we, WALK_FREE, at, (size_t)(ph_region_unit(rg, rg->committed) - at), rg->index);
    if (at < ph_region_unit(rg, rg->units))
        return show(we, WALK_UNCOMMITTED, at, (size_t)(ph_region_unit(rg, rg->units) - at), rg->index);
    return show_next_region(hp, rg, we);
}

/* Where the walk goes on behind an element that starts at `at`, of whatever is there by now: one byte
 * on, and what covers that address has been seen, unless something starts between. */
static char *behind(const struct region *rg, char *at)
{
    if (at >= ph_region_unit(rg, rg->top) && at >= ph_region_unit(rg, rg->first))
        return at < ph_region_unit(rg, rg->committed) ? ph_region_unit(rg, rg->committed) : ph_region_unit(rg, rg->units);
    return at + 1;
}

/* Inside a live block, where no element ever begins. */
static bool is_within(char *block, size_t wanted, size_t bytes, const char *at)
{
    return at != block && at != slack_start(block, wanted, bytes);
}

static bool is_within_page(const struct span *pg, const char *at)
{
    const char *first = ph_page_block(pg, 0);
    const unsigned index = at < first ? PAGE_BLOCKS : (unsigned)((size_t)(at - first) / page_bytes(pg));
    return index < PAGE_BLOCKS && page_block_is_live(pg, index) &&
           is_within(ph_page_block(pg, index), page_block_wanted(pg, index), page_bytes(pg), at);
}

/* W32 3.10: an address that cannot have been an element's.  One whose block has gone is none of these. */
static bool names_nothing(struct heap *hp, const struct region *rg, const char *at)
{
    struct packed_part part;
    if (((uintptr_t)at & 15) != 0 || at < region_start(rg))
        return true;
    if (rg->packed != NULL && at < ph_region_unit(rg, rg->first))
        return at < rg->base + (rg->packed->top << GRANULE_BITS) &&
               (!packed_part(hp, rg, at, &part) || (part.live && is_within(part.at, part.wanted, part.bytes, at)));
    if (at >= ph_region_unit(rg, rg->top))
        return false;
    const struct span *sp = walk_span(hp, at);
    if (sp == NULL)
        return true;
    if (span_is_page(sp))
        return is_within_page(sp, at);
    const size_t bytes = ph_span_bytes(sp);
    return entry_kind(sp->tag) == KIND_RUN && is_within(ph_span_start(sp), sp->sized ? sp->wanted : bytes, bytes, at);
}

static enum walk_result walk_step(struct heap *hp, struct walk_entry *we)
{
    if (we->at == NULL)
        return show_region(hp->regions, we);
    const struct region *rg = ph_region_of(hp, we->at);
    if (rg == NULL) {
        const uint64_t entry = map_get(we->at);
        const struct span *sp = (uint32_t)entry == (hp->tag | KIND_LARGE) ? ph_map_span(entry) : NULL;
        return sp != NULL ? show_large(hp, sp->next, sp->self, we) : WALK_BAD;
    }
    if (we->what == WALK_REGION)
        return we->at == rg->base ? show_at(hp, rg, region_start(rg), we) : WALK_BAD;
    if (names_nothing(hp, rg, we->at))
        return WALK_BAD;
    if (we->what == WALK_UNCOMMITTED)
        return show_next_region(hp, rg, we);
    return show_at(hp, rg, behind(rg, we->at), we);
}

enum walk_result ph_walk_next(struct heap *hp, struct walk_entry *we, enum enter enter)
{
    struct stacked stacks;
    enum walk_result result = WALK_BAD;
    if (ph_valid_close(hp, enter) && (hp->gate.emptied || ph_valid_stacks(hp, &stacks))) {
        ph_local_empty_all(hp);
        result = walk_step(hp, we);
    }
    ph_gate_open(hp);
    return result;
}

/* ---- sums --------------------------------------------------------------------------------------- */

static void sum_free(size_t bytes, struct heap_sums *out)
{
    out->free_blocks++;
    out->largest_free = bytes > out->largest_free ? bytes : out->largest_free;
}

static void sum_page(const struct span *pg, struct heap_sums *out)
{
    const unsigned live = pg->carved - pg->free_count;
    const unsigned bytes = page_bytes(pg);
    out->live_blocks += live;
    out->free_blocks += pg->capacity - live;
    if (live < pg->capacity && bytes > out->largest_free)
        out->largest_free = bytes;
    for (unsigned i = 0; i < pg->carved; i++)
        if (page_block_is_live(pg, i))
            out->live_bytes += page_block_wanted(pg, i);
}

static void sum_packed(const struct heap *hp, const struct region *rg, struct heap_sums *out)
{
    struct packed_part part;
    const char *top = rg->base + (rg->packed->top << GRANULE_BITS);
    const char *committed = ph_region_unit(rg, rg->committed < rg->first ? rg->committed : rg->first);
    for (const char *at = region_start(rg); at < top && packed_part(hp, rg, at, &part); at = part.at + part.bytes) {
        if (part.live) {
            out->live_blocks++;
            out->live_bytes += part.wanted;
        } else {
            sum_free(part.bytes, out);
        }
    }
    if (top < committed)
        sum_free((size_t)(committed - top), out);
}

static void sum_spans(struct heap *hp, const struct region *rg, struct heap_sums *out)
{
    for (uint32_t unit = rg->first; unit < rg->top;) {
        const struct span *sp = ph_span_containing(hp, ph_region_unit(rg, unit));
        if (sp == NULL)
            return;
        unit += (uint32_t)sp->units;
        if (span_is_page(sp)) {
            sum_page(sp, out);
        } else if (entry_kind(sp->tag) == KIND_FREE) {
            sum_free(ph_span_bytes(sp), out);
        } else if (entry_kind(sp->tag) != KIND_GUARD) {
            out->live_blocks++;
            out->live_bytes += sp->sized ? sp->wanted : ph_span_bytes(sp);
        }
    }
}

static void sum_region(struct heap *hp, const struct region *rg, struct heap_sums *out)
{
    out->reserved_bytes += (uint64_t)rg->units << UNIT_BITS;
    out->committed_bytes += (uint64_t)rg->committed << UNIT_BITS;
    if (rg->packed != NULL)
        sum_packed(hp, rg, out);
    sum_spans(hp, rg, out);
    const uint32_t top = rg->top > rg->first ? rg->top : rg->first;
    if (rg->committed > top)
        sum_free((size_t)(rg->committed - top) << UNIT_BITS, out);
}

/* A guarded block is as small as it was asked for: no mapping of the program's.  A long one of the page heap would have
 * had one. */
static void sum_large(const struct span *sp, struct heap_sums *out)
{
    const size_t bytes = sp->sized ? sp->wanted : sp->mapped_bytes;
    out->live_blocks++;
    if (sp->slot != 0 && (!slot_is_paged(sp->slot) || bytes < LARGE_BYTES)) {
        out->live_bytes += bytes;
    } else {
        out->large_blocks++;
        out->large_live_bytes += bytes;
        out->large_bytes += sp->mapped_bytes;
    }
}

void ph_walk_sums(struct heap *hp, struct heap_sums *out)
{
    *out = (struct heap_sums){0};
    ph_walk_close(hp, ENTER_UNLOCKED);
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        sum_region(hp, rg, out);
    for (uint32_t i = hp->large; i != SPAN_NONE; i = ph_span_at(i)->next)
        sum_large(ph_span_at(i), out);
    out->live_bytes += out->large_live_bytes;
    out->large_most = hp->large_most;
    out->large_most_bytes = hp->large_most_bytes;
    out->committed_bytes += hp->large_bytes;
    out->reserved_bytes += hp->large_bytes;
    out->dirty_bytes = hp->dirty_units << UNIT_BITS;
    ph_gate_open(hp);
}

/* ---- all live blocks at once -------------------------------------------------------------------- */

static void visit_page(const struct span *pg, ph_walk_visit *visit, void *with)
{
    for (unsigned i = 0; i < pg->carved; i++)
        if (page_block_is_live(pg, i))
            visit(ph_page_block(pg, i), page_block_wanted(pg, i), with);
}

static void visit_packed(const struct heap *hp, const struct region *rg, ph_walk_visit *visit, void *with)
{
    struct packed_part part;
    const char *top = rg->base + (rg->packed->top << GRANULE_BITS);
    for (const char *at = region_start(rg); at < top && packed_part(hp, rg, at, &part); at = part.at + part.bytes)
        if (part.live)
            visit(part.at, part.wanted, with);
}

static void visit_spans(struct heap *hp, const struct region *rg, ph_walk_visit *visit, void *with)
{
    for (uint32_t unit = rg->first; unit < rg->top;) {
        const struct span *sp = ph_span_containing(hp, ph_region_unit(rg, unit));
        if (sp == NULL)
            return;
        unit += (uint32_t)sp->units;
        if (span_is_page(sp))
            visit_page(sp, visit, with);
        else if (entry_kind(sp->tag) == KIND_RUN)
            visit(ph_span_start(sp), sp->sized ? sp->wanted : ph_span_bytes(sp), with);
    }
}

void ph_walk_live(struct heap *hp, ph_walk_visit *block, ph_walk_visit *region, void *with)
{
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next) {
        region(rg->base, (size_t)rg->units << UNIT_BITS, with);
        if (rg->packed != NULL)
            visit_packed(hp, rg, block, with);
        visit_spans(hp, rg, block, with);
    }
    for (uint32_t i = hp->large; i != SPAN_NONE; i = ph_span_at(i)->next) {
        const struct span *sp = ph_span_at(i);
        block(ph_large_block(sp), sp->sized ? sp->wanted : sp->mapped_bytes, with);
    }
}
