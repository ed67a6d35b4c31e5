/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pagebounds.c -- an access of which somebody says beforehand where it begins and ends: is it inside its block?
 *
 * Owns:    nothing.
 * Calls:   pageslot.c, report.
 * Locks:   none: the block is its caller's, unless the caller is wrong.
 * Why:     up to 15 bytes behind a block there is no guard, and in what the kernel reads and writes a guard is no fault but
 *          an error that programs overlook. */
#include "pageheap.h"

#include "report.h"

#include "small.h"

static void report_bounds(const struct paged *pd, enum diagnostic kind, const char *at, bool is_write, const char *function)
{
    struct trace allocated, was_freed;
    ph_report(&(struct report){
        .kind = kind,
        .block = pd->block,
        .bytes = pd->wanted,
        .access = at,
        .is_write = is_write,
        .heap = pd->state == SLOT_FREED ? &ph_process_heap : NULL, /* NULL: that around the block */
        .caller = function,
        .allocated = ph_paged_stack(pd, SLOT_ALLOCATED, &allocated),
        .freed = ph_paged_stack(pd, SLOT_WAS_FREED, &was_freed),
    });
}

/* A freed block of a private heap may be read, and written if the heap's checks shall find it (W32 2.8). */
void ph_page_heap_access(const void *from, size_t bytes, bool is_write, const char *function)
{
    const char *at = from;
    const struct paged *pd = bytes != 0 ? ph_paged_of(at) : NULL;
    const unsigned state = pd != NULL ? __atomic_load_n(&pd->state, __ATOMIC_ACQUIRE) : SLOT_NEVER;
    if (state == SLOT_FREED && pd->heap == ph_process_heap.id && at - pd->block < (ptrdiff_t)pd->wanted)
        report_bounds(pd, DIAG_USE_AFTER_FREE_GUARD, at, is_write, function);
    if (state != SLOT_LIVE)
        return;
    const char *const end = pd->block + pd->wanted;
    if (at < pd->block)
        report_bounds(pd, DIAG_UNDERFLOW_GUARD, at, is_write, function);
    else if (at > end || bytes > (size_t)(end - at))
        report_bounds(pd, DIAG_OVERFLOW_GUARD, at > end ? at : end, is_write, function);
}
