/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* spanguard.c -- inaccessible OS pages between the spans of a secure heap.
 *
 * Owns:    guard_count, guard_next; spans of KIND_GUARD.
 * Calls:   os.c, options.  Part of span.c's room.
 * Locks:   held on entry: the span lock (but for ph_spanguard_end, which takes it).
 * Always:  the last OS page of a guard is inaccessible, unless a fork past us left it half made; most have no other.  A
 *          guard is counted as long as its entries say that it is one.
 * Why:     who runs on over the end of a block is stopped at the next guard.  It costs a system call and two mappings,
 *          which fork copies: so there is one behind a span after so many units of new ones, ever fewer of them in a growing heap,
 *          at distances that nobody can foresee; and it stays where it is when the spans around it are freed and taken
 *          again. */
#include "guard.h"
#include "options.h"
#include "valid.h"

#include "small.h"

enum {
    EVERY_PAGES = 32,  /* OS pages from one guard to the next, on average; */
    TWICE_AFTER = 64,  /* so many guards on, twice as many */
    LIFT_PAGES = 128,  /* OS pages that are free around one: it goes */
};

static uint32_t guard_units(void) { return (uint32_t)(ph_os_page_bytes() >> UNIT_BITS); }

/* Units that are live when there are so many guards. */
static uint64_t level(uint64_t guards)
{
    const uint64_t times = guards / TWICE_AFTER, rest = guards % TWICE_AFTER;
    return (((TWICE_AFTER + rest) << times) - TWICE_AFTER) * EVERY_PAGES * guard_units();
}

/* Two guards lie 1 to twice the mean less 1 apart, evenly; also where many went while much stayed live. */
static void next_set(struct heap *hp)
{
    const uint64_t chance = ph_os_random(), from = level(hp->guard_count);
    const uint64_t wish = from + 1 + chance % (level(hp->guard_count + 2) - from - 1);
    const uint64_t least = hp->live_units + 1 + chance % (2 * EVERY_PAGES * guard_units() - 1);
    hp->guard_next = wish > least ? wish : least;
}

static void count_set(struct heap *hp, uint64_t count)
{
    __atomic_store_n(&hp->guard_count, count, __ATOMIC_RELAXED);
    if (hp->guard_next != 0)
        next_set(hp);
}

void ph_spanguard_begin(struct heap *hp)
{
    hp->guard_next = 0;
    if (hp->hard == MODE_SECURE && ph_option(OPT_CHECKS) != 0)
        next_set(hp);
}

void ph_spanguard_forget(struct heap *hp, const struct span *sp)
{
    hp->live_units -= sp->units;
    count_set(hp, hp->guard_count - 1);
}

/* It can be touched again. */
static struct span *guard_free(struct heap *hp, struct span *sp)
{
    count_set(hp, hp->guard_count - 1);
    ph_map_clear_inner(sp);
    sp->freed_ms = (uint32_t)hp->purge_ms;
    return ph_span_free_locked(hp, sp);
}

static char *guard_page(const struct span *sp) { return (char *)ph_span_start(sp) + ph_span_bytes(sp) - ph_os_page_bytes(); }

/* What `sp` has beyond so many units is `guard` from now on. */
static void guard_cut(struct heap *hp, struct span *sp, struct span *guard, uint32_t units)
{
    guard->start = sp->start + units;
    guard->units = sp->units - units;
    guard->state = sp->state;
    guard->tag = hp->tag | KIND_GUARD;
    span_want(guard, 0, false);
    ph_map_clear_last(sp);
    sp->units = units;
    ph_map_ends(sp);
    ph_map_ends(guard);
    count_set(hp, hp->guard_count + 1);
}

/* Where the system refuses there is none: the memory is free again. */
static void guard_close(struct heap *hp, struct span *guard)
{
    const size_t os_page = ph_os_page_bytes();
    if ((guard->state == SPAN_DIRTY && ph_os_purge(guard_page(guard), os_page) != 0) || ph_os_protect(guard_page(guard), os_page) != 0)
        (void)guard_free(hp, guard);
}

/* A span with a guard behind it.  NULL: none is due, or there is no room for both. */
struct span *ph_spanguard_take(struct heap *hp, unsigned kind, uint32_t units, uint32_t align_units, size_t wanted, bool sized)
{
    const uint32_t os_units = guard_units(), whole = (uint32_t)ph_round_up(units, os_units) + os_units;
    if (hp->live_units < hp->guard_next)
        return NULL;
    next_set(hp); /* also where there will be none */
    struct span *guard = fence_has_room(hp) ? ph_span_descriptor(hp) : NULL;
    if (guard == NULL)
        return NULL;
    struct span *sp = ph_span_take_locked(hp, kind, whole, align_units > os_units ? align_units : os_units, wanted, sized);
    if (sp == NULL) {
        ph_span_drop(guard);
        return NULL;
    }
    guard_cut(hp, sp, guard, units);
    span_want(sp, wanted, sized); /* it is shorter now */
    guard_close(hp, guard);
    return sp;
}

/* It is free memory again, part of what is returned; or, where the system refuses, still a guard: NULL. */
static struct span *guard_lift(struct heap *hp, struct span *sp)
{
    if (ph_os_commit(guard_page(sp), ph_os_page_bytes(), false) != 0)
        return NULL;
    return guard_free(hp, sp);
}

static struct span *span_of_unit(const struct heap *hp, uint64_t unit, unsigned kind)
{
    const uint64_t entry = map_get(ph_unit_address(unit));
    return (uint32_t)entry == (hp->tag | kind) ? ph_span_at(entry_span(entry)) : NULL;
}

/* The guard next to a free span, at its end or before its start, if there is as much free memory around it that it keeps
 * nothing apart any more. */
static struct span *idle_guard(const struct heap *hp, const struct span *sp, bool at_end)
{
    struct span *guard = span_of_unit(hp, at_end ? sp->start + sp->units : sp->start - 1, KIND_GUARD);
    if (guard == NULL)
        return NULL;
    const struct span *beyond = span_of_unit(hp, at_end ? guard->start + guard->units : guard->start - 1, KIND_FREE);
    return beyond != NULL && sp->units + beyond->units >= (uint64_t)LIFT_PAGES * guard_units() ? guard : NULL;
}

/* Where much is free in one stretch, guards go: else what is left of a large heap would be nothing but pieces. */
struct span *ph_spanguard_lift(struct heap *hp, struct span *sp)
{
    for (struct span *joined = sp; joined != NULL;) {
        sp = joined;
        struct span *guard = idle_guard(hp, sp, true);
        if (guard == NULL)
            guard = idle_guard(hp, sp, false);
        joined = guard != NULL ? guard_lift(hp, guard) : NULL;
    }
    return sp;
}

bool ph_spanguard_end(struct heap *hp)
{
    bool any = false;
    ph_lock_take(&hp->span_lock);
    hp->guard_next = 0;
    for (const struct region *rg = hp->guard_count != 0 ? hp->regions : NULL; rg != NULL; rg = rg->next)
        for (uint32_t unit = rg->first; unit < rg->top;) {
            struct span *sp = ph_span_containing(hp, ph_region_unit(rg, unit)); /* not from `unit`: a guard that went has joined */
            if (sp == NULL)
                break;
            unit = (uint32_t)(sp->start + sp->units - ((uintptr_t)rg->base >> UNIT_BITS));
            any |= entry_kind(sp->tag) == KIND_GUARD && guard_lift(hp, sp) != NULL;
        }
    ph_lock_give(&hp->span_lock);
    return any;
}
