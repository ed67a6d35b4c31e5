/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* foreign.h -- pointers given to free and realloc that are no live block of the process heap. */
#ifndef PH_PRELOAD_FOREIGN_H
#define PH_PRELOAD_FOREIGN_H

#include "../lib/internal.h"

/* Judge such a pointer: one line and SIGABRT, or, when it may be libc's own, leave it alone. */
void ph_foreign_pointer(void *block, enum block_verdict verdict, const struct block_info *bi);

/* The same for realloc: a block of libc's own moves to the process heap as far as we can see it. */
void *ph_foreign_realloc(void *block, size_t bytes, enum block_verdict verdict, const struct block_info *bi);

/* What a block holds that is libc's own; 0: it is none, which a stressed process reports. */
size_t ph_foreign_usable(const void *block, enum block_verdict verdict, const struct block_info *bi);

/* How many pointers were left alone. */
uint64_t ph_foreign_count(void);

#endif
