/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* access.h -- between libprivheap-preload.so and libprivheap-check.so. */
#ifndef PH_PRELOAD_ACCESS_H
#define PH_PRELOAD_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes from `at` on belong to a live block of the page heap: 0 before its start, behind its end, after its
 * free; SIZE_MAX where there is none, without option STRESS in particular.  With a function's name: that it, called from
 * `caller`, touches more than that is reported.  Safe in a signal handler. */
size_t __privheap_access(const void *at, bool is_write, const char *function, const void *caller);

#endif
