/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* block.c -- one block from outside: what is it, free it, resize it.
 *
 * Owns:    nothing.
 * Calls:   alloc.c (when a block must move), heap.c, sized.c, shard.c, packed.c, large.c,
 *          span.c through gate_enter; harden.c, debug.c, guard.c for what stands around it.
 * Locks:   as heap.c.  ph_heap_look takes none on the way of a good block.
 * Always:  an address is judged by the page map and the descriptors alone and never touched, so
 *          any value is refused without a fault.
 * Why:     the malloc family and the Win32 functions differ in what they do about a bad pointer,
 *          not in how they know one. */
#include "pageheap.h"
#include "options.h"
#include "valid.h"

#include "small.h"

/* ---- looking ----------------------------------------------------------------------------------- */

static enum block_verdict look_sized(uint64_t entry, const void *block, struct block_info *out)
{
    const uint16_t *place = sized_place(entry, block);
    const size_t code_index = (size_t)(place - entry_cell(entry)->code);
    /* the page may be gone by now and its cell another's: whatever stands there, we stay within the chunk */
    if (place == NULL || code_index >= PAGE_BLOCKS ||
        (uint16_t)(entry >> 32) + ph_size_cell_bytes(code_index + 1) > CELL_CHUNK_BYTES || map_get(block) != entry)
        return BLOCK_BAD;
    const unsigned code = __atomic_load_n(place, __ATOMIC_RELAXED);
    out->sized = true;
    out->kind = KIND_SIZED;
    out->class = kind_class(entry_kind(entry));
    out->capacity = ph_class_bytes[out->class];
    out->wanted = code == 0 ? SIZE_MAX : size_of_code(out->class, code);
    return code != 0 ? BLOCK_OK : BLOCK_TWICE;
}

static enum block_verdict look_plain(uint64_t entry, const struct span *pg, const void *block, struct block_info *out)
{
    const unsigned index = ph_page_is_sound(pg) ? ph_page_index(pg, block) : PAGE_BLOCKS;
    if (index == PAGE_BLOCKS || index >= __atomic_load_n(&pg->carved, __ATOMIC_RELAXED))
        return BLOCK_BAD;
    out->sized = false;
    out->kind = KIND_PLAIN;
    out->class = kind_class(entry_kind(entry));
    out->capacity = out->wanted = ph_class_bytes[out->class];
    if (ph_page_is_free(pg, index))
        return BLOCK_TWICE;
    if (unseen_word(block_key((void *)(uintptr_t)block)) == block_key_value(block))
        return BLOCK_TWICE; /* it lies in some stack */
    return BLOCK_OK;
}

/* Held: the gate lock of the region's heap. */
static enum block_verdict look_packed(struct heap *hp, struct region *rg, const void *block, struct block_info *out)
{
    /* the heap may have ended while we waited */
    if (__atomic_load_n(&hp->handle, __ATOMIC_ACQUIRE) == NULL || ph_region_of(hp, block) != rg || rg->packed == NULL ||
        (size_t)((const char *)block - rg->base) >= (size_t)rg->first << UNIT_BITS ||
        !ph_packed_look(rg, block, &out->wanted, &out->capacity))
        return BLOCK_BAD;
    out->kind = KIND_PACKED;
    out->region = rg;
    out->sized = true;
    out->wanted -= ph_debug_tail_bytes(hp);
    out->capacity = out->wanted; /* what follows is the heap's */
    return BLOCK_OK;
}

/* In a slot or a guard, and no live block's first unit. */
static enum block_verdict look_guarded(const void *block, const struct slot *sl, struct block_info *out)
{
    out->heap = &ph_process_heap;
    out->wanted = sl->wanted;
    return sl->state == SLOT_FREED && sl->block == block ? BLOCK_TWICE : BLOCK_BAD;
}

