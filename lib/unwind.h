/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* unwind.h -- who called: the return addresses of this thread's stack.
 *
 * Signal-safe: never allocates, never locks, never faults, leaves errno alone. */
#ifndef PH_UNWIND_H
#define PH_UNWIND_H

#include <stdbool.h>
#include <stdint.h>

enum { TRACE_DEPTH = 16 };

struct trace {
    uint32_t thread;           /* as gettid(2) says; 0: no trace */
    uint16_t depth;
    uintptr_t pc[TRACE_DEPTH]; /* the innermost first; each lies inside the instruction that called */
};

/* The callers of this object's functions; or, given a signal handler's third argument, what ran when the signal
 * came.  A hundred nanoseconds for places that were met before. */
void ph_trace_here(struct trace *out, const void *ucontext);

/* The module in which an address lies: its name (that of a file, without folders; "" the program itself) and what
 * to subtract for an address as in that file.  False: in none. */
struct module {
    const char *path;
    uintptr_t bias;
};
bool ph_module_of(uintptr_t address, struct module *out);

/* Whether an address lies on this thread's stack, in a frame that is live. */
bool ph_stack_has(const void *address);

void ph_trace_fork_child(void); /* the thread has another number there */

#endif
