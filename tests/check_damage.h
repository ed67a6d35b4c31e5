/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_damage.h -- the bytes that live heaps are described by, and which of them nobody reads. */
#ifndef CHECK_DAMAGE_H
#define CHECK_DAMAGE_H

#include "check_room.h"
#include "stack.h"
#include "windows.h"

/* Bytes side by side of one heap. */
struct stretch {
    struct heap *heap;
    HANDLE handle; /* as it was */
    void *known;   /* a live block */
    const char *what;
    const char *why; /* nobody reads them, because; NULL: a flip in any of them is found */
    uint8_t *at;
    size_t bytes;
};

extern struct stretch *stretches;
extern unsigned stretch_count;

/* A lock: a flip says that somebody has it, who will never give it back. */
extern const char why_lock[];

void damage_collect(struct heap *hp, void *known); /* append all of that heap's, which has that block */

#endif
