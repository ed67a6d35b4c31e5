/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* find.c -- the block around an address, live or not: for reports about pointers that are no block.
 *
 * Owns:    nothing.
 * Calls:   block.c (beside), heap.c, gate.c, packed.c, page.c, large.c, region.c, map.c.
 * Locks:   takes gate or span lock of one heap at a time.
 * Why:     apart from block.c, because a good pointer never comes here, so it may take its time. */
#include "pageheap.h"
#include "report.h"
#include "valid.h"

#include "small.h"

struct found {
    char *start;
    size_t bytes;
    enum { FOUND_NONE, FOUND_LIVE, FOUND_FREE, FOUND_PAST, FOUND_ROOM, FOUND_DAMAGE } what;
    /* FREE: that block was there.  PAST: some block was there, no longer known.  ROOM: none ever, or between blocks. */
};

static struct found found_span(const struct span *sp, const void *address, bool is_live)
{
    const bool is_large = sp->mapped_bytes != 0 && sp->units == 0;
    char *start = is_large ? ph_large_block(sp) : ph_span_start(sp);
    const size_t most = is_large ? sp->mapped_bytes - sp->offset : ph_span_bytes(sp);
    if ((uintptr_t)address - (uintptr_t)start >= most)
        return (struct found){0};
    const size_t bytes = sp->wanted != 0 && sp->wanted <= most ? sp->wanted : most;
    return (struct found){start, bytes, is_live ? FOUND_LIVE : FOUND_PAST};
}

static struct found find_in_page(const struct span *pg, const void *address)
{
    struct block_info bi;
    if (!ph_page_is_sound(pg))
        return (struct found){.what = FOUND_DAMAGE};
    const unsigned bytes = ph_class_bytes[kind_class(entry_kind(pg->tag))];
    char *first = ph_page_block(pg, 0);
    const size_t offset = (size_t)((const char *)address - first);
    char *start = first + offset / bytes * bytes;
    if (offset >= (size_t)pg->capacity * bytes)
        return (struct found){.what = FOUND_ROOM};
    const enum block_verdict verdict = ph_heap_look(start, &bi);
    if (verdict == BLOCK_OK)
        return (struct found){start, bi.wanted, FOUND_LIVE};
    return (struct found){start, bytes, verdict == BLOCK_TWICE ? FOUND_FREE : FOUND_ROOM};
}

/* A run, and free memory, have entries for their first and last unit only. */
static struct found find_in_runs(const struct region *rg, const void *address)
{
    const size_t offset = (size_t)((const char *)address - rg->base);
    const char *unit = (const char *)((uintptr_t)address & ~(uintptr_t)(UNIT_BYTES - 1));
    for (; unit >= rg->base; unit -= UNIT_BYTES) {
        const uint64_t entry = map_get(unit);
        const struct span *sp = entry != 0 ? ph_map_span(entry) : NULL;
        if (sp != NULL && entry_kind(entry) == KIND_RUN)
            return found_span(sp, address, sp->carved != RUN_KEPT);
        if (sp != NULL && entry_kind(entry) == KIND_GUARD)
            return (struct found){.what = FOUND_ROOM};
        if (sp != NULL)
            break;
    }
    return (struct found){.what = offset >> UNIT_BITS < rg->top ? FOUND_PAST : FOUND_ROOM};
}

static struct found find_in_packed(struct heap *hp, struct region *rg, const void *address)
{
    struct packed_part part;
    struct found found = {.what = FOUND_ROOM};
    struct pass ps = ph_gate_enter_locked(hp, ENTER_UNLOCKED);
    if (ph_region_of(hp, address) == rg && rg->packed != NULL && ph_packed_part(rg, address, &part) &&
        (size_t)((const char *)address - part.at) < part.bytes)
        found = (struct found){part.at, part.wanted - (part.live ? ph_debug_tail_bytes(hp) : 0), part.live ? FOUND_LIVE : FOUND_PAST};
    else if (rg->packed != NULL && (size_t)((const char *)address - rg->base) >> GRANULE_BITS < rg->packed->high)
        found.what = FOUND_PAST;
    ph_gate_leave(hp, ps);
    return found;
}

