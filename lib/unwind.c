/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* unwind.c -- who called: the return addresses of this thread's stack. */
#include "internal.h"
#include "unwind.h"

#include "small.h"

void ph_trace_here(struct trace *out, const void *ucontext)
{
    (void)ucontext;
    out->thread = ph_os_tid();
    out->depth = 1;
    out->pc[0] = (uintptr_t)__builtin_return_address(0) - 1;
}

bool ph_module_of(uintptr_t address, struct module *out)
{
    (void)address;
    (void)out;
    return false;
}

bool ph_stack_has(const void *address)
{
    return (uintptr_t)address - (uintptr_t)__builtin_frame_address(0) < (uintptr_t)8 << 20;
}

void ph_trace_fork_child(void) {}