/* An address without an entry of its own: in packed memory, inside some heap, or nobody's. */
static enum block_verdict look_nowhere(const void *block, struct block_info *out)
{
    const uint32_t emergency = ph_emergency_look(block, &out->wanted, &out->capacity, &out->sized);
    if (unlikely(emergency != 0)) {
        out->heap = ph_heap_at(emergency);
        out->kind = KIND_EMERGENCY;
        return BLOCK_OK;
    }
    const struct slot *sl = ph_slot_of(block);
    if (sl != NULL)
        return look_guarded(block, sl, out);
    const enum block_verdict paged = ph_page_heap_look(block, out);
    if (paged != BLOCK_NOT_OURS)
        return paged;
    struct heap *hp = ph_heap_around(block);
    const bool nested = ph_is_nested();
    if (hp == NULL)
        return !nested && ph_heap_is_inside_large(block) ? BLOCK_BAD : BLOCK_NOT_OURS;
    out->heap = hp;
    struct region *rg = ph_region_of(hp, block);
    if (rg == NULL || __atomic_load_n(&rg->packed, __ATOMIC_RELAXED) == NULL)
        return BLOCK_BAD;
    struct pass ps = ph_gate_enter_locked(hp, nested ? ENTER_NOT : ENTER_UNLOCKED);
    const enum block_verdict verdict = look_packed(hp, rg, block, out);
    ph_gate_leave(hp, ps);
    return verdict;
}

enum block_verdict ph_heap_look(const void *block, struct block_info *out)
{
    const uint64_t entry = map_get(block);
    const unsigned kind = entry_kind(entry);
    if (kind == KIND_NONE)
        return look_nowhere(block, out);
    out->heap = ph_heap_at(entry_heap(entry));
    if (out->heap == NULL)
        return BLOCK_BAD;
    if ((out->span = ph_map_span(entry)) == NULL)
        return BLOCK_BAD;
    if (kind_is_sized(kind) && kind < KIND_RUN)
        return look_sized(entry, block, out);
    struct span room;
    const struct span *sp = unseen_span(out->span, &room);
    if (kind < KIND_RUN)
        return look_plain(entry, sp, block, out);
    if (kind == KIND_GUARD || block != (kind == KIND_LARGE ? ph_large_block(sp) : ph_span_start(sp)))
        return BLOCK_BAD;
    if (kind == KIND_FREE || (kind == KIND_RUN && sp->carved == RUN_KEPT)) { /* what was asked for when it was a run still stands there */
        out->capacity = out->wanted = sp->wanted != 0 ? sp->wanted : SIZE_MAX;
        return BLOCK_TWICE;
    }
    out->kind = kind;
    out->sized = sp->sized;
    out->capacity = kind == KIND_RUN ? ph_span_bytes(sp) : ph_hard_large(sp).capacity;
    out->wanted = out->sized ? sp->wanted : out->capacity;
    return BLOCK_OK;
}

/* ---- freeing ----------------------------------------------------------------------------------- */

/* Free a block of that heap that stands where `bi` says. */
static bool free_looked(struct heap *hp, void *block, const struct block_info *bi, enum enter enter)
{
    bool done;
    struct pass ps = ph_gate_enter(hp, enter);
    if (bi->kind == KIND_LARGE)
        done = ph_large_give(hp, block);
    else if (bi->kind == KIND_RUN)
        done = (ps.lo != NULL && hp->hard == 0 && ph_runs_give(ps.lo, bi->span, block)) || ph_span_give_run(hp, block);
    else
        done = ph_shard_give(hp, bi->kind + bi->class, bi->span, block);
    ph_gate_leave(hp, ps);
    return done;
}

/* Into this thread's stacks, if it has some by now. */
static bool free_stacked(struct heap *hp, void *block, enum enter enter)
{
    struct local *lo = enter != ENTER_NOT ? ph_sized_earned(hp) : NULL;
    if (lo == NULL)
        return false;
    if (!__atomic_load_n(&lo->biased, __ATOMIC_RELAXED))
        ph_gate_rebias(lo, enter);
    return ph_sized_give(lo, block);
}

