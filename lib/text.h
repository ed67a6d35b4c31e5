/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* text.h -- the few string loops of code that runs before libc may be called.
 *
 * Owns:    nothing.  Calls: nothing.  Locks: none.
 * Why:     a compiler turns a plain copy or length loop into a call of memcpy or strlen;
 *          TEXT_PLAIN_LOOP, an empty instruction in the loop's body, keeps it a loop. */
#ifndef PH_TEXT_H
#define PH_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_PLAIN_LOOP __asm__ volatile("")

static inline size_t text_bytes(const char *text)
{
    size_t count = 0;
    for (; text[count] != '\0'; count++) TEXT_PLAIN_LOOP;
    return count;
}

/* What follows `prefix` in `text`; NULL when `text` does not begin with it. */
static inline const char *text_after(const char *text, const char *prefix)
{
    for (; *prefix != '\0'; text++, prefix++) {
        TEXT_PLAIN_LOOP;
        if (*text != *prefix) return NULL;
    }
    return text;
}

/* What follows the last slash of a path. */
static inline const char *text_base_name(const char *path)
{
    const char *base = path;
    for (; *path != '\0'; path++)
        if (*path == '/')
            base = path + 1;
    return base;
}

/* Copy towards lower addresses or between different objects; returns to + count. */
static inline char *text_copy(char *to, const char *from, size_t count)
{
    for (; count > 0; count--) {
        TEXT_PLAIN_LOOP;
        *to++ = *from++;
    }
    return to;
}

#endif
