/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stack.c -- the rooms of a local's stacks: opened, moved, widened, closed.
 *
 * Owns:    struct stack, but for its entries; slots_used, cap_bytes and flushed of a local.
 * Calls:   shard.c.  Serves local.c, sized.c, late.c and runs.c.
 * Locks:   held on entry: none, but the local is busy, or its heap is stopped.  Takes: class locks.
 * Always:  a stack is in its first room, its wide one or its deep one; the entry below the first is no block.
 * Why:     three rooms, because what lies far apart costs an OS page each.  A deep stack keeps memory from others, so a class that is only freed, or only taken, has a shallow one;
 *          one that swings between both pays a lock, and a flush or a refill, at each end of each swing.
 *          1,024 blocks of a class that is not used any more may lie in as many pages, and keep them all. */
#include "stack.h"

#include "small.h"

void *ph_stack_no_entry = ph_no_block;
static uint16_t no_place = 1; /* neither 0 nor SIZED_STOPPED */
static struct sized_entry no_sized_entry = {NULL, &no_place};

/* The entry that is none, below the room that begins at `bottom`. */
static void stack_sentinel(struct local *lo, void **bottom)
{
    bottom[-1] = lo->stride == 1 ? (void *)ph_no_block : &no_place;
}

void ph_stack_close(struct local *lo, struct stack *st)
{
    st->top = lo->stride == 1 ? &ph_stack_no_entry + 1 : (void **)(void *)(&no_sized_entry + 1);
    st->limit = NULL;
    st->bottom = 0;
}

/* A sized local was earned, and two threads that take few blocks at a time in turn would write to the
 * same lines of size codes: its stacks begin in the wide room.  Busy on entry. */
static void sized_open(struct local *lo, struct stack *st, unsigned class)
{
    enum { FIRST_ENTRIES = 32, FIRST_BYTES = 16384 };
    const unsigned fit = FIRST_BYTES / ph_class_bytes[class];
    const unsigned cap = fit > FIRST_ENTRIES ? FIRST_ENTRIES : fit < 1 ? 1 : fit;
    void **bottom = lo->slot + st->wide;
    stack_sentinel(lo, bottom);
    st->bottom = st->wide;
    st->limit = bottom + cap * lo->stride;
    st->top = bottom;
}

/* Busy on entry. */
void ph_stack_open(struct local *lo, struct stack *st, unsigned class)
{
    if (lo->stride == 2) {
        sized_open(lo, st, class);
        return;
    }
    void **bottom = lo->slot + lo->slots_used + lo->stride;
    stack_sentinel(lo, bottom);
    st->bottom = (uint16_t)(bottom - lo->slot);
    st->limit = bottom + stack_cap_first(class) * lo->stride;
    st->top = bottom;
    lo->slots_used += (SLOTS_FIRST + 1) * lo->stride;
}

unsigned ph_stack_deep(const struct local *lo, unsigned class)
{
    unsigned at = DEEP_START;
    for (unsigned c = 0; c < class; c++)
        at += stack_cap_deep(lo, c) > 0 ? stack_cap_deep(lo, c) + 1 : 0;
    return at + 1;
}

/* Entries and sentinel move to another room. */
static void stack_move(struct local *lo, struct stack *st, unsigned slot)
{
    const size_t words = stack_count(lo, st) * lo->stride;
    void **from = stack_bottom(lo, st);
    void **to = lo->slot + slot;
    stack_sentinel(lo, to);
    for (size_t i = 0; i < words; i++)
        to[i] = from[i];
    st->limit = to + (st->limit - from);
    st->bottom = (uint16_t)slot;
    __atomic_store_n(&st->top, to + words, __ATOMIC_RELAXED);
}

/* It may hold more next time, while all together stay in bounds. */
static void stack_widen(struct local *lo, struct stack *st, unsigned class, uint32_t most)
{
    const uint32_t cap = stack_cap(lo, st), left = cap < most ? most - cap : 0, more = cap < left ? cap : left;
    const uint32_t bytes = more * ph_class_bytes[class];
    if (more == 0 || lo->cap_bytes + bytes > LOCAL_BYTES)
        return;
    if (cap + more > st->cap_max && cap <= st->cap_max)
        stack_move(lo, st, ph_stack_deep(lo, class));
    else if (st->bottom < SLOTS_OF_FIRST * lo->stride)
        stack_move(lo, st, st->wide);
    lo->deep |= (uint64_t)(cap + more > st->cap_max) << class;
    st->limit += more * lo->stride;
    lo->cap_bytes += bytes;
}

void ph_stack_overflows(struct local *lo, struct stack *st, unsigned class)
{
    lo->flushed |= 1ULL << class;
    lo->moved |= 1ULL << class;
    stack_widen(lo, st, class, st->cap_max);
}

void ph_stack_ran_dry(struct local *lo, struct stack *st, unsigned class)
{
    const bool swings = lo->flushed >> class & 1 && stack_cap(lo, st) >= st->cap_max && stack_cap_deep(lo, class) > 0;
    stack_widen(lo, st, class, swings ? stack_cap_deep(lo, class) : st->cap_max);
    lo->flushed &= ~(1ULL << class);
    lo->moved |= 1ULL << class;
}

static void stack_shallow(struct local *lo, struct stack *st, unsigned class)
{
    const unsigned count = stack_count(lo, st), cap = stack_cap(lo, st);
    if (cap <= st->cap_max)
        return;
    ph_shard_flush(lo->heap, KIND_PLAIN + class, st, stack_bottom(lo, st), count, FLUSH_TO_PAGES);
    lo->cap_bytes -= (cap - st->cap_max) * ph_class_bytes[class];
    st->limit = stack_bottom(lo, st) + st->cap_max;
}

void ph_stacks_expire(struct local *lo)
{
    for (uint64_t idle = lo->deep & ~lo->moved; idle != 0; idle &= idle - 1) {
        const unsigned class = (unsigned)__builtin_ctzll(idle);
        lo->deep &= ~(1ULL << class);
        stack_shallow(lo, &lo->stack[class], class);
    }
    lo->moved = 0;
}
