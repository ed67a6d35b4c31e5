/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* reach.h -- at the end of the process: which live blocks nobody points to any more. */
#ifndef PH_REACH_H
#define PH_REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lost {
    const void *block;
    size_t bytes;
    bool is_held;              /* another lost one leads to it, from which we came */
    uint64_t held, held_bytes; /* else: how many it leads to, and nobody before it did */
};
typedef void ph_lost_visit(const struct lost *lo, void *with);

/* Visit each, those that hold others behind what they hold.  `here`: the stack of this thread is dead below.  False: the
 * system does not let us look, or has no memory for it; nobody was visited. */
bool ph_reach_lost(uintptr_t here, ph_lost_visit *visit, void *with);

/* For `here`, in the outermost function of ours: its frame with what was saved of the caller's registers. */
#define REACH_HERE() (__builtin_unwind_init(), (uintptr_t)__builtin_frame_address(0) - 6 * sizeof(uintptr_t))

#endif
