/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* settle.c -- a program that freed much and does little since: what it keeps for later goes back.
 *
 * Owns:    watch, watched, watch_ms of locals; drain of a class (with depot.c).
 * Calls:   gate.c, local.c (beside), shard.c, depot.c, purge.c, forget.c, kept.c, region.c, clock.c.
 * Locks:   none on entry, or the local is busy, as said.  Takes: gate, then what emptying takes; never while busy.
 * Always:  a watched local's check is wrong on purpose while it is biased: only its mallocs go the slow way.
 * Why:     a thread whose few blocks all come from its stacks never looks at the clock, and nobody else does: there is
 *          no thread of ours.  A class that is flushed again and again and never refilled drains: its stack is
 *          emptied whole, because each block there may hold a page, and the mallocs of all threads are looked at from
 *          then on.  Many in a short time: the program is busy, all is as before.  Few of them until the delay is
 *          over: everything that is not in use goes.  Slow mallocs cost 30 ns each, BUSY_FIRST of them 30 us. */
#include "depot.h"
#include "options.h"
#include "stack.h"

#include "small.h"

enum {
    BUSY_FIRST = 1000,   /* so many mallocs, */
    BUSY_EACH_MS = 100,  /* and so many more for each millisecond, are light work */
    AGAIN_MS = 20,       /* who was found busy is left alone so long */
};

/* ---- watching ----------------------------------------------------------------------------------- */

/* Held: the gate lock. */
static void watch_begin(struct local *lo)
{
    __atomic_store_n(&lo->watch_ms, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&lo->watch, FLAG_SET, __ATOMIC_RELAXED);
    __atomic_store_n(&lo->check, CHECK_STOPPED, __ATOMIC_RELAXED);
}

/* Held: the gate lock. */
static void watch_end(struct local *lo)
{
    __atomic_store_n(&lo->watch, 0, __ATOMIC_RELAXED);
    if (lo->biased)
        __atomic_store_n(&lo->check, ph_secret, __ATOMIC_RELAXED);
}

static bool is_watched(const struct local *lo) { return __atomic_load_n(&lo->watch, __ATOMIC_RELAXED) != 0; }

/* A class of this local drains.  Not busy. */
void ph_settle_watch(struct local *lo)
{
    struct heap *hp = lo->heap;
    const uint64_t before = __atomic_load_n(&hp->settle_ms, __ATOMIC_RELAXED);
    if (is_watched(lo) || ph_option(OPT_PURGE_DELAY) == 0 || ph_os_clock_ms() - before < AGAIN_MS)
        return;
    ph_lock_take(&hp->gate.lock);
    for (struct local *other = hp->locals; other != NULL; other = other->next)
        if (other->stride == 1 && other->state == LOCAL_OWNED && !is_watched(other))
            watch_begin(other);
    if (ph_purge_sheds(hp))
        ph_local_empty(lo);
    ph_lock_give(&hp->gate.lock);
}

/* Everything that is not in use goes, but not while another thread has the heap locked.  W32 3.9 */
static void settle(struct heap *hp)
{
    ph_gate_close_plainly(hp);
    const bool free = hp->gate.owner == NULL;
    if (free) {
        ph_local_empty_all(hp);
        ph_shard_trim(hp);
        (void)ph_span_release(hp);
        ph_purge_all(hp);
    }
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next)
        if (lo->stride == 1)
            watch_end(lo);
    ph_gate_open(hp);
    if (free) {
        (void)ph_kept_trim();
        ph_region_trim();
    }
}

/* A malloc of a watched local.  Busy on entry, and again on return. */
void ph_settle_look(struct local *lo)
{
    struct heap *hp = lo->heap;
    const uint64_t now = ph_os_clock_ms(), since = __atomic_load_n(&lo->watch_ms, __ATOMIC_RELAXED);
    if (since == 0) { /* the first */
        __atomic_store_n(&lo->watch_ms, now, __ATOMIC_RELAXED);
        lo->watched = 0;
        return;
    }
    const bool light = ++lo->watched <= BUSY_FIRST + BUSY_EACH_MS * (now - since);
    if (light && now - since < ph_option(OPT_PURGE_DELAY))
        return;
    const uintptr_t frame = lo->busy;
    local_leave(lo);
    if (light) {
        settle(hp);
    } else {
        __atomic_store_n(&hp->settle_ms, now, __ATOMIC_RELAXED);
        ph_lock_take(&hp->gate.lock);
        watch_end(lo);
        ph_lock_give(&hp->gate.lock);
    }
    __atomic_store_n(&lo->busy, frame, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* ---- full stacks ---------------------------------------------------------------------------------- */

/* Refills widen it again. */
static void stack_narrow(struct local *lo, struct stack *st, unsigned class)
{
    const unsigned cap = stack_cap(lo, st), first = stack_cap_first(class);
    if (cap <= first)
        return;
    lo->deep &= ~(1ULL << class);
    lo->cap_bytes -= (cap - first) * ph_class_bytes[class];
    st->limit = stack_bottom(lo, st) + first * lo->stride;
}

/* A stack that is full makes room.  Busy on entry.  Whether much of its class was freed
 * and nothing taken; then, where the heap has shed more than it has, the stack is given away whole. */
bool ph_settle_overflow(struct local *lo, struct stack *st, unsigned class)
{
    const bool much = ph_depot_drains(lo->heap, KIND_PLAIN + class);
    const bool drains = (much || is_watched(lo)) && ph_purge_sheds(lo->heap);
    if (!drains)
        ph_stack_overflows(lo, st, class);
    if (st->top < st->limit)
        return much;
    const unsigned count = drains ? stack_count(lo, st) : stack_flush_count(lo, st, class);
    ph_shard_flush(lo->heap, KIND_PLAIN + class, st, stack_bottom(lo, st), count, drains ? FLUSH_DRAIN : FLUSH_TO_DEPOT);
    if (drains)
        stack_narrow(lo, st, class);
    return much;
}
