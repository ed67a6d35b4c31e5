/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fault.h -- system calls that fail when told to, and the work that must survive it.
 *
 * fault_inject.c catches the calls of one loaded object with a seccomp filter that knows its code's addresses: the
 * object itself is what users run, unchanged.  fault_work.c is the work; fault.c says which call fails when. */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum fault_call {
    CALL_MMAP,
    CALL_MUNMAP,
    CALL_MREMAP,
    CALL_MPROTECT,
    CALL_MADVISE,
    CALL_MEMBARRIER,
    CALL_WAIT,
    CALL_WAKE,
    CALL_PRCTL,
    CALL_GETRANDOM,
    CALL_NANOSLEEP,
    CALL_YIELD,
    CALL_ANY, /* counted over all of them; as a plan: whichever comes */
    CALL_KINDS,
};
extern const char *const fault_call_names[CALL_KINDS];

struct fault_plan {
    enum fault_call call;
    unsigned number; /* which call fails, from 1; 0: none */
    bool for_ever;   /* and all later ones */
};

/* In memory that parent and children share. */
struct fault_report {
    unsigned count[CALL_KINDS]; /* calls seen while the fault was on */
    unsigned failed;
    unsigned refused;           /* requests that got no memory */
    unsigned mappings, kilobytes; /* address space in the end */
};

/* Find what fault_catch needs; may allocate. */
void fault_ready(void);

/* Catch the system calls of the loaded object that `code` belongs to, from now on and in children too.  NULL, or
 * why it cannot be done here. */
const char *fault_catch(const void *code, struct fault_report *report);
void fault_begin(const struct fault_plan *plan);
void fault_end(void);

/* The whole work under a plan; `lose`: one block is dropped, which must be found.  Ends the process when something
 * is wrong.  What cannot be done here is said in *why. */
void fault_work(const struct fault_plan *plan, struct fault_report *report, unsigned seed, bool lose, const char **why);

#endif
