/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* large.c -- one mapping for one block.
 *
 * Owns:    struct span of large blocks: wanted, mapped_bytes, the list of their heap.
 * Calls:   span.c for descriptors, map.c, os.c; beside kept.c, and guard.c for a block that has a slot.
 * Locks:   LOCK span of the heap for its list.
 * Always:  the entry of a large block's first unit names it; no other unit of it has an entry.
 * Why:     a mapping grows by mremap without copying. */
#include "pageheap.h"
#include "valid.h"

#include "small.h"

void ph_large_fork_lock(void)
{
    ph_kept_fork_lock();
    ph_fence_fork_lock();
}

void ph_large_fork_unlock(void)
{
    ph_fence_fork_unlock();
    ph_kept_fork_unlock();
}

bool ph_large_trim(void)
{
    const bool any = ph_kept_trim();
    return ph_fence_trim() || any;
}

/* ---- what was there lately, for reports ------------------------------------------------------- */

enum { SLACK_PART = 8, LATELY = 16 };
static struct lately {
    const void *block;
    size_t bytes;
} lately[LATELY]; /* two threads may mix an entry up: the worst is a wrong size in a report */
static unsigned lately_next;

static void lately_add(const struct span *sp, const void *block)
{
    struct lately *la = &lately[__atomic_fetch_add(&lately_next, 1, __ATOMIC_RELAXED) % LATELY];
    __atomic_store_n(&la->bytes, sp->wanted, __ATOMIC_RELAXED);
    __atomic_store_n(&la->block, block, __ATOMIC_RELAXED);
}

bool ph_large_was(const void *block, size_t *bytes)
{
    for (unsigned i = 0; i < LATELY; i++)
        if (__atomic_load_n(&lately[i].block, __ATOMIC_RELAXED) == block) {
            *bytes = __atomic_load_n(&lately[i].bytes, __ATOMIC_RELAXED);
            return true;
        }
    return false;
}

/* ---- a heap's large blocks ------------------------------------------------------------------- */

/* Held: the span lock. */
static void large_counted(struct heap *hp, size_t bytes)
{
    __atomic_store_n(&hp->large_bytes, bytes, __ATOMIC_RELAXED); /* large_drop reads it without the lock */
    if (hp->large_count > hp->large_most)
        hp->large_most = hp->large_count;
    if (hp->large_bytes > hp->large_most_bytes)
        hp->large_most_bytes = hp->large_bytes;
}

void ph_large_link(struct heap *hp, struct span *sp)
{
    ph_lock_take(&hp->span_lock);
    sp->prev = SPAN_NONE;
    sp->next = hp->large;
    if (sp->next != SPAN_NONE)
        ph_span_at(sp->next)->prev = sp->self;
    __atomic_store_n(&hp->large, (uint32_t)sp->self, __ATOMIC_RELAXED);
    __atomic_store_n(&hp->large_count, hp->large_count + 1, __ATOMIC_RELAXED);
    large_counted(hp, hp->large_bytes + sp->mapped_bytes);
    ph_map_first(sp);
    ph_lock_give(&hp->span_lock);
}

/* Held: the span lock. */
static void large_unlink(struct heap *hp, struct span *sp)
{
    if (sp->next != SPAN_NONE)
        ph_span_at(sp->next)->prev = sp->prev;
    if (sp->prev != SPAN_NONE)
        ph_span_at(sp->prev)->next = sp->next;
    else
        __atomic_store_n(&hp->large, (uint32_t)sp->next, __ATOMIC_RELAXED);
    __atomic_store_n(&hp->large_count, hp->large_count - 1, __ATOMIC_RELAXED);
    large_counted(hp, hp->large_bytes - sp->mapped_bytes);
    ph_map_clear_first(sp);
}

/* A mapping of its own for `bytes`; *zero says whether it is all zero.  NULL: no memory. */
struct span *ph_large_take(struct heap *hp, size_t bytes, size_t align, bool *zero)
{
    if (bytes > PTRDIFF_MAX - align - UNIT_BYTES)
        return NULL;
    const size_t os_page = ph_os_page_bytes();
    bool fenced = align <= 16 && fence_has_room(hp);
    size_t mapped = ph_round_up(bytes, os_page);
    struct span *sp = ph_span_new();
    if (sp == NULL)
        return NULL;
    if (align < os_page)
        align = os_page;
    char *base = fenced ? NULL : ph_kept_take(mapped, align, &mapped);
    *zero = base == NULL;
    if (base == NULL)
        base = fenced ? ph_fence_map(mapped) : ph_os_map(mapped, align);
    if (base == NULL && fenced) { /* the process has no mapping to spare, it may be */
        fenced = false;
        base = ph_os_map(mapped, align);
    }
    if (base != NULL && (hp->flags & HEAPF_EXECUTE) && ph_os_commit(base, mapped, true) != 0) {
        ph_os_unmap(base, mapped);
        base = NULL;
    }
    if (base == NULL || !ph_map_prepare(base, UNIT_BYTES)) {
        if (base != NULL && fenced)
            ph_fence_give(&(struct fenced){.base = base, .bytes = mapped});
        else if (base != NULL)
            ph_os_unmap(base, mapped);
        ph_span_drop(sp);
        return NULL;
    }
    sp->start = (uintptr_t)base >> UNIT_BITS;
    sp->tag = hp->tag | KIND_LARGE;
    sp->mapped_bytes = mapped;
    if (fenced) { /* what is behind its end is the fence, but for its alignment */
        sp->fenced = 1;
        sp->offset = (uint32_t)(mapped - ph_round_up(bytes, 16)) % UNIT_BYTES;
    }
    span_want(sp, bytes, false);
    ph_large_link(hp, sp);
    return sp;
}

