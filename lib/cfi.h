/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* cfi.h -- for unwind.c: what the tables of a module say about a place in its code. */
#ifndef PH_CFI_H
#define PH_CFI_H

#include <link.h>
#include <stdbool.h>
#include <stdint.h>

enum cfi_base {
    CFI_NONE,   /* nothing is said, or nothing that we understand */
    CFI_SP,
    CFI_BP,
    CFI_BX,
    CFI_AT_BP,  /* the frame address stands in memory, at bp + offset */
    CFI_SIGNAL, /* sp leads to a ucontext_t */
    CFI_END,    /* nobody called this */
};
enum { CFI_SLOT_AT_BP = -16384 };

/* How to get from a place to its caller.  The return address stands in front of the frame address. */
struct cfi_rule {
    uint64_t base : 3;  /* enum cfi_base */
    int64_t offset : 31; /* added to it */
    int64_t bp : 15;    /* saved bp: words from the frame address; 0: still in bp; CFI_SLOT_AT_BP: where bp points */
    int64_t bx : 15;    /* the same of bx */
};

struct cfi_module {
    uintptr_t start, end;
    const struct link_map *map;
    const uint8_t *table; /* .eh_frame_hdr, or NULL */
};

bool ph_cfi_module(uintptr_t address, struct cfi_module *out); /* false: in none */
struct cfi_rule ph_cfi_rule(uintptr_t place);

#endif
