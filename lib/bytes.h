/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* bytes.h -- libc's memcpy and memset, for rooms that small.h makes small: there the compiler would
 * put a slow string instruction in their place. */
#ifndef PH_BYTES_H
#define PH_BYTES_H

#include <stddef.h>

void ph_bytes_copy(void *to, const void *from, size_t bytes); /* the two do not overlap */
void ph_bytes_zero(void *at, size_t bytes);

#endif
