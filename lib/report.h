/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* report.h -- the report of one incident: what, where, who, and the stacks that led to it.
 *
 * Signal-safe: never allocates, takes no lock of the map, leaves errno alone. */
#ifndef PH_REPORT_H
#define PH_REPORT_H

#include "invariant.h"
#include "unwind.h"

struct heap;

struct report {
    enum diagnostic kind;
    const void *block;       /* the pointer in question */
    size_t bytes;            /* of the block; SIZE_MAX: unknown */
    const void *inside;      /* the block that `block` points into, of `bytes`; NULL: none */
    const void *access;      /* the address that was touched; NULL: none */
    bool is_write;           /* of the access */
    bool goes_on;            /* the program can, though the mode is not tolerant */
    const struct heap *heap; /* NULL: that around the block, if there is one */
    const char *caller;      /* the function of ours that was asked; NULL: the backtrace tells */
    const char *detail;      /* added to the first line behind a colon; NULL: nothing */
    const struct trace *allocated, *freed; /* NULL: unknown */
    const void *ucontext;    /* of the signal; NULL: the stack is the caller's */
};

/* Write the report and end the process by SIGABRT.  In tolerant mode, or where the program goes on, it is written once
 * for each place (the kind and the innermost callers), counted after that, and this returns: the caller goes on as
 * well as it can. */
void ph_report(const struct report *rp) __attribute__((cold));

/* The same in every mode: for damage that nothing can go on from. */
void ph_report_fatal(const struct report *rp) __attribute__((noreturn, cold));

/* One line for each place that was met more than once; at the end of the process. */
void ph_report_totals(void);

/* "libfoo.so+0x1234"; "0x7f0012345678" for code that came from no file. */
struct message;
void ph_report_place(struct message *m, uintptr_t pc);

/* Who wants to know of each report: `privheap oom`, `privheap stress`; and whether nothing is written then. */
extern void (*ph_report_told)(const struct report *rp, const struct trace *trace);
extern bool ph_report_is_silent;
extern void (*ph_report_forked)(void); /* in the child of each fork */

/* Whose the block is; NULL: nobody knows. */
const struct heap *ph_report_heap(const struct report *rp);

/* Who knows more of rp->block: fills in what is NULL, with room for two traces.  NULL: nobody. */
extern void (*ph_report_completed)(struct report *rp, struct trace *room);

void ph_report_fork_child(void); /* nobody is at a report there */

#endif
