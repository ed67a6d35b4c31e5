/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pagelook.c -- what stands around a paged block and in it after free, and what is told of it.
 *
 * Owns:    the last failure; the way in which reports come to know of stacks.
 * Calls:   pageslot.c, pattern, trace, unwind, report.
 * Locks:   takes LOCK span of the process heap while it looks at a slot that is not its caller's. */
#include "pageheap.h"

#include "pattern.h"
#include "report.h"
#include "valid.h"

/* Not small.h: a stressed program waits for this. */

static struct trace failed_at;
static size_t failed_bytes;

/* ---- what surrounds it ------------------------------------------------------------------------------- */

size_t ph_paged_tail_bytes(const struct heap *hp) { return hp->debug != 0 ? PATTERN_TAIL_BYTES : 0; }

char *ph_paged_before(const struct paged *pd)
{
    enum { BEFORE_BYTES = 256 };
    char *const page = paged_first_page(pd->block);
    return pd->block - page > BEFORE_BYTES ? pd->block - BEFORE_BYTES : page;
}

static size_t tail_of(const struct paged *pd)
{
    return ph_paged_tail_bytes(pd->heap);
}

const char *ph_paged_broken(const struct paged *pd)
{
    char *const behind = pd->block + pd->wanted;
    const size_t tail = tail_of(pd);
    if (pd->pages == 0)
        return NULL;
    for (size_t i = 0; i < tail; i++)
        if ((uint8_t)behind[i] != PATTERN_TAIL)
            return behind + i;
    const char *broken = ph_canary_broken(behind + tail, paged_open_end(pd));
    if (broken != paged_open_end(pd))
        return broken;
    broken = ph_canary_broken_last(ph_paged_before(pd), pd->block);
    return broken != pd->block ? broken : NULL;
}

void ph_paged_check(const struct paged *pd)
{
    struct trace allocated;
    const char *broken = ph_paged_broken(pd);
    if (broken == NULL)
        return;
    ph_report(&(struct report){
        .kind = broken < pd->block ? DIAG_UNDERFLOW : DIAG_OVERFLOW,
        .block = pd->block,
        .bytes = pd->wanted,
        .access = broken,
        .is_write = true,
        .heap = pd->heap,
        .allocated = ph_paged_stack(pd, SLOT_ALLOCATED, &allocated),
    });
}

/* ---- who had it ----------------------------------------------------------------------------------- */

/* Of the innermost callers, which are one place of the program, or a function of its own that allocates and its caller. */
static uint16_t place_of(const struct trace *trace)
{
    enum { CALLERS = 3 };
    uint64_t hash = 0;
    for (unsigned i = 0; i < trace->depth && i < CALLERS; i++)
        hash = (hash ^ trace->pc[i]) * 0x9e3779b97f4a7c15u;
    return (uint16_t)(hash >> 48);
}

void ph_paged_note(struct paged *pd, enum slot_event event)
{
    struct trace trace;
    ph_trace_deep(&trace, ph_stress_in_force()->stacks);
    pd->place[event] = place_of(&trace);
    pd->stack[event] = ph_trace_intern(&trace);
    pd->thread[event] = trace.thread;
}

struct trace *ph_paged_stack(const struct paged *pd, enum slot_event event, struct trace *room)
{
    if (event == SLOT_WAS_FREED && pd->state != SLOT_FREED)
        return NULL;
    if (!ph_trace_get(pd->stack[event], room))
        room->depth = 0;
    room->thread = pd->thread[event];
    return room;
}

bool ph_page_heap_origin(const void *block, struct trace *out)
{
    const struct paged *pd = ph_paged_of(block);
    return pd != NULL && pd->block == block && pd->state == SLOT_LIVE && ph_paged_stack(pd, SLOT_ALLOCATED, out) != NULL;
}

void ph_page_heap_failed(size_t bytes)
{
    ph_trace_here(&failed_at, NULL);
    __atomic_store_n(&failed_bytes, bytes, __ATOMIC_RELEASE);
}

