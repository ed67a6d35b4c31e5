/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pageheap.c -- blocks that have a slot of OS pages of their own: taken, filled, surrounded, given back.
 *
 * Owns:    struct paged while it is taken, and the descriptor that its slot has for good.
 * Calls:   pageslot.c, pagewants.c, pagelook.c; large.c for the books (beside), pattern, stress.
 * Locks:   takes LOCK span of the process heap around the list of slots, whichever heap the block belongs to.
 * Always:  of a live block's slot only the pages that the block touches are accessible; what is left of them is a
 *          canary, which is looked at when the block is freed, when asked for, and at exit.  A freed block of the process
 *          heap is inaccessible until its slot is taken again; one of a private heap holds the pattern of freed memory
 *          and can be read while it waits (W32 2.8), and so does one whose closing and opening would take time that the
 *          page heap has no more: two system calls and a page of memory, 3 us, where all the rest takes 0.3.
 * Why:     whoever is not served here is served as in secure mode, never refused: a budget that runs out costs
 *          sharpness, not the program. */
#include "pageheap.h"

#include "pattern.h"
#include "report.h"
#include "valid.h"

/* Not small.h: a stressed program waits for this. */

enum { KEEP_PAGES = 256 }; /* longer blocks are closed, whatever time it takes */

/* ---- where in its slot ------------------------------------------------------------------------------ */

struct place {
    size_t room;  /* of the block and its tail */
    size_t align;
    size_t bytes; /* that its slot must have */
    size_t open;  /* bytes of pages that it touches */
    bool at_start;
};

static struct place place_for(const struct heap *hp, const struct request *rq)
{
    const struct stress_spec *st = ph_stress_in_force();
    const size_t os_page = ph_os_page_bytes();
    struct place pl = {.room = rq->bytes + ph_paged_tail_bytes(hp), .align = rq->align > 16 ? rq->align : 16};
    if (st->unaligned && rq->align <= 16)
        pl.align = rq->align > 1 ? rq->align : 1;
    pl.at_start = st->side == STRESS_START || (st->side == STRESS_RANDOM && ph_page_heap_chance() >> 63 != 0);
    pl.open = pl.room > 0 ? ph_round_up(pl.align <= os_page && !pl.at_start ? ph_round_up(pl.room, pl.align) : pl.room, os_page) : 0;
    pl.bytes = pl.align <= os_page ? ph_round_up(pl.room, pl.align) : pl.room + pl.align - os_page;
    return pl;
}

static void put(struct paged *pd, const struct place *pl)
{
    char *const start = ph_paged_start(pd), *const end = ph_paged_end(pd);
    pd->block = pl->at_start ? (char *)ph_round_up((uintptr_t)start, pl->align) : (char *)((uintptr_t)(end - pl->room) & ~(pl->align - 1));
    pd->pages = (uint32_t)(pl->open / ph_os_page_bytes());
}

/* ---- what surrounds it ------------------------------------------------------------------------------- */

static void surround(struct paged *pd, const struct heap *hp)
{
    char *const behind = pd->block + pd->wanted;
    const size_t tail = ph_paged_tail_bytes(hp);
    if (pd->pages == 0)
        return;
    ph_canary_fill(ph_paged_before(pd), pd->block);
    __builtin_memset(behind, PATTERN_TAIL, tail);
    ph_canary_fill(behind + tail, paged_open_end(pd));
}

static void shut(const struct paged *pd) { ph_paged_close(paged_first_page(pd->block), paged_open_bytes(pd)); }

/* ---- taking -------------------------------------------------------------------------------------------- */

static struct paged *paged_slot(const struct place *pl)
{
    enum paged_refusal why = PAGED_BUDGET;
    struct paged *pd = NULL;
    ph_lock_take(&ph_process_heap.span_lock);
    if (!ph_paged_ready())
        why = PAGED_SPACE;
    else if (ph_page_heap_figures()->bytes + pl->open <= ph_stress_in_force()->budget)
        pd = ph_paged_take(pl->bytes, &why);
    if (pd != NULL)
        ph_page_heap_count(pl->open);
    ph_canary_begin();
    if (ph_report_completed == NULL)
        ph_lock_watch_forks(); /* threads may have no locals, which would do it else */
    ph_report_completed = ph_paged_complete;
    ph_lock_give(&ph_process_heap.span_lock);
    if (pd == NULL)
        ph_page_heap_refuse(why, pl->room);
    return pd;
}

