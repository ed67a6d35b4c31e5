/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* debug.c -- what a heap with debug flags writes into memory, and what it finds there later.
 *
 * Owns:    nothing; the patterns are those of contract section 2.8.
 * Calls:   pattern.c, packed.c.  Locks: held on entry: the gate lock.
 * Always:  such a heap is packed; all of its memory that was live once and is not now, up to the
 *          highest granule ever used, holds the pattern of freed memory when frees are checked. */
#include "internal.h"
#include "pattern.h"

#include "small.h"

/* W32 2.8: either validating mode has both. */
static bool checks_tail(const struct heap *hp) { return hp->debug & (DEBUG_TAIL | DEBUG_PARAMETERS | DEBUG_ALL); }
static bool checks_free(const struct heap *hp) { return hp->debug & (DEBUG_FREE | DEBUG_PARAMETERS | DEBUG_ALL); }

size_t ph_debug_tail_bytes(const struct heap *hp) { return checks_tail(hp) ? PATTERN_TAIL_BYTES : 0; }

static void tail_write(const struct heap *hp, char *block, size_t bytes)
{
    if (checks_tail(hp))
        __builtin_memset(block + bytes, PATTERN_TAIL, PATTERN_TAIL_BYTES);
}

/* W32 2.8: a new block. */
bool ph_debug_taken(const struct heap *hp, void *block, size_t bytes, bool zero)
{
    if (zero)
        __builtin_memset(block, 0, bytes);
    else if (checks_free(hp))
        ph_pattern_fill(block, (char *)block + bytes, PATTERN_FRESH);
    tail_write(hp, block, bytes);
    return zero;
}

/* Memory that is free from now on; all of it, where NT leaves the first 16 bytes to its links. */
void ph_debug_freed(const struct heap *hp, void *memory, size_t bytes)
{
    if (checks_free(hp))
        ph_pattern_fill(memory, (char *)memory + bytes, PATTERN_FREED);
}

/* W32 2.8: after growing, from the next 4-byte boundary of the old size. */
void ph_debug_resized(const struct heap *hp, void *block, size_t old_bytes, size_t bytes)
{
    char *base = block;
    if (bytes > old_bytes && checks_free(hp))
        ph_pattern_fill(base + ph_round_up(old_bytes, 4), base + bytes, PATTERN_FRESH);
    tail_write(hp, base, bytes);
}

bool ph_debug_tail_is_good(const struct heap *hp, const void *block, size_t bytes)
{
    const unsigned char *tail = (const unsigned char *)block + bytes;
    for (size_t i = 0; checks_tail(hp) && i < PATTERN_TAIL_BYTES; i++)
        if (tail[i] != PATTERN_TAIL)
            return false;
    return true;
}

/* W32 2.8, 3.7: nobody wrote to freed memory; every tail of a live block is whole. */
bool ph_debug_free_is_good(const struct heap *hp, const struct region *rg)
{
    const struct packed *pk = rg->packed;
    struct packed_part part;
    const char *top = rg->base + (pk->top << GRANULE_BITS);
    for (const char *at = rg->base + ph_packed_control_bytes(); at < top; at = part.at + part.bytes) {
        if (!ph_packed_part(rg, at, &part))
            return false;
        if (part.live ? !ph_debug_tail_is_good(hp, part.at, part.wanted - ph_debug_tail_bytes(hp))
                      : checks_free(hp) && !ph_pattern_is(part.at, part.at + part.bytes, PATTERN_FREED))
            return false;
    }
    return !checks_free(hp) || pk->high <= pk->top || ph_pattern_is(top, rg->base + (pk->high << GRANULE_BITS), PATTERN_FREED);
}
