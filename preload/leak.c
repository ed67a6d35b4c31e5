/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* leak.c -- which blocks nobody points to any more, by the call stack that took them.
 *
 * Owns:    the table of where each block was taken.
 * Calls:   reach.c for the blocks that are lost.
 * Locks:   none of its own; one thread.
 * Always:  a note stays when its block is freed, and is the next one's then.
 * Why:     a program that ends after an error gives nothing back, and need not.  What it lost on the way is something
 *          else: nobody could give that back. */
#include "leak.h"

#include "../lib/internal.h"
#include "reach.h"
#include "reachroots.h"

#include "../lib/small.h"

enum { NOTES_LOG = 19, NOTE_TRIES = 32, LEAKS_MOST = 256 };

struct note {
    const void *block;
    uint32_t site, unused;
};

static struct note *notes;
static struct leak leaks[LEAKS_MOST];

static uint32_t first_cell(const void *block) { return (uint32_t)((uintptr_t)block * 0x9e3779b97f4a7c15u >> (64 - NOTES_LOG)); }

void ph_leak_note(const void *block, uint32_t site)
{
    if (notes == NULL && (notes = ph_roots_memory(sizeof *notes << NOTES_LOG)) == NULL)
        return;
    const uint32_t first = first_cell(block);
    for (uint32_t i = 0; i < NOTE_TRIES; i++) {
        struct note *no = &notes[(first + i) & ((1u << NOTES_LOG) - 1)];
        if (no->block != NULL && no->block != block)
            continue;
        *no = (struct note){.block = block, .site = site};
        return;
    }
}

static const struct note *note_of(const void *block)
{
    const uint32_t first = first_cell(block);
    for (uint32_t i = 0; i < NOTE_TRIES; i++) {
        const struct note *no = &notes[(first + i) & ((1u << NOTES_LOG) - 1)];
        if (no->block == block || no->block == NULL)
            return no->block != NULL ? no : NULL;
    }
    return NULL;
}

/* What other lost blocks lead to is lost as well: each place is told. */
static void add(const struct lost *lo, void *with)
{
    const struct note *no = note_of(lo->block);
    uint32_t *const count = with, i = 0;
    while (no != NULL && i < *count && leaks[i].site != no->site)
        i++;
    if (no == NULL || i == LEAKS_MOST)
        return;
    *count += i == *count;
    leaks[i].site = no->site;
    leaks[i].blocks++;
    leaks[i].bytes += lo->bytes;
}

const struct leak *ph_leaks(uint32_t *count)
{
    *count = 0;
    return notes != NULL && ph_reach_lost(REACH_HERE(), add, count) ? leaks : NULL;
}
