/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress.h -- which blocks the page heap serves, and how: what option STRESS says. */
#ifndef PH_STRESS_H
#define PH_STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stress_side { STRESS_END, STRESS_START, STRESS_RANDOM };

struct stress_spec {
    uint32_t side;       /* enum stress_side: where a block touches inaccessible memory */
    uint32_t stacks;     /* callers that are kept of each allocation and free */
    uint64_t quarantine; /* bytes of slots that wait after free */
    uint64_t budget;     /* bytes of memory in slots at once */
    uint64_t least, most; /* sizes that are served */
    uint64_t rate;       /* one block in so many */
    uint64_t seed;
    uint64_t check;      /* operations from one look at all blocks to the next; 0: none */
    uint64_t slowdown;   /* how many times slower the program may be, as far as the page heap can keep to it; 0: no bound */
    bool unaligned, leaks, goes_on, has_module, has_heap;
    char module[64];     /* that asks for the blocks */
    char heap[64];       /* name of the heap */
    char findings[256];  /* file for what is found; "": none */
};

/* What a text such as "side:start,quarantine:64m" says; "on" is all defaults.  NULL, or what is wrong with it. */
const char *ph_stress_parse(const char *text, struct stress_spec *out);

/* Put option STRESS in force; true: it is. */
bool ph_stress_begin(const char *text);
bool ph_stress_is_on(void);
const struct stress_spec *ph_stress_in_force(void);
const char *ph_stress_findings(void); /* path; NULL: none */

/* A number that is the same for the same seed and the same `ordinal`. */
uint64_t ph_stress_chance(uint64_t ordinal);

#endif
