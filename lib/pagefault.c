/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pagefault.c -- an access that a guard of the page heap stopped, or that a function of libc was asked for: whose
 * block it missed.
 *
 * Owns:    nothing.
 * Calls:   pageslot.c, unwind, report, os.
 * Locks:   none: the fault may have come anywhere.  What it reads of a slot may be changing; addresses are not.
 * Why:     in a handler, on whatever stack there is: no more than the report needs. */
#include "pageheap.h"

#include "pattern.h"
#include "report.h"

#include "small.h"

/* How far an access is from a block; SIZE_MAX: nobody ever had it. */
static size_t distance(const struct paged *pd, const char *at)
{
    if (pd == NULL || __atomic_load_n(&pd->state, __ATOMIC_ACQUIRE) < SLOT_LIVE)
        return SIZE_MAX;
    return at < pd->block ? (size_t)(pd->block - at) : at < pd->block + pd->wanted ? 0 : (size_t)(at - pd->block - pd->wanted) + 1;
}

static bool is_nearer(const struct paged *pd, const struct paged *than, const char *at)
{
    const size_t mine = distance(pd, at), other = distance(than, at);
    const bool is_live = pd != NULL && pd->state == SLOT_LIVE, other_live = than != NULL && than->state == SLOT_LIVE;
    return mine < other || (mine == other && is_live && !other_live);
}

/* `at` lies in that slot or in the guard behind it: whose block is nearest, of this slot and its neighbours? */
static const struct paged *nearest(const struct paged *pd, const char *at)
{
    const size_t os_page = ph_os_page_bytes();
    const struct paged *before = ph_paged_of(ph_paged_start(pd) - os_page - 1), *next = ph_paged_of(ph_paged_end(pd) + os_page);
    const struct paged *found = is_nearer(next, pd, at) ? next : pd;
    return is_nearer(before, found, at) ? before : found;
}

static void report_access(const struct paged *pd, const struct report *access)
{
    struct trace allocated, was_freed;
    struct report rp = *access;
    const char *at = access->access;
    const bool freed = pd->state == SLOT_FREED;
    enum { WIDEST_READ = 64 }; /* libc reads texts by so many bytes at once, from a multiple of that on */
    if (freed && rp.ucontext != NULL && !rp.is_write && at < pd->block && (size_t)(pd->block - at) < WIDEST_READ && pd->wanted > 0)
        rp.access = at = pd->block;
    rp.kind = freed ? DIAG_USE_AFTER_FREE_GUARD : at < pd->block ? DIAG_UNDERFLOW_GUARD : DIAG_OVERFLOW_GUARD;
    rp.block = pd->block;
    rp.bytes = pd->wanted;
    rp.heap = pd->heap;
    rp.allocated = ph_paged_stack(pd, SLOT_ALLOCATED, &allocated);
    rp.freed = ph_paged_stack(pd, SLOT_WAS_FREED, &was_freed);
    ph_report(&rp);
}

/* The program goes on: with the page that it touches, which is of that slot or the guard behind it. */
static bool let_through(struct paged *pd, char *at)
{
    const size_t os_page = ph_os_page_bytes();
    __atomic_store_n(&pd->opened, 1, __ATOMIC_RELAXED);
    return ph_paged_open((char *)((uintptr_t)at & ~(os_page - 1)), os_page);
}

/* Beyond all slots that were ever taken, or in one that nobody has: it is a block below that was left, far behind. */
static const struct paged *last_below(const char *at)
{
    const struct paged *pd = ph_paged_below(at);
    for (unsigned tries = 65536; pd != NULL && pd->state != SLOT_LIVE && tries > 0; tries--)
        pd = ph_paged_below(ph_paged_start(pd));
    return pd;
}

bool ph_page_heap_fault(char *at, const void *ucontext)
{
    struct paged *pd = ph_paged_of(at);
    const struct paged *missed = pd != NULL ? nearest(pd, at) : NULL;
    if (distance(missed, at) == SIZE_MAX)
        missed = last_below(at);
    const size_t away = distance(missed, at);
    if (away == SIZE_MAX || (away == 0 && missed->state == SLOT_LIVE))
        return false; /* nobody had it; or it is accessible, and something else is wrong */
    report_access(missed, &(struct report){.access = at, .is_write = ph_os_fault_is_write(ucontext), .ucontext = ucontext});
    return pd != NULL && let_through(pd, at);
}

/* ---- what a function is about to touch ----------------------------------------------------------------- */

/* The engine copies and fills by the same functions, slots that it has locked and what surrounds blocks too. */
void ph_page_heap_access(char *at, bool is_write, const char *function, const void *caller)
{
    const size_t room = ph_page_heap_room(at, is_write);
    struct paged *pd = ph_paged_of(at);
    if (room == SIZE_MAX || ph_trace_is_own((uintptr_t)caller))
        return;
    const struct paged *missed = room > 0 ? pd : nearest(pd, at);
    report_access(missed, &(struct report){.access = at + room, .is_write = is_write, .caller = function});
    (void)let_through(pd, at + room);
}

/* ---- memory that was never written ------------------------------------------------------------------- */

/* Some bytes behind NULL, after an allocation gave just that. */
bool ph_page_heap_null(const char *at, const void *ucontext)
{
    enum { NEAR_NULL = 65536 };
    size_t bytes = 0;
    const struct trace *failed = ph_stress_is_on() && (uintptr_t)at < NEAR_NULL ? ph_page_heap_failure(&bytes) : NULL;
    if (failed == NULL)
        return false;
    ph_report(&(struct report){
        .kind = DIAG_NO_MEMORY,
        .block = NULL,
        .bytes = bytes,
        .access = at,
        .is_write = ph_os_fault_is_write(ucontext),
        .heap = &ph_process_heap,
        .allocated = failed,
        .ucontext = ucontext,
    });
    return false;
}

/* An address that no process has, made of what new memory holds: some bytes beside it at most. */
static bool is_fresh_pattern(uintptr_t value)
{
    const uint64_t fresh = (uint64_t)PATTERN_FRESH << 32 | PATTERN_FRESH;
    enum { BESIDE = 1 << 20 };
    return value - fresh + BESIDE < 2 * BESIDE;
}

void ph_page_heap_wild(const void *ucontext)
{
    uintptr_t value;
    for (unsigned i = 0; ph_stress_is_on() && ph_os_fault_register(ucontext, i, &value); i++)
        if (is_fresh_pattern(value)) {
            ph_report(&(struct report){
                .kind = DIAG_UNINITIALISED,
                .block = (const void *)value,
                .bytes = SIZE_MAX,
                .ucontext = ucontext,
            });
            return;
        }
}
