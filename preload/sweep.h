/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* sweep.h -- what `privheap oom` and the program that it runs have in common: one piece of shared memory.
 *
 * The command makes it, writes what is wanted, and hands the descriptor's number to the program by option FAIL
 * ("sweep:7").  The preload object maps it before main and closes the descriptor.  At each allocation that is wanted
 * the program takes a slot, fills a point and makes a child by clone(CLONE_PARENT): the child is the command's, not
 * the program's, so that no wait, no SIGCHLD and no figure of the program's knows of it.  In the child the
 * allocation fails; what becomes of it the child writes into its point (where it crashed, what was damaged, what
 * leaked), and how it ended the command learns from the kernel, frees the slot and rings the bell.
 *
 * The same object serves --rerun and --replay: then the program makes no children, but lists its points, or is itself the
 * one in which a certain allocation fails. */
#ifndef PH_SWEEP_H
#define PH_SWEEP_H

#include <stdint.h>

#include "fail.h"
#include "place.h"
#include "unwind.h"

enum {
    SWEEP_MAGIC = 0x4d4f4f50,
    SWEEP_VERSION = 2,
    SWEEP_JOBS = 64,
    SWEEP_SLOTS = 2 * SWEEP_JOBS, /* --pairs: the second half is for the children of children */
    SWEEP_POINTS = 1 << 18,
    SWEEP_LEAKS = 4, /* kept of a child */
    SWEEP_KNOWN = 512, /* leaks of the run without failures */
    SWEEP_WHERE_SIGNAL = 63, /* the command asks a child that hangs where it is */
};

enum sweep_mode { SWEEP_FORK, SWEEP_LIST, SWEEP_ONE };

struct sweep_trace {
    uint32_t depth;
    uint32_t unused;
    uint64_t place[TRACE_DEPTH]; /* see place.h */
};

enum sweep_event {
    SWEEP_FAILED = 1,  /* the allocation did fail */
    SWEEP_CRASHED = 2, /* a signal came that ends the process: signal, address, end */
    SWEEP_DAMAGED = 4, /* a report was made: damage, end */
    SWEEP_EXITED = 8,  /* its destructors ran: the heap was looked at */
    SWEEP_LEAKED = 16, /* leak */
    SWEEP_ASKED = 32,  /* it was asked where it is: end */
};

struct sweep_leak {
    uint64_t hash, bytes; /* of the call stack that took them */
    uint32_t blocks;
    struct sweep_trace at;
};

struct sweep_point {
    /* written by the program */
    uint64_t hash, bytes;
    uint32_t ordinal; /* of the call among all of the run, from 1 */
    uint32_t nth;     /* from this call stack */
    uint32_t call;    /* enum fail_call */
    uint32_t before;  /* --pairs: the number of the point that failed first, from 1; 0: none */
    uint32_t slot;
    int32_t child;    /* its process; 0: none was made */
    struct sweep_trace at;
    /* by the child */
    uint32_t events;  /* enum sweep_event */
    uint32_t signal;
    uint64_t address;
    uint32_t damage;  /* enum diagnostic */
    uint32_t leak_count;
    struct sweep_leak leak[SWEEP_LEAKS];
    struct sweep_trace end;
    /* by the command */
    uint32_t ended;   /* flag */
    int32_t status;   /* as of wait(2) */
    uint32_t hung, class;
    uint64_t begun_ns;
};

struct sweep {
    uint32_t magic, version;
    /* what is wanted */
    uint32_t mode; /* enum sweep_mode */
    uint32_t jobs, first, skip, also_after, pairs, leaks, confined;
    uint64_t least, most;
    char module[64];
    uint64_t stack, stack2; /* SWEEP_ONE: what fails, and what fails then; 0: nothing */
    uint32_t ordinal, ordinal2;
    char folder[192];       /* SLOT.err, SLOT.out, SLOT/ in it, as three digits */
    uint32_t keeps_output;
    /* what the program says */
    uint32_t begun, ended, calls, points, overflowed, refused, not_confined;
    uint32_t module_met; /* flag: some call came from it */
    uint32_t forked;     /* flag: a process that the program made by fork asked for memory */
    uint32_t threads_at; /* the call at which there were threads; 0: never */
    uint64_t known_leak[SWEEP_KNOWN];
    uint32_t known_leaks;
    struct place_module modules[PLACE_MODULES];
    /* slots: 0 free, else the number of the point, from 1 */
    uint32_t slot[SWEEP_SLOTS];
    uint32_t bell; /* a futex: rung when a slot becomes free */
    struct sweep_point point[SWEEP_POINTS];
};

/* sweep.c -- in the program */
void ph_sweep_begin(uint64_t descriptor, char *const *environment);
void ph_sweep_end(void); /* the process exits, and its heap was inspected */

#endif
