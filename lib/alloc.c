/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* alloc.c -- a new block: which way of keeping blocks serves it.
 *
 * Owns:    nothing but a heap's uses.
 * Calls:   heap.c to grow and to trim, sized.c, local.c, shard.c, packed.c, large.c, span.c, debug.c.
 * Locks:   through gate_enter.
 * Why:     packed memory costs least and is best while blocks are few; stacks and pages are fast once
 *          a class has proved busy; runs and mappings waste least for what is big. */
#include "pageheap.h"
#include "valid.h"

#include "small.h"

enum { LARGE_ALIGN_BYTES = 4 << 20 }; /* more: rarely to be had in a region */

static void *alloc_stacked(struct local *lo, unsigned class, bool *zero)
{
    void *block = local_take(lo, class);
    return block != NULL ? block : ph_local_take_slow(lo, class, zero);
}

static void *alloc_sized(struct heap *hp, const struct request *rq, unsigned class, bool *zero)
{
    struct local *lo = rq->enter != ENTER_NOT ? ph_sized_earned(hp) : NULL;
    void *block = lo != NULL ? ph_sized_take(lo, class, rq->bytes) : NULL;
    if (block != NULL)
        return block;
    struct pass ps = ph_gate_enter(hp, rq->enter);
    if (lo != NULL && ps.lo == lo) {
        ph_gate_leave(hp, ps);
        if ((block = ph_sized_take(lo, class, rq->bytes)) != NULL)
            return block;
        ps = ph_gate_enter(hp, rq->enter);
    }
    block = ph_shard_take(hp, KIND_SIZED + class, rq->bytes, zero);
    ph_gate_leave(hp, ps);
    if (lo != NULL && !__atomic_load_n(&lo->biased, __ATOMIC_RELAXED))
        ph_gate_rebias(lo, ENTER_UNLOCKED);
    return block;
}

static void *alloc_page_block(struct heap *hp, const struct request *rq, unsigned class, bool *zero)
{
    if (rq->sized)
        return alloc_sized(hp, rq, class, zero);
    if (ph_local->heap == hp && rq->enter == ENTER_PATIENTLY)
        return alloc_stacked(ph_local, class, zero);
    struct pass ps = ph_gate_enter(hp, rq->enter);
    void *block = ph_shard_take(hp, KIND_PLAIN + class, rq->bytes, zero);
    ph_gate_leave(hp, ps);
    return block;
}

/* What an aligned block left free before it may never have been written to: it gets the pattern too. */
static void packed_gap_freed(struct heap *hp, char *block, size_t align)
{
    struct packed_part part;
    const struct region *rg = align > 16 ? ph_region_of(hp, block) : NULL;
    if (rg != NULL && ph_packed_part(rg, block - 16, &part) && !part.live)
        ph_debug_freed(hp, part.at, part.bytes);
}

static void *alloc_packed(struct heap *hp, const struct request *rq, bool *zero)
{
    const size_t align = rq->align > 16 ? rq->align : 16;
    const size_t bytes = rq->bytes + ph_debug_tail_bytes(hp);
    void *block = NULL;
    struct pass ps = ph_gate_enter_locked(hp, rq->enter);
    struct region *rg = hp->regions;
    for (; rg != NULL && rg->packed != NULL && block == NULL; rg = __atomic_load_n(&rg->next, __ATOMIC_ACQUIRE))
        block = ph_packed_take(hp, rg, bytes, align, zero);
    if (block == NULL && (rg = ph_heap_grow_packed(hp, bytes + align)) != NULL)
        block = ph_packed_take(hp, rg, bytes, align, zero);
    if (block != NULL && hp->debug != 0) {
        packed_gap_freed(hp, block, align);
        *zero = ph_debug_taken(hp, block, rq->bytes, rq->zero);
    }
    ph_gate_leave(hp, ps);
    return block;
}

/* The first blocks of each class stand side by side; a class that is used more has pages. */
static bool is_packed_first(struct heap *hp, unsigned class)
{
    if ((hp->flags & HEAPF_PAGED) || __atomic_load_n(&hp->uses[class], __ATOMIC_RELAXED) >= PACKED_USES * USES_STEP)
        return false;
    __atomic_fetch_add(&hp->uses[class], USES_STEP, __ATOMIC_RELAXED);
    return true;
}

/* Where exact sizes do not matter a run that will be kept has one of few sizes. */
static uint32_t run_units(const struct heap *hp, const struct request *rq, uint32_t units)
{
    return rq->sized || hp->bound_units != 0 ? units : ph_runs_round(units);
}

