/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* late.c -- malloc and free of a hard heap, the usual case in one piece; blocks that wait after free.
 *
 * Owns:    struct late.
 * Calls:   harden.h for tails and free memory, shard.c when a stack is full.  Beside sized.c.
 * Locks:   none but the class lock of a flush; its local is busy meanwhile.
 * Always:  a late block is free by its code, and lies in no stack and in no page.
 * Why:     these modes are for all day: whatever is not the usual case is alloc.c's and block.c's,
 *          and done again there. */
#include "harden.h"
#include "stack.h"

/* ---- late blocks ------------------------------------------------------------------------------ */

static void push(struct local *lo, unsigned class, void *block, uint16_t *place)
{
    struct stack *st = &lo->stack[class];
    if (unlikely(!stack_has_room(st)))
        ph_stack_open(lo, st, class);
    if (unlikely(st->top >= st->limit))
        ph_stack_widen(lo, st, class);
    if (unlikely(st->top >= st->limit))
        ph_shard_flush_sized(lo->heap, KIND_SIZED + class, st, stack_bottom(lo, st), stack_flush_count(lo, st, class));
    *(struct sized_entry *)(void *)st->top = (struct sized_entry){block, place};
    __atomic_store_n(&st->top, st->top + 2, __ATOMIC_RELAXED);
}

/* Busy and biased, or as ph_late_empty.  The oldest late block may be taken again. */
static void late_leave(struct local *lo)
{
    struct late *late = lo->late;
    const struct late_block lb = late->entry[late->first];
    const size_t bytes = ph_class_bytes[lb.class];
    late->first = (late->first + 1) % LATE_BLOCKS;
    late->count--;
    late->bytes -= bytes;
    if (lo->heap->hard == MODE_TOLERANT && lb.sum != hard_sum(lb.block, bytes))
        ph_corrupt("changed after free", lb.block, bytes);
    push(lo, lb.class, lb.block, lb.place);
}

void ph_late_empty(struct local *lo)
{
    while (lo->late->count > 0)
        late_leave(lo);
}

static inline void late_enter(struct local *lo, void *block, uint16_t *place, unsigned class)
{
    struct late *late = lo->late;
    const size_t bytes = ph_class_bytes[class];
    while (late->count == LATE_BLOCKS || (late->bytes + bytes > LATE_BYTES && late->count > 0))
        late_leave(lo);
    late->entry[(late->first + late->count) % LATE_BLOCKS] =
        (struct late_block){block, place, class, lo->heap->hard == MODE_TOLERANT ? hard_sum(block, bytes) : 0};
    late->count++;
    late->bytes += bytes;
}

/* Busy and biased.  Free by its code already. */
void ph_late_enter(struct local *lo, void *block, uint16_t *place, unsigned class) { late_enter(lo, block, place, class); }

/* ---- malloc and free -------------------------------------------------------------------------- */

void *ph_hard_malloc(size_t bytes, enum family family)
{
    struct heap *const hp = &ph_process_heap;
    struct local *lo = sized_local(hp->handle);
    const size_t room = bytes + ph_hard_pad(hp);
    if (unlikely(lo == NULL || bytes > CLASS_BYTES || room > CLASS_BYTES))
        return NULL;
    const unsigned class = class_of(room);
    local_enter(lo);
    struct stack *st = &lo->stack[class];
    struct sized_entry *top = (struct sized_entry *)(void *)st->top;
    if (unlikely(!__atomic_load_n(&lo->biased, __ATOMIC_RELAXED) || *top[-1].place != 0)) {
        local_leave(lo);
        return NULL;
    }
    __atomic_store_n(top[-1].place, size_code(class, bytes), __ATOMIC_RELAXED);
    const struct hard_block hb = {.block = top[-1].block, .wanted = bytes, .capacity = ph_class_bytes[class], .class = class};
    __atomic_store_n(&st->top, (void **)(void *)(top - 1), __ATOMIC_RELAXED);
    local_leave(lo);
    bool zero = false;
    hard_taken(hp, &hb, family, &zero);
    return hb.block;
}

bool ph_hard_free(void *block, enum family family)
{
    struct heap *const hp = &ph_process_heap;
    struct local *lo = sized_local(hp->handle);
    const uint64_t entry = map_get(block);
    const uint32_t class = (uint32_t)entry - (hp->tag | KIND_SIZED);
    if (unlikely(lo == NULL || class >= CLASS_COUNT))
        return false;
    uint16_t *place = sized_place(entry, block);
    if (unlikely(place == NULL || lo->late == NULL))
        return false;
    local_enter(lo);
    const unsigned code = __atomic_load_n(place, __ATOMIC_RELAXED);
    const struct hard_block hb = {.block = block, .wanted = size_of_code(class, code), .capacity = ph_class_bytes[class], .class = class};
    const bool good = likely(code != 0 && __atomic_load_n(&lo->biased, __ATOMIC_RELAXED)) && tail_stands(&hb, family);
    if (likely(good)) {
        if (hp->hard == MODE_SECURE)
            hard_clear(block, hb.capacity);
        __atomic_store_n(place, 0, __ATOMIC_RELAXED);
        late_enter(lo, block, place, class);
    }
    local_leave(lo);
    return good;
}
