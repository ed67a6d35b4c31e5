/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* guardfault.c -- an access that no guard let pass: whose block it missed, and what becomes of the process.
 *
 * Owns:    the handlers of SIGSEGV and SIGBUS, from before main on, until the first fault that is not ours or
 *          until the program installs its own.
 * Calls:   guardslot.c, pagefault.c (beside), report, os.
 * Locks:   none: the fault may have come anywhere.  What it reads of a slot may be changing; addresses are not.
 * Always:  a fault elsewhere goes to whoever would have had it without us: the action that was there before is
 *          put back, and the instruction repeated.
 * Why:     the process ends as at any other report of ours; after a read in default mode, and after any access in
 *          tolerant mode, the page is made accessible and the program goes on: in tolerant mode a freed slot still
 *          has what was in it, and behind an end there is nothing to damage. */
#include "pageheap.h"

#include "options.h"
#include "report.h"
#include "valid.h"

#include <signal.h>

#include "small.h"

static struct ph_os_action before_segv, before_bus;
static bool caught;

static struct ph_os_action *action_before(int signal) { return signal == SIGBUS ? &before_bus : &before_segv; }

/* How far an access is from a block; SIZE_MAX: nobody ever had it. */
static size_t distance(const struct slot *sl, const char *at)
{
    if (sl == NULL || sl->self == 0 || __atomic_load_n(&sl->state, __ATOMIC_ACQUIRE) < SLOT_LIVE)
        return SIZE_MAX;
    return at < sl->block ? (size_t)(sl->block - at) : at < sl->block + sl->wanted ? 0 : (size_t)(at - sl->block - sl->wanted) + 1;
}

/* `at` lies in that slot or in the guard behind it: whose block is nearest, of this slot and its neighbours? */
static const struct slot *nearest(const struct slot *sl, const char *at)
{
    const size_t os_page = ph_os_page_bytes();
    const struct slot *before = ph_slot_of(ph_slot_start(sl) - os_page - 1), *next = ph_slot_of(ph_slot_end(sl) + os_page);
    const struct slot *found = distance(next, at) < distance(sl, at) ? next : sl;
    return distance(before, at) < distance(found, at) ? before : found;
}

/* In default mode a read that missed is told of and answered with what is there, mostly zeros: it ran without us too. */
static void report_access(const struct slot *sl, const char *at, const void *ucontext)
{
    const bool is_write = ph_os_fault_is_write(ucontext);
    struct trace allocated, was_freed;
    const bool freed = sl->state == SLOT_FREED;
    ph_report(&(struct report){
        .kind = freed ? DIAG_USE_AFTER_FREE_GUARD : at < sl->block ? DIAG_UNDERFLOW_GUARD : DIAG_OVERFLOW_GUARD,
        .block = sl->block,
        .bytes = sl->wanted,
        .access = at,
        .is_write = is_write,
        .goes_on = !is_write && ph_mode == MODE_DEFAULT,
        .heap = &ph_process_heap,
        .allocated = ph_slot_stack(sl, SLOT_ALLOCATED, &allocated),
        .freed = ph_slot_stack(sl, SLOT_WAS_FREED, &was_freed),
        .ucontext = ucontext,
    });
}

/* True when the instruction will do now. */
static bool let_pass(struct slot *sl, char *at)
{
    const size_t os_page = ph_os_page_bytes();
    __atomic_store_n(&sl->opened, 1, __ATOMIC_RELAXED);
    return ph_os_commit((char *)((uintptr_t)at & ~(os_page - 1)), os_page, false) == 0;
}

/* The same for a large block; a freed one has its stack. */
static bool fence_is_served(const struct fenced *fe, char *at, const void *ucontext)
{
    const bool freed = fe->freed.depth != 0;
    const size_t os_page = ph_os_page_bytes();
    if (!freed && (size_t)(at - fe->base) < fe->bytes)
        return false; /* accessible: something else is wrong */
    ph_report(&(struct report){
        .kind = freed ? DIAG_USE_AFTER_FREE_GUARD : at < fe->block ? DIAG_UNDERFLOW_GUARD : DIAG_OVERFLOW_GUARD,
        .block = fe->block,
        .bytes = fe->wanted,
        .access = at,
        .is_write = ph_os_fault_is_write(ucontext),
        .heap = &ph_process_heap,
        .freed = freed ? &fe->freed : NULL,
        .ucontext = ucontext,
    });
    return ph_os_commit((char *)((uintptr_t)at & ~(os_page - 1)), os_page, false) == 0;
}

/* ---- guards between spans ------------------------------------------------------------------------ */

struct near {
    char *block;
    size_t wanted, distance;
};

static void near_block(char *block, size_t wanted, const char *at, struct near *out)
{
    const size_t away = at < block ? (size_t)(block - at) : (size_t)(at - block) - wanted;
    if (away < out->distance)
        *out = (struct near){block, wanted, away};
}