static void *alloc_run(struct heap *hp, const struct request *rq, bool *zero)
{
    const size_t bytes = rq->bytes + rq->pad > 0 ? rq->bytes + rq->pad : 1;
    const size_t units = (bytes + UNIT_BYTES - 1) >> UNIT_BITS;
    const size_t align = rq->align > UNIT_BYTES ? rq->align >> UNIT_BITS : 1;
    if (units + align >= 1u << 24)
        return NULL;
    struct pass ps = ph_gate_enter(hp, rq->enter);
    struct span *sp = ps.lo != NULL && align == 1 ? ph_runs_take(ps.lo, (uint32_t)units, rq->bytes, rq->sized) : NULL;
    if (sp == NULL)
        sp = ph_span_take_for(hp, KIND_RUN, run_units(hp, rq, (uint32_t)units), (uint32_t)align, rq->bytes, rq->sized);
    if (sp != NULL)
        *zero = sp->state != SPAN_DIRTY;
    ph_gate_leave(hp, ps);
    return sp != NULL ? ph_span_start(sp) : NULL;
}

static void *alloc_large(struct heap *hp, const struct request *rq, bool *zero)
{
    struct pass ps = ph_gate_enter(hp, rq->enter);
    const size_t bytes = rq->bytes + (rq->align > 16 || !fence_has_room(hp) ? rq->pad : 0); /* a fence is the best tail */
    struct span *sp = ph_large_take(hp, bytes > 0 ? bytes : 1, rq->align, zero);
    if (sp != NULL)
        ph_span_want(hp, sp, rq->bytes, rq->sized);
    ph_gate_leave(hp, ps);
    if (sp != NULL && hp->debug != 0 && !*zero) { /* W32 2.8: all zero */
        ph_bytes_zero(ph_large_block(sp), rq->bytes);
        *zero = true;
    }
    return sp != NULL ? ph_large_block(sp) : NULL;
}

/* A hard heap has more of them, until there are too many. */
static bool is_large(const struct heap *hp, const struct request *rq)
{
    return rq->bytes >= (fence_has_room(hp) ? FENCE_FROM_BYTES : LARGE_BYTES) || rq->align > LARGE_ALIGN_BYTES;
}

static COLD bool regions_release(struct heap *hp, const struct request *rq)
{
    struct pass ps = ph_gate_enter(hp, rq->enter);
    const bool any = ph_span_release(hp);
    ph_gate_leave(hp, ps);
    return any;
}

static void *alloc_big(struct heap *hp, const struct request *rq, bool *zero)
{
    void *block = NULL;
    if (is_large(hp, rq) && hp->bound_units == 0) {
        block = alloc_large(hp, rq, zero);
        if (unlikely(block == NULL) && regions_release(hp, rq)) /* rather than waste the ends of regions for runs */
            block = alloc_large(hp, rq, zero);
    }
    return block != NULL || hp->packed_only ? block : alloc_run(hp, rq, zero);
}

/* It is zero, and what stands around it is no business of ours. */
COLD void *ph_heap_guarded(struct heap *hp, const struct request *rq)
{
    if ((rq->enter != ENTER_NOT && ph_is_nested()) || !ph_guard_wants(hp, rq)) /* a handler must not wait for the gate */
        return NULL;
    struct pass ps = ph_gate_enter(hp, rq->enter);
    void *block = ph_guard_take(hp, rq);
    ph_gate_leave(hp, ps);
    return block;
}

/* With option STRESS: in a slot of its own; NULL: not this one.  What a handler takes while it interrupts us is not. */
static COLD void *alloc_paged(struct heap *hp, const struct request *rq)
{
    if (rq->enter != ENTER_NOT && (ph_is_nested() || ph_locks_held > 0)) {
        ph_page_heap_refuse(PAGED_HANDLER, rq->bytes);
        return NULL;
    }
    struct pass ps = ph_gate_enter(hp, rq->enter);
    void *block = ph_page_heap_alloc(hp, rq);
    ph_gate_leave(hp, ps);
    return block;
}

static unsigned request_class(const struct request *rq)
{
    const size_t bytes = rq->bytes + rq->pad;
    if (bytes > CLASS_BYTES)
        return CLASS_COUNT;
    return rq->align <= 16 ? class_of(bytes) : ph_class_aligned(bytes, rq->align);
}

/* By size and alignment; a large block that gets no mapping of its own becomes a run. */
static void *alloc_once(struct heap *hp, const struct request *rq, bool *zero)
{
    if (hp->packed_only && ((rq->bytes < LARGE_BYTES && rq->align <= LARGE_ALIGN_BYTES) || hp->bound_units != 0))
        return alloc_packed(hp, rq, zero);
    const unsigned class = request_class(rq);
    if (class == CLASS_COUNT)
        return alloc_big(hp, rq, zero);
    void *block = rq->sized && is_packed_first(hp, class) ? alloc_packed(hp, rq, zero) : NULL;
    return block != NULL ? block : alloc_page_block(hp, rq, class, zero);
}

static COLD bool guards_end(struct heap *hp, const struct request *rq)
{
    struct pass ps = ph_gate_enter(hp, rq->enter);
    const bool any = ph_spanguard_end(hp);
    ph_gate_leave(hp, ps);
    return any;
}

