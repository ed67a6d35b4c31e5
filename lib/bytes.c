/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* bytes.c -- copying and clearing the contents of blocks.
 *
 * Owns:    nothing.  Calls: libc's memcpy and memset. */
#include "bytes.h"

#include <string.h>

void ph_bytes_copy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }

void ph_bytes_zero(void *at, size_t bytes) { memset(at, 0, bytes); }
