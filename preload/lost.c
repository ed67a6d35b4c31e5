/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* lost.c -- at the end of a stressed process: one report for each call stack whose blocks nobody points to.
 *
 * Owns:    the sums for each call stack.
 * Calls:   reach.c for the blocks, pageheap.h for where they were taken, report.h.
 * Locks:   none; runs once.
 * Always:  what another lost block leads to is part of that one's sum, and has no report of its own. */
#include "lost.h"

#include "../lib/internal.h"
#include "../lib/message.h"
#include "../lib/pageheap.h"
#include "../lib/report.h"
#include "reachroots.h"

#include "../lib/small.h"

enum { STACKS_LOG = 16, STACKS = 1 << STACKS_LOG, REPORTS_MOST = 200 };

struct sum {
    const void *block; /* the first; NULL: free */
    size_t block_bytes;
    uint64_t blocks, bytes, held, held_bytes;
    uint32_t stack, told; /* trace.h's number; flag */
};
struct sums {
    struct sum of[STACKS];
    uint32_t count;
};

static uint32_t stack_of(const void *block)
{
    struct trace origin;
    return ph_page_heap_origin(block, &origin) ? ph_trace_intern(&origin) : 0;
}

/* Where there are too many stacks, the last cell's. */
static struct sum *sum_of(struct sums *all, uint32_t stack)
{
    const uint32_t first = stack * 0x9e3779b1u >> (32 - STACKS_LOG);
    uint32_t i = 0;
    while (i + 1 < STACKS && all->of[(first + i) % STACKS].block != NULL && all->of[(first + i) % STACKS].stack != stack)
        i++;
    return &all->of[(first + i) % STACKS];
}

static void add(const struct lost *lo, void *with)
{
    struct sums *all = with;
    if (lo->is_held)
        return;
    struct sum *su = sum_of(all, stack_of(lo->block));
    if (su->block == NULL) {
        su->block = lo->block;
        su->block_bytes = lo->bytes;
        su->stack = stack_of(lo->block);
        all->count++;
    }
    su->blocks++;
    su->bytes += lo->bytes;
    su->held += lo->held;
    su->held_bytes += lo->held_bytes;
}

static void say_amount(struct message *m, uint64_t blocks, uint64_t bytes)
{
    ph_message_dec(m, blocks);
    ph_message_text(m, blocks == 1 ? " block, " : " blocks, ");
    ph_message_dec(m, bytes);
    ph_message_text(m, " bytes");
}

/* "2 blocks, 64 bytes, and what they lead to: 10 blocks, 480 bytes". */
static void tell(const struct sum *su)
{
    struct trace allocated;
    struct message m;
    m.used = 0;
    say_amount(&m, su->blocks, su->bytes);
    if (su->held != 0) {
        ph_message_text(&m, su->blocks == 1 ? ", and what it leads to: " : ", and what they lead to: ");
        say_amount(&m, su->held, su->held_bytes);
    }
    m.text[m.used] = '\0';
    ph_report(&(struct report){
        .kind = DIAG_LEAK,
        .block = su->block,
        .bytes = su->block_bytes,
        .goes_on = true,
        .detail = m.text,
        .allocated = ph_page_heap_origin(su->block, &allocated) ? &allocated : NULL,
    });
}

/* The one with the most bytes, what it leads to counted, of those that were not told. */
static struct sum *largest(struct sums *all)
{
    struct sum *most = NULL;
    for (struct sum *su = all->of; su < all->of + STACKS; su++)
        if (su->block != NULL && !su->told &&
            (most == NULL || su->bytes + su->held_bytes > most->bytes + most->held_bytes))
            most = su;
    return most;
}

void ph_lost_report(uintptr_t here)
{
    struct sums *all = ph_roots_memory(sizeof *all);
    if (all == NULL || !ph_reach_lost(here, add, all))
        return;
    for (uint32_t i = 0; i < all->count && i < REPORTS_MOST; i++) {
        struct sum *su = largest(all);
        su->told = 1;
        tell(su);
    }
}
