/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* reachroots.h -- for reach.c: what is mapped where, and which words stand there. */
#ifndef PH_REACHROOTS_H
#define PH_REACHROOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* reachroots.c */
void *ph_roots_memory(size_t bytes); /* zero, and no root; NULL: none */
bool ph_roots_look(uintptr_t here);  /* hand ph_reach_words all words that may be the program's, but for heaps */
void ph_roots_read(uintptr_t from, uintptr_t to, bool is_large); /* likewise those of a block; large: where there is memory */

/* reach.c */
void ph_reach_words(const uintptr_t *word, size_t count);
bool ph_reach_knows(uintptr_t from, uintptr_t to); /* some of it is of a heap's region, or of a live block */

#endif
