/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* late.h -- malloc and free of a hard heap in the usual case: small blocks, and nothing to be told of.
 *
 * Why:     what a program pays for these modes it pays here.  No call lies on the way, so that nothing is saved and
 *          restored; whatever is not usual is left to late.c, and done from the start there. */
#ifndef PH_LATE_H
#define PH_LATE_H

#include "guard.h"
#include "harden.h"

enum { LATE_MOST_BYTES = TOUCHED_BYTES - PAD_TOLERANT }; /* with little slack, even so */

/* NULL: nothing was done.  Secure: the block is zero. */
static inline __attribute__((always_inline)) void *late_take(size_t bytes)
{
    const uint32_t mode = ph_process_heap.hard;
    struct local *lo = ph_thread->hard;
    if (unlikely(lo == NULL || bytes > LATE_MOST_BYTES))
        return NULL;
    const unsigned class = ph_class_small[(bytes + (mode == MODE_SECURE ? PAD_SECURE : PAD_TOLERANT) + 15) >> 4];
    const size_t capacity = ph_class_bytes[class];
    local_enter(lo);
    struct stack *st = local_stack(lo, class);
    struct sized_entry *top = (struct sized_entry *)(void *)st->top;
    char *const block = top[-1].block;
    if (unlikely(!__atomic_load_n(&lo->biased, __ATOMIC_RELAXED) || *top[-1].place != 0 ||
                 (mode == MODE_SECURE && !hard_is_zero(block, capacity)) || ph_guard_due())) {
        local_leave(lo);
        return NULL;
    }
    __atomic_store_n(top[-1].place, size_code(class, bytes), __ATOMIC_RELAXED);
    __atomic_store_n(&st->top, (void **)(void *)(top - 1), __ATOMIC_RELAXED);
    tail_write(block, bytes, capacity, tail_word(block));
    local_leave(lo);
    return block;
}

/* The block at `place` waits from now on, and the oldest of those that do may be taken again; false: nothing was done. */
static inline bool late_exchange(struct local *lo, char *block, uint16_t *place, unsigned class)
{
    struct late *late = lo->late;
    const unsigned code = __atomic_load_n(place, __ATOMIC_RELAXED);
    const size_t capacity = ph_class_bytes[class], slack = capacity - size_of_code(class, code);
    const struct late_block old = late->entry[late->first];
    struct stack *st = local_stack(lo, late_class(old.what));
    const size_t waiting = late->bytes + capacity - ph_class_bytes[late_class(old.what)];
    if (unlikely(code == 0 || capacity > TOUCHED_BYTES || slack > TAIL_WHOLE || ph_process_heap.hard != MODE_SECURE ||
                 late->count != LATE_BLOCKS || waiting > LATE_BYTES || st->top >= st->limit ||
                 !tail_reads(block, capacity - slack, capacity, tail_word(block))))
        return false;
    hard_clear(block, capacity);
    __atomic_store_n(place, 0, __ATOMIC_RELAXED);
    late->entry[late->first] = (struct late_block){late_what(block, class), place};
    late->first = (late->first + 1) % LATE_BLOCKS;
    late->bytes = waiting;
    *(struct sized_entry *)(void *)st->top = (struct sized_entry){late_block(old.what), old.place};
    __atomic_store_n(&st->top, st->top + 2, __ATOMIC_RELAXED);
    return true;
}

/* False: nothing was done. */
static inline bool late_give(void *block)
{
    struct local *lo = ph_thread->hard;
    if (unlikely(lo == NULL))
        return false;
    local_enter(lo);
    __builtin_prefetch(block, 1); /* what it holds is read in the end, and may be far away */
    const uint64_t entry = map_get(block);
    const uint32_t class = (uint32_t)entry - (ph_process_heap.tag | KIND_SIZED);
    uint16_t *place = likely(class < CLASS_COUNT) ? sized_place(entry, block) : NULL;
    const bool good = place != NULL && __atomic_load_n(&lo->biased, __ATOMIC_RELAXED);
    const bool done = likely(good) && likely(late_exchange(lo, block, place, class));
    local_leave(lo);
    return done;
}

#endif
