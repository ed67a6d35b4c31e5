/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* bytes.h -- libc's memcpy and memset, for rooms that small.h makes small: there the compiler would
 * put a slow string instruction in their place. */
#ifndef PH_BYTES_H
#define PH_BYTES_H

#include <stddef.h>

void ph_bytes_copy(void *to, const void *from, size_t bytes); /* the two do not overlap */
void ph_bytes_zero(void *at, size_t bytes);

/* Pointers; `to` may lie below `from` and overlap it.  One by one: two at a time would wait for those that were just
 * stored one by one. */
static inline __attribute__((always_inline)) void ph_words_copy(void **to, void *const *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = from[i];
}

#endif
