/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* parts.c -- the values in texts such as "size:1k-64k,module:libfoo.so".
 *
 * Owns:    nothing.  Calls: nothing.  Locks: none.
 * Why:     read before libc may be called, like all options. */
#include "parts.h"

#include "text.h"

#include "small.h"

const char *ph_part_begin(const char *text, const char *names, size_t width, unsigned count, unsigned *seen, unsigned *which)
{
    for (unsigned i = 0; i < count; i++) {
        const char *rest = text_after(text, names + i * width);
        if (rest == NULL)
            continue;
        const bool again = *seen & 1u << i;
        *seen |= 1u << i;
        *which = i;
        return again ? NULL : rest;
    }
    return NULL;
}

const char *ph_part_number(const char *text, uint64_t *out)
{
    const char *first = text;
    for (*out = 0; *text >= '0' && *text <= '9'; text++) {
        if (*out > (UINT64_MAX >> 32) / 10)
            return NULL;
        *out = *out * 10 + (uint64_t)(*text - '0');
    }
    if (text == first)
        return NULL;
    const unsigned shift = *text == 'k' || *text == 'K' ? 10 : *text == 'm' || *text == 'M' ? 20 : *text == 'g' || *text == 'G' ? 30 : 0;
    *out <<= shift;
    return shift != 0 ? text + 1 : text;
}

const char *ph_part_range(const char *text, uint64_t *least, uint64_t *most)
{
    text = ph_part_number(text, least);
    if (text == NULL || *text != '-') {
        *most = *least; /* one size */
        return text;
    }
    if (text[1] != '\0' && text[1] != ',')
        return ph_part_number(text + 1, most);
    *most = UINT64_MAX;
    return text + 1;
}

const char *ph_part_name(const char *text, char *to, size_t bytes)
{
    size_t used = 0;
    for (; *text != '\0' && *text != ','; text++) {
        if (used + 1 == bytes)
            return NULL;
        to[used++] = *text;
    }
    to[used] = '\0';
    return used != 0 ? text : NULL;
}