static enum block_verdict free_packed(struct heap *hp, struct region *rg, void *block, enum enter enter)
{
    struct block_info bi = {.heap = hp};
    struct pass ps = ph_gate_enter_locked(hp, enter);
    const enum block_verdict verdict = look_packed(hp, rg, block, &bi);
    if (verdict == BLOCK_OK) {
        size_t wanted, capacity;
        if (hp->debug != 0 && ph_packed_look(rg, block, &wanted, &capacity))
            ph_debug_freed(hp, block, capacity);
        (void)ph_packed_give(rg, block, !(hp->debug & DEBUG_NO_JOIN));
    }
    ph_gate_leave(hp, ps);
    return verdict;
}

static struct hard_block hard_block(const struct block_info *bi, void *block)
{
    if (bi->kind == KIND_LARGE)
        return ph_hard_large(bi->span);
    const bool is_page = bi->kind == KIND_SIZED;
    return (struct hard_block){.block = block, .wanted = bi->wanted, .capacity = bi->capacity, .class = is_page ? bi->class : CLASS_COUNT};
}

static bool is_guarded(const struct block_info *bi) { return bi->kind == KIND_LARGE && bi->span->slot != 0; }

/* A guarded block has no tail. */
static enum family family_of(const struct block_info *bi, const struct hard_block *hb)
{
    return is_guarded(bi) ? ph_guard_family(bi->span) : ph_hard_family(hb);
}

/* Options ask for it: whoever gave the block takes it back. */
static void check_family(const struct block_info *bi, const struct hard_block *hb, enum family family, size_t bytes)
{
    const enum family gave = family_of(bi, hb);
    if (ph_families != 0 && family != FAMILY_ANY && gave != FAMILY_ANY && gave != family)
        ph_incident(DIAG_WRONG_FAMILY, hb->block, hb->wanted);
    if (ph_families != 0 && bytes != SIZE_MAX && bytes != hb->wanted && !(bytes <= 1 && hb->wanted <= 1)) /* malloc(0) is one byte, or none */
        ph_incident(DIAG_WRONG_SIZE, hb->block, hb->wanted);
}

/* True: *verdict is the answer, because it is no block of that heap, or an emergency one, which is free by now. */
static bool look_to_free(struct heap *hp, void *block, struct block_info *bi, enum block_verdict *verdict)
{
    *verdict = ph_heap_look(block, bi);
    if (*verdict == BLOCK_OK && bi->heap != hp)
        *verdict = BLOCK_NOT_OURS;
    else if (*verdict == BLOCK_OK && bi->kind == KIND_EMERGENCY)
        *verdict = ph_emergency_give(block) ? BLOCK_OK : BLOCK_TWICE;
    else
        return *verdict != BLOCK_OK;
    return true;
}

/* In the middle of another call of this thread: what needs more than leaf locks is freed later. */
static COLD enum block_verdict free_nested(struct heap *hp, void *block)
{
    struct block_info bi;
    enum block_verdict verdict;
    if (look_to_free(hp, block, &bi, &verdict))
        return verdict;
    if (bi.kind != KIND_PACKED && ph_nested_is_inside(hp)) {
        const struct hard_block hb = hard_block(&bi, block);
        if (hp->hard != 0)
            ph_hard_released(hp, &hb);
        return free_looked(hp, block, &bi, ENTER_NOT) ? BLOCK_OK : BLOCK_TWICE;
    }
    ph_later_add(hp->id, block);
    return BLOCK_OK;
}

COLD void ph_heap_free_later(void)
{
    void *block;
    for (uint32_t id; (id = ph_later_take(&block)) != 0;) {
        struct heap *hp = ph_heap_at(id);
        if (ph_heap_free(hp, block, ENTER_UNLOCKED) != BLOCK_OK && hp == &ph_process_heap)
            ph_incident(DIAG_DOUBLE_FREE, block, SIZE_MAX);
    }
}

enum block_verdict ph_heap_free_hard(struct heap *hp, void *block, enum enter enter, enum family family, size_t bytes)
{
    struct block_info bi;
    if (unlikely(enter != ENTER_NOT && ph_is_nested()))
        return free_nested(hp, block);
    if (unlikely(ph_later_count != 0) && enter != ENTER_NOT)
        ph_heap_free_later();
    enum block_verdict verdict;
    if (look_to_free(hp, block, &bi, &verdict))
        return verdict;
    const struct hard_block hb = hard_block(&bi, block);
    check_family(&bi, &hb, family, bytes);
    ph_hard_released(hp, &hb);
    if (bi.kind == KIND_SIZED && free_stacked(hp, block, enter))
        return BLOCK_OK;
    return free_looked(hp, block, &bi, enter) ? BLOCK_OK : BLOCK_TWICE;
}

