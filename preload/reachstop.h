/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* reachstop.h -- for reach.c: other threads of this process stand still, and their registers can be read. */
#ifndef PH_REACHSTOP_H
#define PH_REACHSTOP_H

#include <stddef.h>
#include <stdint.h>

enum { STOP_WORDS = 32 }; /* for each thread */

/* Where the system does not allow it they go on, and nothing is known of their registers.  Held ones may hold locks. */
void ph_threads_stop(void);
const uintptr_t *ph_threads_registers(size_t *words); /* while they stand */
void ph_threads_go(void);

#endif
