/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos.h -- what a correct program does not depend on, done otherwise on purpose: what, as option CHAOS says. */
#ifndef PH_CHAOS_H
#define PH_CHAOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ways, in the order in which they are blamed: what `order` does alone is no matter of late or move, which give
 * other addresses, too. */
enum chaos_way {
    CHAOS_FRESH = 1,  /* new memory is filled, but calloc's */
    CHAOS_FREED = 2,  /* freed memory is filled */
    CHAOS_ORDER = 4,  /* blocks are handed out in no order of addresses */
    CHAOS_LATE = 8,   /* freed blocks are used again much later */
    CHAOS_MOVE = 16,  /* realloc always moves */
    CHAOS_ZERO = 32,  /* a block of no bytes cannot be touched */
    CHAOS_ALIGN = 64, /* small blocks are aligned to 16 bytes and no more */
    CHAOS_WAYS = 7,
    CHAOS_ALL = 127,
};

struct chaos_spec {
    uint32_t ways;        /* enum chaos_way */
    bool has_module;
    uint64_t seed;
    uint64_t least, most; /* of the blocks that are concerned */
    uint64_t told;        /* descriptor of `privheap chaos`: to be sealed when the module is met; 0: none */
    char module[64];      /* that asks for them, or gives them back */
};

/* What a text such as "seed:7,ways:fresh+order,size:4k-64k" says.  NULL, or what is wrong with it. */
const char *ph_chaos_parse(const char *text, struct chaos_spec *out);
const char *ph_chaos_word(unsigned number); /* of the way with that bit: 0 "fresh" */

/* Put option CHAOS in force; true: every call must come to preload/chaotic.c. */
bool ph_chaos_begin(const char *text);
const struct chaos_spec *ph_chaos_in_force(void);

/* The ways in force for a block of so many bytes, asked for or given back by this call. */
uint32_t ph_chaos_ways(size_t bytes);

#endif