enum block_verdict ph_heap_free(struct heap *hp, void *block, enum enter enter)
{
    struct block_info bi;
    const uint64_t entry = map_get(block);
    if (unlikely(hp->hard != 0))
        return ph_heap_free_hard(hp, block, enter, FAMILY_ANY, SIZE_MAX);
    if (unlikely(enter != ENTER_NOT && ph_is_nested()))
        return free_nested(hp, block);
    if (unlikely(ph_later_count != 0) && enter != ENTER_NOT)
        ph_heap_free_later();
    if (entry == 0 && unlikely(ph_emergency_look(block, &bi.wanted, &bi.capacity, &bi.sized) == hp->id))
        return ph_emergency_give(block) ? BLOCK_OK : BLOCK_TWICE;
    if (entry == 0 && ph_heap_around(block) == hp) {
        struct region *rg = ph_region_of(hp, block);
        return rg != NULL && __atomic_load_n(&rg->packed, __ATOMIC_RELAXED) != NULL ? free_packed(hp, rg, block, enter) : BLOCK_BAD;
    }
    if ((uint32_t)entry - (hp->tag | KIND_SIZED) < CLASS_COUNT && free_stacked(hp, block, enter))
        return BLOCK_OK;
    const enum block_verdict verdict = ph_heap_look(block, &bi);
    if (verdict != BLOCK_OK)
        return verdict;
    if (bi.heap != hp)
        return BLOCK_NOT_OURS;
    return free_looked(hp, block, &bi, enter) ? BLOCK_OK : BLOCK_TWICE;
}

/* ---- resizing in place -------------------------------------------------------------------------- */

enum { SLACK_PART = 8 };

/* Who grows by a little will grow again: where nobody asked for an exact size there is an eighth more, if the heap has
 * it behind the run; and so little is not given back. */
static uint32_t run_wish(const struct heap *hp, const struct span *sp, uint32_t units, bool exact)
{
    const uint32_t had = (uint32_t)sp->units, little = had / SLACK_PART;
    if (exact || hp->bound_units != 0)
        return units;
    if (units > had)
        return units - had <= little ? units + little : units;
    return had - units <= little ? had : units;
}

static bool resize_run(struct heap *hp, struct local *lo, struct span *sp, size_t wanted, bool exact)
{
    const size_t bytes = wanted + ph_hard_pad(hp);
    if (bytes >= (size_t)HEAP_MOST_UNITS << UNIT_BITS)
        return false;
    const uint32_t least = bytes > 0 ? (uint32_t)((bytes + UNIT_BYTES - 1) >> UNIT_BITS) : 1;
    const uint32_t units = run_wish(hp, sp, least, exact);
    if (units > sp->units && !ph_span_grow(hp, sp, units) && (units == least || !ph_span_grow(hp, sp, least)))
        return false;
    if (lo != NULL && units == sp->units && lo->runs.hand == SPAN_NONE)
        ph_runs_want(lo, sp, wanted, exact);
    else
        ph_span_want(hp, sp, wanted, exact); /* at no moment more than there is: a child of fork may walk over it */
    if (units < sp->units) {
        if (hp->hard != 0)
            ph_bytes_zero((char *)ph_span_start(sp) + ((size_t)units << UNIT_BITS), (size_t)(sp->units - units) << UNIT_BITS);
        ph_span_shrink(hp, sp, units);
    }
    return true;
}

/* Held: the gate lock. */
static bool resize_packed(struct heap *hp, const struct block_info *bi, void *block, size_t bytes)
{
    size_t wanted, before, after;
    const bool join = !(hp->debug & DEBUG_NO_JOIN);
    if (!ph_packed_look(bi->region, block, &wanted, &before) ||
        !ph_packed_resize(hp, bi->region, block, bytes + ph_debug_tail_bytes(hp), join))
        return false;
    if (hp->debug == 0)
        return true;
    if (ph_packed_look(bi->region, block, &wanted, &after) && after < before)
        ph_debug_freed(hp, (char *)block + after, before - after);
    ph_debug_resized(hp, block, bi->wanted, bytes);
    return true;
}