/* As it was left by a block of the same place and length: open, not zero, its canaries looked at. */
struct used {
    bool open, same;
};

static bool paged_reopen(struct paged *pd, const struct place *pl, size_t wanted, struct used *used)
{
    char *const start = ph_paged_start(pd), *const end = ph_paged_end(pd), *const block = pd->block;
    char *const page = pd->kept ? paged_first_page(block) : NULL;
    const size_t pages = pd->pages;
    if (pd->kept)
        ph_paged_check_freed(pd);
    put(pd, pl);
    used->open = pd->kept && !pd->opened && page == paged_first_page(pd->block) && pages == pd->pages;
    used->same = used->open && block == pd->block && wanted == pd->wanted;
    pd->kept = 0;
    if (used->open)
        return true;
    if (pd->opened) /* with the guard behind it */
        ph_paged_close(start, (size_t)(end - start) + ph_os_page_bytes());
    else if (page != NULL)
        ph_paged_close(page, pages * ph_os_page_bytes());
    pd->opened = 0;
    return ph_paged_open(paged_first_page(pd->block), paged_open_bytes(pd));
}

static void paged_fill(struct paged *pd, const struct heap *hp, const struct request *rq, const struct used *used)
{
    if (!used->same)
        surround(pd, hp);
    if (rq->zero && used->open)
        ph_bytes_zero(pd->block, pd->wanted);
    else if (!rq->zero && pd->wanted <= PAGED_FILL_BYTES)
        ph_pattern_fill(pd->block, pd->block + pd->wanted, PATTERN_FRESH);
    ph_paged_note(pd, SLOT_ALLOCATED);
}

/* The slot's own; NULL: no memory for its first. */
static struct span *slot_span(struct paged *pd)
{
    struct span *sp = pd->span != SPAN_NONE ? ph_span_at(pd->span) : ph_span_new();
    if (sp == NULL)
        return NULL;
    *sp = (struct span){.self = sp->self};
    pd->span = sp->self;
    return sp;
}

static void *paged_enter(struct heap *hp, struct paged *pd)
{
    struct span *sp = slot_span(pd);
    if (sp == NULL)
        return NULL;
    sp->start = (uintptr_t)pd->block >> UNIT_BITS;
    sp->tag = hp->tag | KIND_LARGE;
    sp->offset = (uint32_t)((uintptr_t)pd->block & (UNIT_BYTES - 1));
    sp->slot = pd->number;
    sp->mapped_bytes = (size_t)(ph_paged_end(pd) - (char *)ph_span_start(sp));
    span_want(sp, pd->wanted, true);
    __atomic_store_n(&pd->state, SLOT_LIVE, __ATOMIC_RELEASE);
    ph_large_link(hp, sp);
    return pd->block;
}

static void *taken_in_vain(struct paged *pd, bool is_open, size_t bytes)
{
    if (is_open)
        shut(pd);
    ph_lock_take(&ph_process_heap.span_lock);
    ph_page_heap_discount(paged_open_bytes(pd));
    ph_paged_untake(pd);
    ph_lock_give(&ph_process_heap.span_lock);
    ph_page_heap_refuse(PAGED_MAPPINGS, bytes);
    return NULL;
}

static void *paged_take(struct heap *hp, const struct request *rq)
{
    struct used used;
    const struct place pl = place_for(hp, rq);
    struct paged *pd = paged_slot(&pl);
    if (pd == NULL)
        return NULL;
    const bool is_open = paged_reopen(pd, &pl, rq->bytes, &used);
    pd->wanted = rq->bytes;
    pd->heap = hp;
    pd->family = (uint8_t)rq->family;
    if (is_open)
        paged_fill(pd, hp, rq, &used);
    void *block = is_open ? paged_enter(hp, pd) : NULL;
    return block != NULL ? block : taken_in_vain(pd, is_open, rq->bytes);
}

void *ph_page_heap_alloc(struct heap *hp, const struct request *rq)
{
    if (!ph_page_heap_wants(hp, rq->bytes))
        return NULL;
    void *block = NULL;
    const uint64_t began = ph_page_heap_begins();
    if (ph_page_heap_is_late(2) || ph_page_heap_is_hot(rq->caller))
        ph_page_heap_refuse(PAGED_TIME, rq->bytes);
    else
        block = paged_take(hp, rq);
    ph_page_heap_ends(began);
    return block;
}

