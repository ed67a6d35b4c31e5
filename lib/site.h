/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* site.h -- where allocations are made: each call stack once, by a hash that is the same in every run. */
#ifndef PH_SITE_H
#define PH_SITE_H

#include "unwind.h"

struct site {
    uint64_t hash;   /* 0: free */
    uint32_t count;  /* calls from there */
    uint32_t depth;
    uintptr_t pc[TRACE_DEPTH];
};
enum { SITES = 1 << 15, SITE_NONE = 0 };

/* Of a place in the code: its module's name and where it is in there, whatever address the module was loaded at. */
uint64_t ph_site_key(uintptr_t pc);

/* Never 0. */
uint64_t ph_site_hash(const struct trace *trace);

/* One more call from that stack: *nth of them were made, this one counted.  Its number; SITE_NONE: no room. */
uint32_t ph_site_meet(const struct trace *trace, uint64_t hash, uint32_t *nth);
const struct site *ph_site_at(uint32_t number);

/* Whether the call came from that module: its innermost caller that is not of the C or C++ runtime, or, where the
 * runtime itself is asked for, its innermost caller. */
bool ph_site_is_of(const struct trace *trace, const char *module);

#endif