/* Whatever can move does, so that an access through an old pointer is noticed. */
static bool resize_guarded(struct heap *hp, const struct block_info *bi, const struct request *rq, bool thrifty)
{
    if (thrifty)
        return rq->bytes == bi->wanted;
    struct pass ps = ph_gate_enter(hp, rq->enter);
    const bool done = ph_guard_resize(hp, bi->span, rq->bytes);
    ph_gate_leave(hp, ps);
    return done;
}

/* A fence is the best tail. */
static size_t large_room(const struct heap *hp, const struct span *sp, size_t bytes)
{
    const size_t room = bytes + (sp->fenced ? 0 : ph_hard_pad(hp));
    return room > 0 ? room : 1;
}

/* Where it stands.  Shrinking a page's block is always possible, and so is a run's or a large
 * one's, but `thrifty` refuses where moving would save more than half. */
static bool resize_in_place(struct heap *hp, const struct block_info *bi, void *block, const struct request *rq,
                            bool thrifty)
{
    const size_t bytes = rq->bytes;
    if (is_guarded(bi))
        return resize_guarded(hp, bi, rq, thrifty);
    if (bi->kind == KIND_PACKED) {
        struct pass locked = ph_gate_enter_locked(hp, rq->enter);
        const bool resized = resize_packed(hp, bi, block, bytes);
        ph_gate_leave(hp, locked);
        return resized;
    }
    if (bi->kind == KIND_PLAIN || bi->kind == KIND_SIZED) {
        if (bytes + ph_hard_pad(hp) > bi->capacity || (thrifty && !class_fits(bi->class, bytes)))
            return false;
        if (thrifty && rq->sized && bi->kind == KIND_PLAIN)
            return false; /* W32 2.5: it moves to a page that knows exact sizes */
    } else if (thrifty && bytes < bi->capacity / 2 && bytes < (bi->kind == KIND_RUN ? CLASS_BYTES / 2 : LARGE_BYTES)) {
        return false;
    }
    if (bi->kind == KIND_RUN && bytes > bi->capacity && bytes >= LARGE_BYTES && hp->bound_units == 0)
        return false;
    if (bi->kind == KIND_LARGE && bytes > bi->capacity && thrifty)
        return false; /* resize_large tries both */
    bool done = true;
    struct pass ps = ph_gate_enter(hp, rq->enter);
    if (bi->kind == KIND_SIZED)
        ph_page_set_wanted(bi->span, ph_page_index(bi->span, block), bytes);
    else if (bi->kind == KIND_RUN)
        done = resize_run(hp, ps.lo, bi->span, bytes, rq->sized || hp->hard != 0);
    else if (bi->kind == KIND_LARGE)
        done = ph_large_resize(hp, bi->span, large_room(hp, bi->span, bytes), bytes, rq->sized || hp->hard != 0, false);
    ph_gate_leave(hp, ps);
    return done;
}

/* A large block that grows moves its pages, not its bytes. */
static void *resize_large(struct heap *hp, const struct block_info *bi, const struct request *rq)
{
    if (bi->kind != KIND_LARGE || rq->bytes < (bi->span->fenced ? FENCE_FROM_BYTES : LARGE_BYTES) || is_guarded(bi))
        return NULL;
    struct pass ps = ph_gate_enter(hp, rq->enter);
    const bool done = ph_large_resize(hp, bi->span, large_room(hp, bi->span, rq->bytes), rq->bytes, rq->sized || hp->hard != 0, true);
    ph_gate_leave(hp, ps);
    return done ? ph_large_block(bi->span) : NULL;
}

static void *copy_over(struct heap *hp, const struct block_info *bi, void *block, const struct request *rq)
{
    void *now = ph_heap_alloc(hp, rq);
    if (now == NULL)
        return NULL;
    ph_bytes_copy(now, block, bi->wanted < rq->bytes ? bi->wanted : rq->bytes);
    (void)ph_heap_free(hp, block, rq->enter);
    return now;
}

