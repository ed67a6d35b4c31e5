/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pattern.c -- what is written into memory so that it can be seen later whether somebody wrote there.
 *
 * Owns:    the canary's pattern.
 * Calls:   os.c for chance.  Locks: none.
 * Always:  a byte of a canary depends on its address alone. */
#include "pattern.h"

#include <stddef.h>

#include "os.h"

/* Not small.h: these loops are what a stressed program waits for. */

static uint64_t pattern;

void ph_pattern_fill(char *from, char *to, uint32_t word)
{
    const uint64_t two = (uint64_t)word << 32 | word;
    for (; to - from >= 8; from += 8)
        __builtin_memcpy(from, &two, 8);
    if (to - from >= 4)
        __builtin_memcpy(from, &word, 4);
}

bool ph_pattern_is(const char *from, const char *to, uint32_t word)
{
    for (; to - from >= 4; from += 4) {
        uint32_t seen;
        __builtin_memcpy(&seen, from, 4);
        if (seen != word)
            return false;
    }
    return true;
}

void ph_canary_begin(void)
{
    if (pattern == 0)
        pattern = ph_os_random() | 0x8080808080808080u;
}

static uint8_t canary_byte(const char *at) { return (uint8_t)(pattern >> ((uintptr_t)at % 8 * 8)); }

/* Four at once: the compiler takes as much as the machine has. */
typedef uint64_t words __attribute__((vector_size(32), may_alias));
enum { WORDS_BYTES = 32 };

void ph_canary_fill(char *from, char *to)
{
    const words whole = {pattern, pattern, pattern, pattern};
    for (; from < to && (uintptr_t)from % WORDS_BYTES != 0; from++)
        *(uint8_t *)from = canary_byte(from);
    for (; from + WORDS_BYTES <= to; from += WORDS_BYTES)
        *(words *)(void *)from = whole;
    for (; from < to; from++)
        *(uint8_t *)from = canary_byte(from);
}

static bool is_whole(const char *at)
{
    const words whole = {pattern, pattern, pattern, pattern}, differs = *(const words *)(const void *)at ^ whole;
    return (differs[0] | differs[1] | differs[2] | differs[3]) == 0;
}

char *ph_canary_broken(char *from, char *to)
{
    for (; from < to; from++) {
        while ((uintptr_t)from % WORDS_BYTES == 0 && from + WORDS_BYTES <= to && is_whole(from))
            from += WORDS_BYTES;
        if (from < to && *(const uint8_t *)from != canary_byte(from))
            return from;
    }
    return to;
}

char *ph_canary_broken_last(char *from, char *to)
{
    char *broken = ph_canary_broken(from, to);
    while (broken != to && ph_canary_broken(broken + 1, to) != to)
        broken = ph_canary_broken(broken + 1, to);
    return broken;
}
