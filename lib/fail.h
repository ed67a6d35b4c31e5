/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* fail.h -- allocations that fail on purpose: which, as option FAIL says. */
#ifndef PH_FAIL_H
#define PH_FAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fail_call { FAIL_MALLOC, FAIL_CALLOC, FAIL_REALLOC, FAIL_ALIGNED, FAIL_NEW, FAIL_HEAP_ALLOC, FAIL_HEAP_REALLOC, FAIL_CALLS };

enum fail_part { FAIL_NTH = 1, FAIL_AFTER = 2, FAIL_RATE = 4, FAIL_SEED = 8, FAIL_SIZE = 16, FAIL_MODULE = 32, FAIL_STACK = 64, FAIL_SWEEP = 128 };

struct fail_spec {
    uint32_t parts;      /* enum fail_part: those given; all must hold */
    uint64_t nth, after; /* of the calls that size and module choose */
    uint64_t rate, seed; /* one call in so many */
    uint64_t least, most;
    uint64_t stack, ordinal; /* site.h's hash; which call from there */
    uint64_t sweep;      /* descriptor of what `privheap oom` shares with its program */
    char module[64];
};

/* What a text such as "rate:1/100,seed:7,size:4k-64k" says.  NULL, or what is wrong with it. */
const char *ph_fail_parse(const char *text, struct fail_spec *out);

/* Put option FAIL in force; true: failures are to be made, and every call must ask. */
bool ph_fail_begin(const char *text);
const struct fail_spec *ph_fail_in_force(void);

/* Shall this call fail?  Says so in one line.  An operator new that fails is asked for again, by the C++ runtime
 * that throws: that call fails too. */
bool ph_fail_now(size_t bytes, enum fail_call call);
const char *ph_fail_word(enum fail_call call); /* "malloc" */

/* `privheap oom` in the program: decides instead, and is told of each block that was made. */
extern bool (*ph_fail_sweep)(size_t bytes, enum fail_call call);
extern void (*ph_fail_made)(const void *block);

#endif
