/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pattern.h -- what is written into memory so that it can be seen later whether somebody wrote there. */
#ifndef PH_PATTERN_H
#define PH_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

/* W32 2.8: words of new and of freed memory, and the byte of a tail. */
#define PATTERN_FRESH 0xBAADF00Du
#define PATTERN_FREED 0xFEEEFEEEu
enum { PATTERN_TAIL = 0xAB, PATTERN_TAIL_BYTES = 16 };

/* Whole words from `from` on; what is left of less than four bytes stays as it is. */
void ph_pattern_fill(char *from, char *to, uint32_t word);
bool ph_pattern_is(const char *from, const char *to, uint32_t word);

/* A canary is bytes of a pattern of this process's own, none of them zero or a letter. */
void ph_canary_begin(void); /* choose it, once; before any other */
void ph_canary_fill(char *from, char *to);
char *ph_canary_broken(char *from, char *to); /* the first byte that is not as it was filled, or `to`; */
char *ph_canary_broken_last(char *from, char *to); /* the last, or `to` */

#endif