/* Of the live blocks of a span. */
static void near_in(const struct span *sp, const char *at, struct near *out)
{
    const unsigned kind = entry_kind(sp->tag);
    if (kind == KIND_RUN && sp->wanted <= ph_span_bytes(sp))
        near_block(ph_span_start(sp), sp->wanted, at, out);
    if (kind >= KIND_RUN || !kind_is_sized(kind) || !ph_page_is_sound(sp))
        return;
    for (unsigned i = 0; i < sp->capacity; i++)
        if (ph_page_wanted(sp, i) <= ph_class_bytes[kind_class(kind)])
            near_block(ph_page_block(sp, i), ph_page_wanted(sp, i), at, out);
}

/* The live block nearest to a guard, on one side of it, a few spans away at most. */
static struct near near_beside(const char *next_to, const char *at)
{
    struct near nearest = {NULL, SIZE_MAX, SIZE_MAX};
    for (unsigned tries = 16; tries > 0 && nearest.block == NULL; tries--) {
        const uint64_t entry = map_get(next_to);
        const struct span *sp = entry_heap(entry) == ph_process_heap.id ? ph_map_span(entry) : NULL;
        if (sp == NULL)
            break;
        near_in(sp, at, &nearest);
        next_to = next_to < at ? (char *)ph_span_start(sp) - 1 : (char *)ph_span_start(sp) + ph_span_bytes(sp);
    }
    return nearest;
}

/* Who runs on from block to block comes to the guard's nearer end first.  The block that was left may lie further away
 * than the nearest one. */
static void spanguard_report(const char *at, const void *ucontext)
{
    const size_t os_page = ph_os_page_bytes();
    const char *guard = (const char *)((uintptr_t)at & ~(os_page - 1));
    const uint64_t entry = map_get(guard + os_page - 1);
    const struct span *sp = (uint32_t)entry == (ph_process_heap.tag | KIND_GUARD) ? ph_map_span(entry) : NULL;
    if (sp == NULL)
        return;
    const struct near before = near_beside((char *)ph_span_start(sp) - 1, at), behind = near_beside(guard + os_page, at);
    const bool is_before = before.block != NULL && (behind.block == NULL || at < guard + os_page / 2);
    const struct near *nearest = is_before ? &before : &behind;
    ph_report(&(struct report){
        .kind = nearest->block != NULL && at < nearest->block ? DIAG_UNDERFLOW_GUARD : DIAG_OVERFLOW_GUARD,
        .block = nearest->block != NULL ? nearest->block : at,
        .bytes = nearest->wanted,
        .access = at,
        .is_write = ph_os_fault_is_write(ucontext),
        .heap = &ph_process_heap,
        .detail = "in a guard between pages; it may be a block farther away that was left",
        .ucontext = ucontext,
    });
}

/* ---- faults ---------------------------------------------------------------------------------------- */

/* True: it was in a slot or its guards, and the program can go on. */
static bool fault_is_served(char *at, const void *ucontext)
{
    struct fenced fe;
    if (ph_page_heap_fault(at, ucontext) || ph_page_heap_null(at, ucontext))
        return true;
    if (ph_fence_late(at, &fe) || ph_fence_live(at, &fe))
        return fence_is_served(&fe, at, ucontext);
    spanguard_report(at, ucontext);
    struct slot *sl = ph_slot_of(at);
    const struct slot *missed = sl != NULL ? nearest(sl, at) : NULL;
    if (distance(missed, at) == SIZE_MAX)
        return false;
    report_access(missed, at, ucontext);
    return let_pass(sl, at);
}

bool ph_guard_serves(const siginfo_t *info, const void *ucontext)
{
    if (info->si_code == SI_KERNEL) /* no address that a process can have */
        ph_page_heap_wild(ucontext);
    return info->si_code > 0 && fault_is_served(info->si_addr, ucontext);
}

static void on_fault(int signal, siginfo_t *info, void *ucontext)
{
    const bool sent = info->si_code <= 0; /* by kill and the like: nothing will repeat it */
    if (ph_guard_serves(info, ucontext))
        return;
    if (!sent && ph_process_heap.stress != 0 && ph_locks_held == 0 && action_before(signal)->handler == NULL)
        ph_page_heap_check_all(UINT64_MAX); /* the program ends here: why may be told beside some block */
    ph_os_action_restore(signal, action_before(signal));
    if (sent)
        (void)ph_os_signal_again(signal, info);
}

bool ph_guard_catch_faults(void)
{
    if (caught)
        return true;
    caught = ph_os_action_catch(SIGSEGV, on_fault, &before_segv) && ph_os_action_catch(SIGBUS, on_fault, &before_bus);
    return caught;
}

/* Programs that look whether somebody has a handler already, and then set none of their own, are to find what they
 * would find without us. */
bool ph_guard_has_handler(int signal, const void *handler, uintptr_t *before)
{
    if (handler != (const void *)(uintptr_t)on_fault)
        return false;
    *before = (uintptr_t)action_before(signal)->handler;
    return true;
}

bool ph_guard_catch_unhandled(int signal, uintptr_t action)
{
    struct ph_os_action until_now;
    if (!caught || (signal != SIGSEGV && signal != SIGBUS))
        return false;
    *action_before(signal) = (struct ph_os_action){(void *)action, 0, NULL, 0};
    return ph_os_action_catch(signal, on_fault, &until_now);
}