/* W32 2.3: for the Win32 functions the block is never in two places: one stay inside for all of
 * it.  Only when memory is short does the last resort of an allocation come between. */
static void *resize_by_copy(struct heap *hp, const struct block_info *bi, void *block, const struct request *rq)
{
    struct request step = *rq;
    void *now = NULL;
    step.zero = false;
    if (rq->sized) {
        step.enter = ENTER_NOT;
        struct pass ps = ph_gate_enter_locked(hp, rq->enter);
        now = copy_over(hp, bi, block, &step);
        ph_gate_leave(hp, ps);
        step.enter = rq->enter;
    }
    return now != NULL ? now : copy_over(hp, bi, block, &step);
}

/* In the middle of another call of this thread, or a block from there. */
static COLD void *resize_nested(struct heap *hp, const struct block_info *bi, void *block, const struct request *rq, bool in_place)
{
    void *now = bi->kind == KIND_EMERGENCY && ph_emergency_resize(block, rq->bytes, rq->sized) ? block : NULL;
    if (bi->kind == KIND_PLAIN && !rq->sized && rq->bytes <= bi->capacity)
        now = block;
    if (now == NULL && !in_place)
        now = copy_over(hp, bi, block, rq);
    if (now != NULL && rq->zero && rq->bytes > bi->wanted)
        ph_bytes_zero((char *)now + bi->wanted, rq->bytes - bi->wanted);
    return now;
}

/* W32 3.4: contents to the smaller size kept, zeros from the old wanted size on; NULL: as it was. */
static void *resize(struct heap *hp, const struct block_info *bi, void *block, const struct request *rq, bool in_place)
{
    void *now = resize_in_place(hp, bi, block, rq, !in_place) ? block : NULL;
    if (now == NULL && !in_place && (now = resize_large(hp, bi, rq)) == NULL)
        now = resize_by_copy(hp, bi, block, rq);
    /* where memory is out what shrinks stays here, but for what has no place for its exact size (W32 2.5) */
    const bool may_stay = now == NULL && !in_place && rq->bytes <= bi->wanted && !(rq->sized && bi->kind == KIND_PLAIN);
    if (may_stay && resize_in_place(hp, bi, block, rq, false))
        now = block;
    if (now != NULL && rq->zero && rq->bytes > bi->wanted)
        ph_bytes_zero((char *)now + bi->wanted, rq->bytes - bi->wanted);
    return now;
}

/* Its tail stands elsewhere now, and what was cut off it is free memory.  A tail that was damaged is
 * reported first. */
static void *hard_realloc(struct heap *hp, const struct block_info *bi, void *block, const struct request *rq, bool in_place)
{
    struct block_info after;
    struct hard_block hb = hard_block(bi, block);
    const size_t had = hb.wanted;
    const enum hard_verdict verdict = ph_hard_look(&hb);
    if (verdict != HARD_GOOD)
        ph_hard_report(&hb, verdict);
    struct request kept = *rq;
    check_family(bi, &hb, rq->family, SIZE_MAX);
    kept.family = family_of(bi, &hb);
    void *now = resize(hp, bi, block, &kept, in_place);
    if (now == NULL || ph_heap_look(now, &after) != BLOCK_OK)
        return now;
    hb = hard_block(&after, now);
    if (now == block)
        ph_hard_resized(hp, &hb, had, kept.family);
    else
        ph_hard_retail(&hb, kept.family);
    return now;
}

void *ph_heap_realloc(struct heap *hp, const struct block_info *bi, void *block, const struct request *rq,
                      bool in_place)
{
    if (rq->bytes > MOST_BYTES)
        return NULL;
    if (unlikely(bi->kind == KIND_EMERGENCY || (rq->enter != ENTER_NOT && ph_is_nested())))
        return resize_nested(hp, bi, block, rq, in_place);
    if (unlikely(hp->hard != 0))
        return hard_realloc(hp, bi, block, rq, in_place);
    return resize(hp, bi, block, rq, in_place);
}