/* ---- giving -------------------------------------------------------------------------------------------- */

/* Closed, it may be taken again. */
static void recycle(struct paged *pd)
{
    ph_lock_take(&ph_process_heap.span_lock);
    ph_paged_free(pd);
    ph_page_heap_figures()->recycled++;
    ph_lock_give(&ph_process_heap.span_lock);
}

static void recycle_kept(struct paged *pd)
{
    if (pd == NULL)
        return;
    ph_paged_check_freed(pd);
    shut(pd);
    pd->kept = 0;
    recycle(pd);
}

static void recycle_ripe(void)
{
    for (;;) {
        ph_lock_take(&ph_process_heap.span_lock);
        struct paged *pd = ph_paged_ripe(ph_stress_in_force()->quarantine);
        ph_lock_give(&ph_process_heap.span_lock);
        if (pd == NULL)
            return;
        recycle(pd);
    }
}

/* W32 2.8: a private heap's freed memory is filled and can be read, as long as there is the heap.  Of the process heap's
 * where there is no time to shut it. */
static bool is_kept(const struct heap *hp, const struct paged *pd)
{
    if (pd->pages == 0)
        return false;
    if (hp->debug != 0) /* W32 3.5: a large one goes back to the system */
        return pd->wanted <= PAGED_FILL_BYTES && __atomic_load_n(&hp->handle, __ATOMIC_RELAXED) != NULL;
    return pd->pages <= KEEP_PAGES && ph_page_heap_is_late(1) && !ph_page_heap_is_rare(pd);
}

/* Held: the lock.  Nobody may look around it any more. */
static void slot_freed(struct paged *pd)
{
    struct span *sp = ph_span_at(pd->span);
    *sp = (struct span){.self = sp->self};
    __atomic_store_n(&pd->state, SLOT_FREED, __ATOMIC_RELEASE);
    ph_page_heap_discount(paged_open_bytes(pd));
}

static void slot_keep(const struct heap *hp, struct paged *pd)
{
    if (pd->wanted <= PAGED_FILL_BYTES)
        ph_pattern_fill(pd->block, pd->block + pd->wanted, PATTERN_FREED);
    ph_lock_take(&ph_process_heap.span_lock);
    pd->kept = 1;
    slot_freed(pd);
    ph_page_heap_figures()->kept += hp->debug == 0;
    struct paged *old = ph_paged_keep(pd);
    ph_lock_give(&ph_process_heap.span_lock);
    recycle_kept(old);
}

static void slot_close(struct paged *pd)
{
    ph_lock_take(&ph_process_heap.span_lock);
    slot_freed(pd);
    ph_lock_give(&ph_process_heap.span_lock);
    shut(pd);
    ph_lock_take(&ph_process_heap.span_lock);
    ph_paged_quarantine(pd);
    ph_lock_give(&ph_process_heap.span_lock);
    recycle_ripe();
}

void ph_page_heap_give(struct heap *hp, const struct span *sp)
{
    struct paged *pd = ph_paged_at(sp->slot);
    if (pd == NULL)
        return;
    const uint64_t began = ph_page_heap_begins();
    ph_paged_check(pd);
    ph_paged_note(pd, SLOT_WAS_FREED);
    if (is_kept(hp, pd))
        slot_keep(hp, pd);
    else
        slot_close(pd);
    ph_page_heap_ends(began);
}

bool ph_page_heap_resize(const struct heap *hp, struct span *sp, size_t bytes)
{
    ph_lock_take(&ph_process_heap.span_lock);
    struct paged *pd = ph_paged_at(sp->slot);
    const bool fits = pd != NULL && bytes + ph_paged_tail_bytes(hp) <= (size_t)(paged_open_end(pd) - pd->block);
    if (fits) {
        if (bytes > pd->wanted && hp->debug != 0)
            ph_pattern_fill(pd->block + ph_round_up(pd->wanted, 4), pd->block + bytes, PATTERN_FRESH);
        pd->wanted = bytes;
        span_want(sp, bytes, true);
        surround(pd, hp);
    }
    ph_lock_give(&ph_process_heap.span_lock);
    return fits;
}
