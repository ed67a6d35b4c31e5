/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* leak.h -- for sweep.c: which blocks nobody points to any more, by the call stack that took them. */
#ifndef PH_LEAK_H
#define PH_LEAK_H

#include <stdint.h>

struct leak {
    uint32_t site; /* site.h's number */
    uint32_t blocks;
    uint64_t bytes;
};

void ph_leak_note(const void *block, uint32_t site); /* it was taken there just now */

/* At the end of the process, with one thread.  NULL and 0: none, or not to be told; good until the process ends. */
const struct leak *ph_leaks(uint32_t *count);

#endif
