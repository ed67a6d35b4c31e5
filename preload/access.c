/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* access.c -- what libprivheap-check.so asks: how far an access from an address on may go.
 *
 * Owns:    nothing.
 * Calls:   pagefault.c, unwind.c.  Locks: none.
 * Why:     a guard stops the processor, where a page begins; the functions of libc say what they are going to touch, to
 *          the byte, and what the kernel is going to touch for them. */
#include "access.h"
#include "family.h"

#include "../lib/pageheap.h"

EXPORT size_t __privheap_access(const void *at, bool is_write, const char *function, const void *caller)
{
    if (likely(function == NULL))
        return ph_page_heap_room(at, is_write);
    ph_trace_beside(__builtin_return_address(0));
    ph_page_heap_access((char *)(uintptr_t)at, is_write, function, caller);
    return 0;
}
