/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* access.c -- for libprivheap-stress.so: is what a function of libc is about to do inside its block?
 *
 * Owns:    nothing.  Calls: pagebounds.c. */
#include "../lib/pageheap.h"

__attribute__((visibility("default"))) void privheap_access(const void *from, size_t bytes, bool is_write, const char *function);

void privheap_access(const void *from, size_t bytes, bool is_write, const char *function)
{
    if (ph_stress_is_on())
        ph_page_heap_access(from, bytes, is_write, function);
}
