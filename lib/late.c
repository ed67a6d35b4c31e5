/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* late.c -- malloc and free of a hard heap, what is less usual than late.h; blocks that wait after free.
 *
 * Owns:    struct late.
 * Calls:   harden.h for tails and free memory, shard.c when a stack is full.  Beside sized.c.
 * Locks:   none but the class lock of a flush; its local is busy meanwhile.
 * Always:  a late block is free by its code, and lies in no stack and in no page.
 * Why:     these modes are for all day: whatever is not the usual case is alloc.c's and block.c's,
 *          and done again there. */
#include "late.h"
#include "stack.h"

/* ---- late blocks ------------------------------------------------------------------------------ */

static COLD void push_slow(struct local *lo, unsigned class)
{
    struct stack *st = &lo->stack[class];
    if (!stack_has_room(st))
        ph_stack_open(lo, st, class);
    if (st->top >= st->limit)
        ph_stack_overflows(lo, st, class);
    if (st->top >= st->limit)
        ph_shard_flush_sized(lo->heap, KIND_SIZED + class, st, stack_bottom(lo, st), stack_flush_count(lo, st, class));
}

/* Busy and biased, or as ph_late_empty.  The oldest late block may be taken again. */
static inline void late_leave(struct local *lo, struct late *late)
{
    const struct late_block lb = late->entry[late->first];
    const unsigned class = late_class(lb.what);
    struct stack *st = &lo->stack[class];
    if (unlikely(ph_process_heap.hard == MODE_TOLERANT) &&
        late->sum[late->first] != hard_sum(late_block(lb.what), ph_class_bytes[class]))
        ph_incident(DIAG_WRITE_AFTER_FREE, late_block(lb.what), ph_class_bytes[class]);
    late->first = (late->first + 1) % LATE_BLOCKS;
    late->count--;
    late->bytes -= ph_class_bytes[class];
    if (unlikely(st->top >= st->limit))
        push_slow(lo, class);
    *(struct sized_entry *)(void *)st->top = (struct sized_entry){late_block(lb.what), lb.place};
    __atomic_store_n(&st->top, st->top + 2, __ATOMIC_RELAXED);
}

void ph_late_empty(struct local *lo)
{
    while (lo->late->count > 0)
        late_leave(lo, lo->late);
}

static COLD void late_make_room(struct local *lo, struct late *late, size_t bytes)
{
    while (late->bytes + bytes > LATE_BYTES && late->count > 0)
        late_leave(lo, late);
}

static inline void late_enter(struct local *lo, void *block, uint16_t *place, unsigned class)
{
    struct late *late = lo->late;
    const size_t bytes = ph_class_bytes[class];
    if (likely(late->count == LATE_BLOCKS))
        late_leave(lo, late);
    if (unlikely(late->bytes + bytes > LATE_BYTES))
        late_make_room(lo, late, bytes);
    const uint32_t at = (late->first + late->count) % LATE_BLOCKS;
    late->entry[at] = (struct late_block){late_what(block, class), place};
    if (unlikely(ph_process_heap.hard == MODE_TOLERANT))
        late->sum[at] = hard_sum(block, bytes);
    late->count++;
    late->bytes += bytes;
}

/* Busy and biased.  Free by its code already. */
void ph_late_enter(struct local *lo, void *block, uint16_t *place, unsigned class) { late_enter(lo, block, place, class); }

/* ---- malloc, free, realloc --------------------------------------------------------------------- */

enum { USUAL_BYTES = CLASS_BYTES - PAD_TOLERANT };

static inline struct hard_block page_block(void *block, unsigned class, size_t wanted)
{
    return (struct hard_block){.block = block, .wanted = wanted, .capacity = ph_class_bytes[class], .class = class};
}

void *ph_hard_malloc(size_t bytes, enum family family)
{
    const struct heap *const hp = &ph_process_heap;
    struct local *lo = ph_thread->hard;
    if (unlikely(lo == NULL || bytes > USUAL_BYTES || ph_guard_due()))
        return NULL;
    const unsigned class = class_of(bytes + hard_pad(hp));
    local_enter(lo);
    struct stack *st = &lo->stack[class];
    struct sized_entry *top = (struct sized_entry *)(void *)st->top;
    void *block;
    if (likely(__atomic_load_n(&lo->biased, __ATOMIC_RELAXED) && *top[-1].place == 0)) {
        __atomic_store_n(top[-1].place, size_code(class, bytes), __ATOMIC_RELAXED);
        block = top[-1].block;
        __atomic_store_n(&st->top, (void **)(void *)(top - 1), __ATOMIC_RELAXED);
        local_leave(lo);
    } else {
        local_leave(lo);
        if ((block = ph_sized_take(lo, class, bytes)) == NULL)
            return NULL;
    }
    const struct hard_block hb = page_block(block, class, bytes);
    bool zero = false;
    hard_taken(hp, &hb, family, &zero);
    return block;
}

/* What the code of a live block of a page says; NULL, and *hb not set, where none is. */
static inline uint16_t *live_place(const void *block, struct hard_block *hb)
{
    const uint64_t entry = map_get(block);
    const uint32_t class = (uint32_t)entry - (ph_process_heap.tag | KIND_SIZED);
    uint16_t *place = likely(class < CLASS_COUNT) ? sized_place(entry, block) : NULL;
    const unsigned code = likely(place != NULL) ? __atomic_load_n(place, __ATOMIC_RELAXED) : 0;
    if (unlikely(code == 0)) /* and then `class` may be no number of a class */
        return NULL;
    *hb = page_block((void *)(uintptr_t)block, class, size_of_code(class, code));
    return place;
}

bool ph_hard_free(void *block, enum family family)
{
    struct hard_block hb;
    struct local *lo = ph_thread->hard;
    if (unlikely(lo == NULL))
        return false;
    local_enter(lo);
    uint16_t *place = live_place(block, &hb);
    const bool good = likely(place != NULL && __atomic_load_n(&lo->biased, __ATOMIC_RELAXED)) && likely(tail_stands(&hb, family));
    if (likely(good)) {
        if (ph_process_heap.hard == MODE_SECURE)
            ph_bytes_zero(block, hb.capacity);
        __atomic_store_n(place, 0, __ATOMIC_RELAXED);
        late_enter(lo, block, place, hb.class);
    }
    local_leave(lo);
    return good;
}

bool ph_hard_resize(void *block, size_t bytes, enum family family, size_t *had)
{
    struct hard_block hb;
    const struct heap *const hp = &ph_process_heap;
    struct local *lo = ph_thread->hard;
    *had = SIZE_MAX;
    if (unlikely(lo == NULL || bytes > USUAL_BYTES))
        return false;
    local_enter(lo);
    uint16_t *place = live_place(block, &hb);
    const bool good = place != NULL && __atomic_load_n(&lo->biased, __ATOMIC_RELAXED) && tail_stands(&hb, family);
    const bool stays = good && class_of(bytes + hard_pad(hp)) == hb.class;
    if (good)
        *had = hb.wanted;
    if (stays) {
        __atomic_store_n(place, size_code(hb.class, bytes), __ATOMIC_RELAXED);
        hb.wanted = bytes;
        hard_resized(hp, &hb, *had, family);
    }
    local_leave(lo);
    return stays;
}