const struct trace *ph_page_heap_failure(size_t *bytes)
{
    *bytes = __atomic_load_n(&failed_bytes, __ATOMIC_ACQUIRE);
    return failed_at.thread != 0 ? &failed_at : NULL;
}

/* Whoever reports a block of ours may not know where it was taken. */
void ph_paged_complete(struct report *rp, struct trace *room)
{
    const struct paged *pd = ph_paged_of(rp->inside != NULL ? rp->inside : rp->block);
    if (pd == NULL || __atomic_load_n(&pd->state, __ATOMIC_ACQUIRE) < SLOT_LIVE)
        return;
    if (rp->allocated == NULL)
        rp->allocated = ph_paged_stack(pd, SLOT_ALLOCATED, &room[SLOT_ALLOCATED]);
    if (rp->freed == NULL)
        rp->freed = ph_paged_stack(pd, SLOT_WAS_FREED, &room[SLOT_WAS_FREED]);
}

/* ---- after free ------------------------------------------------------------------------------------------ */

static bool freed_is_good(const struct paged *pd)
{
    return pd->wanted > PAGED_FILL_BYTES || ph_pattern_is(pd->block, pd->block + pd->wanted, PATTERN_FREED);
}

/* What a block that could be written to holds after free. */
void ph_paged_check_freed(const struct paged *pd)
{
    struct trace allocated, was_freed;
    if (!freed_is_good(pd))
        ph_report(&(struct report){
            .kind = DIAG_WRITE_AFTER_FREE,
            .block = pd->block,
            .bytes = pd->wanted,
            .heap = pd->heap,
            .allocated = ph_paged_stack(pd, SLOT_ALLOCATED, &allocated),
            .freed = ph_paged_stack(pd, SLOT_WAS_FREED, &was_freed),
        });
}

/* ---- looking ---------------------------------------------------------------------------------------- */

enum family ph_page_heap_family(const struct span *sp)
{
    const struct paged *pd = ph_paged_at(sp->slot);
    return pd != NULL ? (enum family)pd->family : FAMILY_ANY;
}

enum block_verdict ph_page_heap_look(const void *block, struct block_info *out)
{
    const struct paged *pd = ph_paged_of(block);
    if (pd == NULL)
        return BLOCK_NOT_OURS;
    out->heap = pd->heap;
    out->wanted = pd->wanted;
    return pd->state == SLOT_FREED && pd->block == block ? BLOCK_TWICE : BLOCK_BAD;
}

bool ph_page_heap_is_valid(const struct span *sp)
{
    const struct paged *pd = ph_paged_at(sp->slot);
    return pd != NULL && pd->state == SLOT_LIVE && pd->block == ph_large_block(sp) && pd->wanted == sp->wanted &&
           sp->mapped_bytes == (size_t)(ph_paged_end(pd) - (char *)ph_span_start(sp)) && ph_paged_broken(pd) == NULL;
}

bool ph_page_heap_freed_is_good(const struct heap *hp)
{
    bool good = true;
    for (const struct paged *pd = ph_paged_previous(0); pd != NULL && good; pd = ph_paged_previous(pd->number)) {
        if (!pd->kept || pd->heap != hp)
            continue;
        ph_lock_take(&ph_process_heap.span_lock);
        good = !(pd->kept && pd->state == SLOT_FREED) || freed_is_good(pd);
        ph_lock_give(&ph_process_heap.span_lock);
    }
    return good;
}

void ph_page_heap_check_all(uint64_t most)
{
    for (const struct paged *pd = ph_paged_previous(0); pd != NULL && most > 0; pd = ph_paged_previous(pd->number), most--) {
        ph_lock_take(&ph_process_heap.span_lock);
        if (pd->state == SLOT_LIVE)
            ph_paged_check(pd);
        else if (pd->kept && pd->state == SLOT_FREED)
            ph_paged_check_freed(pd);
        ph_lock_give(&ph_process_heap.span_lock);
    }
}