static COLD bool regions_retreat(struct heap *hp, const struct request *rq)
{
    struct pass ps = ph_gate_enter(hp, rq->enter);
    const bool any = ph_span_retreat(hp, rq->bytes >> UNIT_BITS);
    ph_gate_leave(hp, ps);
    return any;
}

/* Before any NULL: every stack emptied, every kept page and mapping given back, once more; then what guards hold, and the
 * room that they keep apart; then the regions' ends; and a small block gets units of its own, where its page found none in a
 * row or its sizes no cell.  Else few bytes would be refused while many can still be had, which programs do not expect. */
static COLD void *alloc_last(struct heap *hp, const struct request *rq, bool *zero)
{
    struct request once = *rq;
    ph_heap_trim_plainly(hp);
    void *block = alloc_once(hp, &once, zero);
    if (block == NULL && hp->hard != 0 && rq->bytes < LARGE_BYTES && guards_end(hp, rq))
        block = alloc_once(hp, &once, zero);
    if (block == NULL && regions_retreat(hp, &once))
        block = alloc_once(hp, &once, zero);
    if (block == NULL && !hp->packed_only && request_class(rq) != CLASS_COUNT)
        block = alloc_run(hp, &once, zero);
    return block;
}

/* Its tail is set, and what it held while it was free looked at. */
static void hard_taken(struct heap *hp, const struct request *rq, void *block, bool *zero)
{
    const unsigned class = request_class(rq);
    const uint64_t entry = map_get(block);
    const struct span *sp = entry_kind(entry) >= KIND_RUN ? ph_map_span(entry) : NULL; /* of small blocks too, where memory ends */
    struct hard_block hb = {.block = block, .wanted = rq->bytes, .class = CLASS_COUNT};
    if (sp == NULL)
        hb = (struct hard_block){.block = block, .wanted = rq->bytes, .capacity = ph_class_bytes[class], .class = class};
    else if (entry_kind(entry) == KIND_LARGE)
        hb = ph_hard_large(sp);
    else
        hb.capacity = ph_span_bytes(sp);
    ph_hard_taken(hp, &hb, rq->family, zero);
}

/* From pages and spans, which need leaf locks only; NULL where it would take more. */
static void *alloc_inside(struct heap *hp, const struct request *rq, bool *zero)
{
    if (hp->packed_only)
        return NULL;
    const unsigned class = request_class(rq);
    if (class == CLASS_COUNT)
        return alloc_big(hp, rq, zero);
    if (rq->sized && !(hp->flags & HEAPF_PAGED) && __atomic_load_n(&hp->uses[class], __ATOMIC_RELAXED) < PACKED_USES * USES_STEP)
        return NULL;
    return alloc_page_block(hp, rq, class, zero);
}

/* In the middle of another call of this thread. */
static COLD void *alloc_nested(struct heap *hp, const struct request *rq)
{
    struct request step = *rq;
    bool zero = false;
    step.enter = ENTER_NOT;
    void *block = ph_nested_is_inside(hp) ? alloc_inside(hp, &step, &zero) : NULL;
    if (block == NULL)
        return ph_emergency_take(hp->id, rq);
    if (hp->hard != 0)
        hard_taken(hp, rq, block, &zero);
    if (rq->zero && !zero)
        ph_bytes_zero(block, rq->bytes);
    return block;
}

void *ph_heap_alloc(struct heap *hp, const struct request *rq)
{
    struct request hard;
    bool zero = false;
    if (rq->bytes > MOST_BYTES || rq->align > MOST_BYTES)
        return NULL;
    void *block = NULL;
    if (unlikely(hp->stress != 0) && (block = alloc_paged(hp, rq)) != NULL)
        return block;
    if (unlikely(hp->hard != 0)) {
        hard = *rq;
        hard.sized = true;
        hard.pad = ph_hard_pad(hp);
        rq = &hard;
    }
    if (unlikely(rq->enter != ENTER_NOT && ph_is_nested()))
        return alloc_nested(hp, rq);
    if (hp == &ph_process_heap && ph_guard_due() && (block = ph_heap_guarded(hp, rq)) != NULL)
        return block;
    block = alloc_once(hp, rq, &zero);
    if (unlikely(block == NULL && rq->enter != ENTER_NOT && !(hp->packed_only && hp->bound_units != 0)))
        block = alloc_last(hp, rq, &zero);
    if (unlikely(block == NULL) && hp == &ph_process_heap && rq->bytes < LARGE_BYTES)
        ph_guard_end();
    if (unlikely(hp->hard != 0) && block != NULL)
        hard_taken(hp, rq, block, &zero);
    if (block != NULL && rq->zero && !zero)
        ph_bytes_zero(block, rq->bytes);
    return block;
}