static struct found find_in_large_of(struct heap *hp, const void *address)
{
    struct found found = {0};
    ph_lock_take(&hp->span_lock);
    const struct span *sp = ph_span_known(hp->large);
    for (uint64_t left = hp->large_count; sp != NULL && left > 0 && found.what == FOUND_NONE; left--, sp = ph_span_known(sp->next))
        found = found_span(sp, address, true);
    ph_lock_give(&hp->span_lock);
    return found;
}

static struct found find_in_large(const void *address)
{
    struct found found = {0};
    struct heap *hp;
    for (uint32_t id = 1; id < HEAP_COUNT && found.what == FOUND_NONE && (hp = ph_heap_at(id)) != NULL; id++)
        if (__atomic_load_n(&hp->handle, __ATOMIC_ACQUIRE) != NULL && __atomic_load_n(&hp->large, __ATOMIC_RELAXED) != SPAN_NONE)
            found = find_in_large_of(hp, address);
    return found;
}

static struct found find(const void *address)
{
    struct span room;
    const uint64_t entry = map_get(address);
    const unsigned kind = entry_kind(entry);
    if (kind != KIND_NONE) {
        const struct span *known = ph_map_span(entry);
        if (known == NULL)
            return (struct found){.what = FOUND_DAMAGE};
        const struct span *sp = unseen_span(known, &room);
        if (kind == KIND_GUARD)
            return (struct found){.what = FOUND_ROOM};
        return kind < KIND_RUN ? find_in_page(sp, address) : found_span(sp, address, kind != KIND_FREE && sp->carved != RUN_KEPT);
    }
    struct heap *hp = ph_heap_around(address);
    if (hp == NULL)
        return find_in_large(address);
    struct region *rg = ph_region_of(hp, address);
    const bool is_packed = rg != NULL && __atomic_load_n(&rg->packed, __ATOMIC_RELAXED) != NULL &&
                           (size_t)((const char *)address - rg->base) < (size_t)rg->first << UNIT_BITS;
    if (rg == NULL)
        return (struct found){0};
    return is_packed ? find_in_packed(hp, rg, address) : find_in_runs(rg, address);
}

static struct trace told[SLOT_EVENTS]; /* the report is written at once; two threads may mix theirs up */

/* In a slot: its block, live or freed, whose traces are known. */
static struct found find_guarded(struct report *rp, const struct slot *sl)
{
    const bool freed = sl->state == SLOT_FREED;
    rp->heap = &ph_process_heap;
    if (sl->state < SLOT_LIVE || rp->block < (void *)sl->block || rp->block >= (void *)(sl->block + (sl->wanted > 0 ? sl->wanted : 1)))
        return (struct found){.what = FOUND_ROOM};
    rp->allocated = ph_slot_stack(sl, SLOT_ALLOCATED, &told[SLOT_ALLOCATED]);
    rp->freed = ph_slot_stack(sl, SLOT_WAS_FREED, &told[SLOT_WAS_FREED]);
    return (struct found){sl->block, sl->wanted, freed ? FOUND_FREE : FOUND_LIVE};
}

/* The same of the page heap's. */
static struct found find_paged(struct report *rp, const struct paged *pd)
{
    const char *at = rp->block;
    const bool freed = pd->state == SLOT_FREED;
    rp->heap = pd->heap;
    if (pd->state < SLOT_LIVE || at < pd->block || at >= pd->block + (pd->wanted > 0 ? pd->wanted : 1))
        return (struct found){.what = FOUND_ROOM};
    rp->allocated = ph_paged_stack(pd, SLOT_ALLOCATED, &told[SLOT_ALLOCATED]);
    rp->freed = ph_paged_stack(pd, SLOT_WAS_FREED, &told[SLOT_WAS_FREED]);
    return (struct found){pd->block, pd->wanted, freed ? FOUND_FREE : FOUND_LIVE};
}

