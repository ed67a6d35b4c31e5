/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pageheap.c -- which blocks have a slot of OS pages of their own, and what surrounds and fills them.
 *
 * Owns:    struct paged while it is taken; the descriptor of a paged block; the figures.
 * Calls:   pageslot.c; large.c for the books (beside), pattern, stress, trace, unwind, site, report, os.
 * Locks:   takes LOCK span of the process heap around the list of slots, whichever heap the block belongs to.
 * Always:  of a live block's slot only the pages that the block touches are accessible; what is left of them is a
 *          canary, which is looked at when the block is freed, when asked for, and at exit.  A freed block of the process
 *          heap is inaccessible until its slot is taken again; one of a private heap holds the pattern of freed memory
 *          and can be read while it waits (W32 2.8).
 * Why:     whoever is not served here is served as in secure mode, never refused: a budget that runs out costs
 *          sharpness, not the program. */
#include "pageheap.h"

#include "options.h"
#include "pattern.h"
#include "report.h"
#include "site.h"
#include "text.h"
#include "valid.h"

#include "small.h"

enum { FILL_MOST_BYTES = 1 << 20 }; /* what is larger is zero, and stays untouched memory */

static struct page_heap_figures figures;
static uint64_t ordinal; /* of a block that may be served */
static uint64_t begun_ns, spent_ns;

#define LOOK(variable) __atomic_load_n(&(variable), __ATOMIC_RELAXED)

static ph_lock *lock(void) { return &ph_process_heap.span_lock; }

/* ---- figures ------------------------------------------------------------------------------------ */

const struct page_heap_figures *ph_page_heap_figures(void) { return &figures; }

const char *ph_page_heap_refusal(enum paged_refusal why)
{
    static const char words[PAGED_REFUSALS][32] = {
        "the budget", "no address space", "no more mappings", "the time", "too large a block", "in a signal's handler",
    };
    return words[why];
}

void ph_page_heap_refuse(enum paged_refusal why, size_t bytes)
{
    __atomic_fetch_add(&figures.refused[why], 1, __ATOMIC_RELAXED);
    if (bytes > LOOK(figures.refused_most))
        __atomic_store_n(&figures.refused_most, bytes, __ATOMIC_RELAXED);
    if (bytes < LOOK(figures.refused_least) || LOOK(figures.refused_least) == 0)
        __atomic_store_n(&figures.refused_least, bytes, __ATOMIC_RELAXED);
}

