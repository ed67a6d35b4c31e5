/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* packedcheck.c -- whether packed memory is what its shadow and its cards say.
 *
 * Owns:    nothing; reads what packed.c owns.
 * Calls:   nothing.
 * Locks:   held on entry: the gate lock of the heap.
 * Always:  whatever the shadow says, no byte beyond it is read, and each loop ends. */
#include "shadow.h"
#include "valid.h"

#include "small.h"

bool ph_packed_is_sound(const struct region *rg)
{
    const struct packed *pk = rg->packed;
    return pk->seal == packed_seal(pk) && pk->high == ~pk->high_not && pk->top >= CONTROL_GRANULES && pk->top <= pk->granules &&
           (pk->top == CONTROL_GRANULES || (pk->top <= pk->shadowed && pk->top <= pk->high));
}

/* Marks have even parity, what is no mark says 0. */
static bool bytes_are_valid(const struct packed *pk, size_t at, size_t length)
{
    const uint8_t *byte = pk->shadow + at;
    const size_t head = head_bytes(length), tail = is_free(byte[0]) ? tail_bytes(length) : 0;
    for (size_t i = 0; i < length; i++) {
        const bool is_mark = i < head || i >= length - tail;
        if (is_mark ? __builtin_parity(byte[i]) != 0 : byte[i] != 0)
            return false;
    }
    return true;
}

/* A bit for each bin with cards, and for each group of cards; no card changed unseen. */
static bool cards_are_valid(const struct packed *pk)
{
    uint64_t sum = 0;
    for (unsigned bin = 0; bin < PACKED_BINS; bin++) {
        if ((pk->cards[bin] != 0) != (pk->bins >> bin & 1))
            return false;
        sum ^= pk->grouped == NULL ? pk->cards[bin] : 0;
        for (unsigned group = 0; pk->grouped != NULL && group < GROUPS; group++) {
            if ((pk->grouped[bin * GROUPS + group] != 0) != (pk->cards[bin] >> group & 1))
                return false;
            sum ^= pk->grouped[bin * GROUPS + group];
        }
    }
    return sum == pk->card_sum;
}

static bool part_is_valid(const struct packed *pk, size_t at, size_t length)
{
    const uint8_t start = pk->shadow[at];
    const unsigned said = start >> 1 & 31;
    if (!(start & START) || !bytes_are_valid(pk, at, length))
        return false;
    if (is_live(start))
        return said <= 16 && (said < 16 || length == 1);
    return said == bin_of(length) && card_is_set(pk, said, at) && free_before(pk, at + length) == at;
}

/* The first byte that is not 0. */
static size_t byte_find_other(const uint8_t *bytes, size_t from, size_t to)
{
    while (from < to && bytes[from] == 0)
        from++;
    return from;
}

bool ph_packed_is_valid(const struct region *rg)
{
    const struct packed *pk = rg->packed;
    if (!ph_packed_is_sound(rg) || !cards_are_valid(pk))
        return false;
    if (pk->shadow != NULL && pk->shadow[0] != 0)
        return false;
    for (size_t at = CONTROL_GRANULES, length; at < pk->top; at += length)
        if ((length = part_length(pk, at)) == 0 || !part_is_valid(pk, at, length))
            return false;
    const size_t used = pk->high > pk->top ? pk->high : pk->top; /* the rest of a mapping is not touched for this */
    const size_t reach = pk->mapped_bytes > 0 && used + 64 < pk->shadowed ? used + 64 : pk->shadowed;
    const size_t from = pk->top > CONTROL_GRANULES ? pk->top : 0;
    return from >= reach || byte_find_other(pk->shadow, from, reach) == reach;
}