static bool is_in_slot(const void *address) { return ph_slot_of(address) != NULL || ph_paged_of(address) != NULL; }

static struct found find_any(struct report *rp)
{
    const struct slot *sl = ph_slot_of(rp->block);
    const struct paged *pd = sl == NULL ? ph_paged_of(rp->block) : NULL;
    return sl != NULL ? find_guarded(rp, sl) : pd != NULL ? find_paged(rp, pd) : find(rp->block);
}

bool ph_heap_is_inside_large(const void *address) { return find_in_large(address).what != FOUND_NONE; }

/* Inside some heap, but no live block starts there. */
static void judge_bad(struct report *rp)
{
    const struct found found = find_any(rp);
    const bool is_aligned = (uintptr_t)rp->block % 16 == 0;
    rp->bytes = SIZE_MAX;
    rp->kind = is_aligned ? DIAG_INVALID_FREE : DIAG_MISALIGNED_FREE;
    if (found.what == FOUND_DAMAGE)
        rp->kind = DIAG_HEAP_DAMAGED;
    if (found.what == FOUND_PAST && is_aligned)
        rp->kind = DIAG_DOUBLE_FREE;
    if (found.what == FOUND_PAST)
        rp->detail = "in memory that was freed before";
    if (found.what != FOUND_LIVE && found.what != FOUND_FREE)
        return;
    rp->bytes = found.bytes;
    if (found.start == rp->block) {
        rp->kind = DIAG_DOUBLE_FREE;
        return;
    }
    rp->kind = is_aligned ? DIAG_INTERIOR_FREE : DIAG_MISALIGNED_FREE;
    rp->inside = found.start;
    rp->detail = found.what == FOUND_FREE ? "that block is free" : NULL;
}

/* Both halves the same: what fills memory, not what points to it. */
static bool is_pattern(const void *block)
{
    const uint64_t bits = (uintptr_t)block;
    return (uint32_t)bits == bits >> 32;
}

/* In no heap of ours by now, and not glibc's. */
static void judge_stranger(struct report *rp)
{
    struct module in;
    const bool is_memory = ph_os_is_readable((const void *)((uintptr_t)rp->block & ~(uintptr_t)7));
    rp->kind = DIAG_INVALID_FREE;
    rp->bytes = SIZE_MAX;
    if (ph_stack_has(rp->block))
        rp->kind = DIAG_STACK_FREE;
    else if (ph_module_of((uintptr_t)rp->block, &in))
        rp->kind = DIAG_STATIC_FREE;
    else if (!is_memory)
        rp->kind = is_pattern(rp->block) ? DIAG_POISON_POINTER : DIAG_UNMAPPED_FREE;
    else if ((uintptr_t)rp->block % 16 != 0)
        rp->kind = DIAG_MISALIGNED_FREE;
}

void ph_heap_judge(struct report *rp, enum block_verdict verdict, const struct block_info *bi)
{
    if (verdict == BLOCK_BAD || (verdict == BLOCK_TWICE && is_in_slot(rp->block))) {
        judge_bad(rp);
        return;
    }
    if (verdict == BLOCK_NOT_OURS && ph_large_was(rp->block, &rp->bytes)) {
        rp->kind = DIAG_DOUBLE_FREE;
        return;
    }
    if (verdict == BLOCK_NOT_OURS) {
        judge_stranger(rp);
        return;
    }
    rp->kind = verdict == BLOCK_OK ? DIAG_WRONG_HEAP : DIAG_DOUBLE_FREE;
    /* a freed block has forgotten what was asked for */
    rp->bytes = bi->wanted != SIZE_MAX ? bi->wanted : bi->capacity;
    rp->heap = bi->heap;
}
