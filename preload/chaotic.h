/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaotic.h -- malloc and its relatives where option CHAOS is in force. */
#ifndef PH_PRELOAD_CHAOTIC_H
#define PH_PRELOAD_CHAOTIC_H

#include "../lib/internal.h"

void *ph_chaotic_take(const struct request *rq); /* NULL: no memory */

/* False: no block of the process heap; nothing was done. */
bool ph_chaotic_free(void *block);

/* A live block of the process heap; NULL: it is as it was. */
void *ph_chaotic_realloc(const struct block_info *bi, void *block, size_t bytes);

/* A block of no bytes, of which the heap itself knows nothing. */
bool ph_chaotic_is_nothing(const void *block);

#endif