/* Held: the lock. */
static void count_taken(size_t bytes)
{
    figures.taken++;
    figures.bytes += bytes;
    if (++figures.live > figures.live_most)
        figures.live_most = figures.live;
    if (figures.bytes > figures.bytes_most)
        figures.bytes_most = figures.bytes;
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    ph_os_clock_ask(&now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Where there is a bound on time: when this began, else 0. */
static uint64_t time_begins(void)
{
    if (ph_stress_in_force()->slowdown == 0)
        return 0;
    const uint64_t now = clock_ns();
    if (begun_ns == 0)
        begun_ns = now;
    return now;
}

static void time_ends(uint64_t began)
{
    if (began != 0)
        __atomic_fetch_add(&spent_ns, clock_ns() - began, __ATOMIC_RELAXED);
}

/* All that passed is what the page heap took and what the rest took. */
static bool is_too_slow(uint64_t now)
{
    enum { GRACE_NS = 20000000 };
    const uint64_t passed = now - begun_ns, spent = LOOK(spent_ns);
    return now != 0 && spent > GRACE_NS && spent > (passed > spent ? passed - spent : 0) * ph_stress_in_force()->slowdown;
}

/* ---- which ---------------------------------------------------------------------------------------- */

static bool is_text(const char *text, const char *other)
{
    const char *rest = text_after(text, other);
    return rest != NULL && *rest == '\0';
}

static bool is_of_module(const char *module)
{
    struct trace trace;
    ph_trace_here(&trace, NULL);
    return ph_site_is_of(&trace, module);
}

static bool is_wanted(const struct heap *hp, size_t bytes)
{
    const struct stress_spec *st = ph_stress_in_force();
    if (bytes < st->least || bytes > st->most || hp->handle == NULL)
        return false;
    if (st->has_heap && !is_text(hp == &ph_process_heap ? "process" : hp->name, st->heap))
        return false;
    if (st->has_module && !is_of_module(st->module))
        return false;
    const uint64_t mine = __atomic_fetch_add(&ordinal, 1, __ATOMIC_RELAXED);
    if (st->check != 0 && mine % st->check == st->check - 1)
        ph_page_heap_check_all();
    return st->rate == 1 || ph_stress_chance(mine) % st->rate == 0;
}

/* ---- where in its slot ------------------------------------------------------------------------------ */

struct place {
    size_t room;  /* of the block and its tail */
    size_t align;
    size_t bytes; /* that its slot must have */
    bool at_start;
};

static size_t tail_bytes(const struct heap *hp) { return hp->debug != 0 ? PATTERN_TAIL_BYTES : 0; }

static struct place place_for(const struct heap *hp, const struct request *rq)
{
    const struct stress_spec *st = ph_stress_in_force();
    const size_t os_page = ph_os_page_bytes();
    struct place pl = {.room = rq->bytes + tail_bytes(hp), .align = rq->align > 16 ? rq->align : 16};
    if (st->unaligned && rq->align <= 1)
        pl.align = 1;
    pl.at_start = st->side == STRESS_START || (st->side == STRESS_RANDOM && ph_stress_chance(LOOK(ordinal)) >> 63 != 0);
    pl.bytes = pl.align <= os_page ? ph_round_up(pl.room, pl.align) : pl.room + pl.align - os_page;
    return pl;
}

static char *first_page(const char *block) { return (char *)((uintptr_t)block & ~(uintptr_t)(ph_os_page_bytes() - 1)); }
static char *open_end(const struct paged *pd) { return first_page(pd->block) + pd->pages * ph_os_page_bytes(); }

static void put(struct paged *pd, const struct place *pl)
{
    char *const start = ph_paged_start(pd), *const end = ph_paged_end(pd);
    pd->block = pl->at_start ? (char *)ph_round_up((uintptr_t)start, pl->align) : (char *)((uintptr_t)(end - pl->room) & ~(pl->align - 1));
    const size_t open = pl->room > 0 ? (size_t)(pd->block + pl->room - first_page(pd->block)) : 0;
    pd->pages = (uint32_t)((open + ph_os_page_bytes() - 1) / ph_os_page_bytes());
}

/* ---- what surrounds it ------------------------------------------------------------------------------- */

static struct heap *heap_of(const struct paged *pd) { return ph_heap_at(pd->heap); }

static size_t tail_of(const struct paged *pd)
{
    const struct heap *hp = heap_of(pd);
    return hp != NULL ? tail_bytes(hp) : 0;
}

static void surround(struct paged *pd, const struct heap *hp)
{
    char *const behind = pd->block + pd->wanted;
    const size_t tail = tail_bytes(hp);
    if (pd->pages == 0)
        return;
    ph_canary_fill(first_page(pd->block), pd->block);
    __builtin_memset(behind, PATTERN_TAIL, tail);
    ph_canary_fill(behind + tail, open_end(pd));
}

/* The byte before or behind a live block that somebody changed, the nearest; NULL: none. */
static const char *broken_at(const struct paged *pd)
{
    char *const behind = pd->block + pd->wanted, *const page = first_page(pd->block);
    const size_t tail = tail_of(pd);
    if (pd->pages == 0)
        return NULL;
    for (size_t i = 0; i < tail; i++)
        if ((uint8_t)behind[i] != PATTERN_TAIL)
            return behind + i;
    const char *broken = ph_canary_broken(behind + tail, open_end(pd));
    if (broken != open_end(pd))
        return broken;
    broken = ph_canary_broken_last(page, pd->block);
    return broken != pd->block ? broken : NULL;
}

static void report_broken(const struct paged *pd)
{
    struct trace allocated;
    const char *broken = broken_at(pd);
    if (broken == NULL)
        return;
    ph_report(&(struct report){
        .kind = broken < pd->block ? DIAG_UNDERFLOW : DIAG_OVERFLOW,
        .block = pd->block,
        .bytes = pd->wanted,
        .access = broken,
        .is_write = true,
        .goes_on = ph_stress_in_force()->goes_on,
        .heap = heap_of(pd),
        .allocated = ph_paged_stack(pd, SLOT_ALLOCATED, &allocated),
    });
}

/* ---- who had it ----------------------------------------------------------------------------------- */

static void note(struct paged *pd, enum slot_event event)
{
    const uint32_t depth = ph_stress_in_force()->stacks;
    struct trace trace;
    pd->stack[event] = 0;
    pd->thread[event] = ph_os_tid();
    if (depth == 0)
        return;
    ph_trace_here(&trace, NULL);
    if (trace.depth > depth)
        trace.depth = (uint16_t)depth;
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

/* ---- taking -------------------------------------------------------------------------------------------- */

static struct paged *slot_take(const struct place *pl)
{
    enum paged_refusal why = PAGED_BUDGET;
    struct paged *pd = NULL;
    ph_lock_take(lock());
    if (!ph_paged_ready())
        why = PAGED_SPACE;
    else if (figures.bytes + pl->room <= ph_stress_in_force()->budget)
        pd = ph_paged_take(pl->bytes, &why);
    ph_canary_begin();
    ph_lock_give(lock());
    if (pd == NULL)
        ph_page_heap_refuse(why, pl->room);
    return pd;
}

static bool slot_open(struct paged *pd)
{
    char *const start = ph_paged_start(pd), *const end = ph_paged_end(pd);
    if (pd->opened) { /* with the guard behind it */
        ph_paged_close(start, (size_t)(end - start) + ph_os_page_bytes());
        pd->opened = 0;
    }
    return ph_paged_open(first_page(pd->block), (size_t)(open_end(pd) - first_page(pd->block)));
}

static void slot_fill(struct paged *pd, const struct heap *hp, const struct request *rq)
{
    surround(pd, hp);
    if (!rq->zero && pd->wanted <= FILL_MOST_BYTES)
        ph_pattern_fill(pd->block, pd->block + pd->wanted, PATTERN_FRESH);
    note(pd, SLOT_ALLOCATED);
}

static void *slot_enter(struct heap *hp, struct paged *pd)
{
    struct span *sp = ph_span_new();
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

static void *paged_take(struct heap *hp, const struct request *rq)
{
    const struct place pl = place_for(hp, rq);
    struct paged *pd = slot_take(&pl);
    if (pd == NULL)
        return NULL;
    put(pd, &pl);
    pd->wanted = rq->bytes;
    pd->heap = (uint16_t)hp->id;
    pd->family = (uint8_t)rq->family;
    const bool is_open = slot_open(pd);
    if (is_open)
        slot_fill(pd, hp, rq);
    void *block = is_open ? slot_enter(hp, pd) : NULL;
    ph_lock_take(lock());
    if (block != NULL)
        count_taken(pd->pages * ph_os_page_bytes());
    else
        ph_paged_untake(pd);
    ph_lock_give(lock());
    if (block == NULL && is_open)
        ph_paged_close(first_page(pd->block), pd->pages * ph_os_page_bytes());
    if (block == NULL)
        ph_page_heap_refuse(PAGED_MAPPINGS, rq->bytes);
    return block;
}

void *ph_page_heap_alloc(struct heap *hp, const struct request *rq)
{
    if (!is_wanted(hp, rq->bytes))
        return NULL;
    const uint64_t began = time_begins();
    if (is_too_slow(began)) {
        ph_page_heap_refuse(PAGED_TIME, rq->bytes);
        return NULL;
    }
    void *block = paged_take(hp, rq);
    time_ends(began);
    return block;
}

/* ---- giving -------------------------------------------------------------------------------------------- */

static bool freed_is_good(const struct paged *pd)
{
    return pd->wanted > FILL_MOST_BYTES || ph_pattern_is(pd->block, pd->block + pd->wanted, PATTERN_FREED);
}

/* It may be taken again; what a private heap's block held after free is looked at first. */
static void recycle(struct paged *pd)
{
    struct trace allocated, was_freed;
    if (pd->kept && !freed_is_good(pd))
        ph_report(&(struct report){
            .kind = DIAG_WRITE_AFTER_FREE,
            .block = pd->block,
            .bytes = pd->wanted,
            .goes_on = ph_stress_in_force()->goes_on,
            .heap = heap_of(pd),
            .allocated = ph_paged_stack(pd, SLOT_ALLOCATED, &allocated),
            .freed = ph_paged_stack(pd, SLOT_WAS_FREED, &was_freed),
        });
    if (pd->kept)
        ph_paged_close(first_page(pd->block), pd->pages * ph_os_page_bytes());
    pd->kept = 0;
    ph_lock_take(lock());
    ph_paged_free(pd);
    figures.recycled++;
    ph_lock_give(lock());
}

static void recycle_ripe(void)
{
    for (;;) {
        ph_lock_take(lock());
        struct paged *pd = ph_paged_ripe(ph_stress_in_force()->quarantine);
        ph_lock_give(lock());
        if (pd == NULL)
            return;
        recycle(pd);
    }
}

/* W32 2.8: a private heap's freed memory is filled and can be read, as long as there is the heap. */
static void slot_shut(const struct heap *hp, struct paged *pd)
{
    char *const page = first_page(pd->block);
    pd->kept = hp->debug != 0 && __atomic_load_n(&hp->handle, __ATOMIC_RELAXED) != NULL && pd->pages != 0;
    if (!pd->kept)
        ph_paged_close(page, pd->pages * ph_os_page_bytes());
    else if (pd->wanted <= FILL_MOST_BYTES)
        ph_pattern_fill(pd->block, pd->block + pd->wanted, PATTERN_FREED);
}

void ph_page_heap_give(struct heap *hp, struct span *sp)
{
    struct paged *pd = ph_paged_at(sp->slot);
    if (pd == NULL)
        return;
    const uint64_t began = time_begins();
    report_broken(pd);
    note(pd, SLOT_WAS_FREED);
    ph_lock_take(lock()); /* another thread may be looking around it */
    __atomic_store_n(&pd->state, SLOT_FREED, __ATOMIC_RELEASE);
    ph_lock_give(lock());
    slot_shut(hp, pd);
    ph_lock_take(lock());
    figures.live--;
    figures.bytes -= pd->pages * ph_os_page_bytes();
    ph_paged_quarantine(pd);
    ph_lock_give(lock());
    recycle_ripe();
    time_ends(began);
}

bool ph_page_heap_resize(const struct heap *hp, struct span *sp, size_t bytes)
{
    ph_lock_take(lock());
    struct paged *pd = ph_paged_at(sp->slot);
    const bool fits = pd != NULL && bytes + tail_bytes(hp) <= (size_t)(open_end(pd) - pd->block);
    if (fits) {
        if (bytes > pd->wanted && hp->debug != 0)
            ph_pattern_fill(pd->block + ph_round_up(pd->wanted, 4), pd->block + bytes, PATTERN_FRESH);
        pd->wanted = bytes;
        span_want(sp, bytes, true);
        surround(pd, hp);
    }
    ph_lock_give(lock());
    return fits;
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
    out->heap = heap_of(pd);
    out->wanted = pd->wanted;
    return pd->state == SLOT_FREED && pd->block == block ? BLOCK_TWICE : BLOCK_BAD;
}

bool ph_page_heap_is_valid(const struct span *sp)
{
    const struct paged *pd = ph_paged_at(sp->slot);
    return pd != NULL && pd->state == SLOT_LIVE && pd->block == ph_large_block(sp) && pd->wanted == sp->wanted &&
           sp->mapped_bytes == (size_t)(ph_paged_end(pd) - (char *)ph_span_start(sp)) && broken_at(pd) == NULL;
}

bool ph_page_heap_freed_is_good(const struct heap *hp)
{
    bool good = true;
    for (const struct paged *pd = ph_paged_next(0); pd != NULL && good; pd = ph_paged_next(pd->number)) {
        if (!pd->kept || pd->heap != hp->id)
            continue;
        ph_lock_take(lock());
        good = !(pd->kept && pd->state == SLOT_FREED) || freed_is_good(pd);
        ph_lock_give(lock());
    }
    return good;
}

void ph_page_heap_check_all(void)
{
    for (const struct paged *pd = ph_paged_next(0); pd != NULL; pd = ph_paged_next(pd->number)) {
        ph_lock_take(lock());
        if (pd->state == SLOT_LIVE)
            report_broken(pd);
        ph_lock_give(lock());
    }
}