static void fence_drop(struct span *sp)
{
    struct fenced fe = {.base = ph_span_start(sp), .bytes = sp->mapped_bytes, .block = ph_large_block(sp), .wanted = sp->wanted};
    ph_trace_here(&fe.freed, NULL);
    sp->fenced = 0;
    sp->offset = 0;
    ph_fence_give(&fe);
}

static void large_drop(struct heap *hp, struct span *sp)
{
    char *base = (char *)ph_span_start(sp);
    if (sp->slot == 0)
        lately_add(sp, ph_large_block(sp));
    if (slot_is_paged(sp->slot)) { /* its descriptor, too */
        ph_page_heap_give(hp, sp);
        return;
    }
    if (sp->slot != 0)
        ph_guard_give(hp, sp);
    else if (sp->fenced)
        fence_drop(sp);
    else if (sp->sized || (hp->flags & HEAPF_EXECUTE)) /* W32 3.5: it goes back to the system */
        ph_os_unmap(base, sp->mapped_bytes);
    else
        ph_kept_give(base, sp->mapped_bytes, __atomic_load_n(&hp->large_bytes, __ATOMIC_RELAXED));
    ph_span_drop(sp);
}

bool ph_large_give(struct heap *hp, void *block)
{
    ph_lock_take(&hp->span_lock);
    const uint64_t entry = map_get(block);
    struct span *sp = (uint32_t)entry == (hp->tag | KIND_LARGE) ? ph_span_at(entry_span(entry)) : NULL;
    if (sp != NULL && ph_large_block(sp) != block)
        sp = NULL; /* a slot has another block by now */
    if (sp != NULL)
        large_unlink(hp, sp);
    ph_lock_give(&hp->span_lock);
    if (sp != NULL)
        large_drop(hp, sp);
    return sp != NULL;
}

/* Move a mapping to a new place whose entry can be written; the place, or NULL and nothing done. */
static char *large_move(char *base, size_t old_bytes, size_t new_bytes)
{
    char *target = ph_os_reserve(new_bytes, ph_os_page_bytes());
    if (target == NULL)
        return NULL;
    if (ph_map_prepare(target, UNIT_BYTES) && ph_os_remap_to(base, old_bytes, target, new_bytes))
        return target;
    ph_os_unmap(target, new_bytes);
    return NULL;
}

/* Change the size of the mapping to *mapped; where it cannot stay, move it when allowed.  Where it is now; NULL:
 * nothing was done.  Held: the span lock. */
static char *large_stretch(const struct heap *hp, const struct span *sp, size_t *mapped, bool may_move)
{
    char *base = (char *)ph_span_start(sp);
    const size_t had = sp->mapped_bytes;
    const bool plain = !sp->fenced && sp->slot == 0 && !(hp->flags & HEAPF_EXECUTE);
    if (plain && *mapped > had && ph_kept_behind(base + had, *mapped - had))
        return base;
    if (*mapped == had || (sp->fenced ? ph_fence_shrink(base, had, *mapped) : ph_os_remap(base, had, *mapped)))
        return base;
    if (*mapped < had) {
        *mapped = had; /* W32 3.4: not growing is always possible */
        return base;
    }
    return !may_move ? NULL : sp->fenced ? ph_fence_move(base, had, *mapped) : large_move(base, had, *mapped);
}

/* Who grows by a little will grow again: where nobody asked for an exact size an eighth more is mapped, so that growing
 * in small steps asks the system rarely; and so little is not given back. */
static size_t large_wish(const struct span *sp, size_t mapped, bool exact)
{
    const size_t had = sp->mapped_bytes, little = had / SLACK_PART;
    if (exact || sp->fenced || sp->slot != 0)
        return mapped;
    if (mapped > had)
        return mapped - had < little ? ph_round_up(mapped + little, ph_os_page_bytes()) : mapped;
    return had - mapped <= little ? had : mapped;
}

/* For `bytes`, of which `wanted` were asked for.  On true sp->start says where it is now. */
bool ph_large_resize(struct heap *hp, struct span *sp, size_t bytes, size_t wanted, bool sized, bool may_move)
{
    if (bytes > PTRDIFF_MAX - UNIT_BYTES)
        return false;
    const size_t least = ph_round_up(sp->offset + bytes, ph_os_page_bytes());
    char *base = (char *)ph_span_start(sp);
    ph_lock_take(&hp->span_lock);
    size_t mapped = large_wish(sp, least, sized);
    char *now = large_stretch(hp, sp, &mapped, may_move);
    if (now == NULL && mapped > least) {
        mapped = least;
        now = large_stretch(hp, sp, &mapped, may_move);
    }
    if (now != NULL && now != base)
        lately_add(sp, ph_large_block(sp));
    if (now != NULL) {
        large_counted(hp, hp->large_bytes + mapped - sp->mapped_bytes);
        sp->mapped_bytes = mapped;
        span_want(sp, wanted, sized);
    }
    if (now != NULL && now != base) {
        ph_map_clear_first(sp);
        sp->start = (uintptr_t)now >> UNIT_BITS;
        ph_map_first(sp);
    }
    ph_lock_give(&hp->span_lock);
    return now != NULL;
}

void ph_large_forget(struct heap *hp)
{
    while (hp->large != SPAN_NONE)
        (void)ph_large_give(hp, ph_large_block(ph_span_at(hp->large)));
}
