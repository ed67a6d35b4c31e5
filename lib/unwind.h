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

/* No more than the innermost `depth` of them. */
void ph_trace_deep(struct trace *out, unsigned depth);

/* The same in two steps: the top of the stack is kept as it is, and read when somebody wants to know.  The first is no
 * more than a copy; the second looks into tables of the program that nothing else reads, each page of which is memory. */
enum { STACK_COPY_WORDS = 184 };
struct stack_copy {
    uint32_t thread; /* 0: none */
    uint32_t bytes;
    uintptr_t pc, sp, bp, bx;
    uintptr_t word[STACK_COPY_WORDS];
};
void ph_stack_copy(struct stack_copy *out);
void ph_trace_of(struct trace *out, const struct stack_copy *copy);

/* The module in which an address lies: its name (that of a file, without folders; "" the program itself) and what
 * to subtract for an address as in that file.  False: in none. */
struct module {
    const char *path;
    uintptr_t bias;
};
bool ph_module_of(uintptr_t address, struct module *out);

bool ph_trace_is_own(uintptr_t pc); /* it lies in this object */
void ph_trace_beside(const void *code); /* from now on the object that this code is of counts as part of this one */

/* Whether an address lies on this thread's stack, in a frame that is live. */
bool ph_stack_has(const void *address);

void ph_trace_fork_child(void); /* the thread has another number there */

#endif
