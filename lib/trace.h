/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* trace.h -- call stacks by number: each is kept once, for as long as the process lives.
 *
 * Signal-safe: never allocates, never locks, leaves errno alone. */
#ifndef PH_TRACE_H
#define PH_TRACE_H

#include "unwind.h"

/* The number of a call stack, from 1: equal ones have the same, whichever thread they are of.  0: it has no frame, or
 * there is no room.  In the child of a fork the numbers stay good. */
uint32_t ph_trace_intern(const struct trace *tr);

/* Out of its number, without a thread.  False, and *out untouched: it is nobody's number. */
bool ph_trace_get(uint32_t number, struct trace *out);

#endif
