/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* sized.c -- stacks of blocks that know their exact size; how a thread finds them by handle.
 *
 * Owns:    struct thread, the thread-local pointer to it; the pool of sized locals.
 * Calls:   shard.c, gate.c and local.c (beside); harden.h.  Never: heap.c.
 * Locks:   as local.c; `thread_lock` for the list of threads and the pool, below the gate.
 * Always:  a slot with a key names a local that its thread owns.  A heap that ends makes its locals
 *          dead: their stop fails the fast path's test, and only the owner, who clears the slot first,
 *          lets a dead one serve again.  So a slot never leads into another heap.
 * Why:     a program may have ten thousand heaps: a thread gets stacks for one when it has proved
 *          busy there, and finds them by two loads. */
#include "harden.h"
#include "stack.h"

#include "small.h"

enum { USES_TO_EARN = 32 };

const struct thread ph_thread_none = {.key = {SLOT_EMPTY(0)}}; /* nothing is found there */
#define NO_THREAD PH_NO_THREAD
__thread struct thread *ph_thread __attribute__((tls_model("initial-exec"))) = NO_THREAD;

static ph_lock thread_lock;
static struct thread *threads;
static struct local *pool; /* of no heap, linked by sibling */

void ph_sized_fork_lock(void) { ph_lock_fork_take(&thread_lock); }
void ph_sized_fork_unlock(void) { ph_lock_fork_give(&thread_lock); }

/* ---- threads ---------------------------------------------------------------------------------- */

static void slots_forget(struct thread *th)
{
    for (uint32_t slot = 0; slot < THREAD_SLOTS; slot++) {
        th->key[slot] = SLOT_EMPTY(slot);
        th->found[slot] = NULL;
        th->candidate[slot] = 0;
    }
    th->mine = th->hard = NULL;
}

static struct thread *thread_find_free(void)
{
    for (struct thread *th = threads; th != NULL; th = th->next)
        if (th->owner == NULL)
            return th;
    struct thread *th = ph_meta_take(sizeof *th);
    if (th != NULL) {
        slots_forget(th);
        th->next = threads;
        __atomic_store_n(&threads, th, __ATOMIC_RELEASE);
    }
    return th;
}

static struct thread *thread_mine(void)
{
    if (ph_thread != NO_THREAD)
        return ph_thread;
    if (!ph_local_may_attach())
        return NULL;
    ph_lock_take(&thread_lock);
    struct thread *th = thread_find_free();
    if (th != NULL)
        th->owner = ph_thread_self();
    ph_lock_give(&thread_lock);
    if (th == NULL)
        return NULL;
    ph_thread = th;
    return ph_local_at_exit(th) ? th : NULL;
}

static void slot_clear(struct thread *th, uint32_t slot)
{
    if (slot >= THREAD_SLOTS)
        return;
    th->key[slot] = SLOT_EMPTY(slot);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (th->found[slot] != NULL)
        th->found[slot]->found_at = THREAD_SLOTS;
    th->found[slot] = NULL;
}

static void slot_set(struct thread *th, const void *handle, struct local *lo)
{
    const uint32_t slot = thread_slot((uintptr_t)handle);
    slot_clear(th, slot);
    th->found[slot] = lo;
    lo->found_at = slot;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* a signal handler may allocate in between */
    th->key[slot] = (uintptr_t)handle;
}

/* ---- locals ----------------------------------------------------------------------------------- */

static void pool_give(struct local *lo)
{
    ph_lock_take(&thread_lock);
    lo->state = LOCAL_POOLED;
    lo->owner = NULL;
    lo->sibling = pool;
    pool = lo;
    ph_lock_give(&thread_lock);
}

static struct local *pool_take(void)
{
    ph_lock_take(&thread_lock);
    struct local *lo = pool;
    if (lo != NULL)
        pool = lo->sibling;
    ph_lock_give(&thread_lock);
    return lo;
}

/* One of this thread's whose heap has ended. */
static struct local *dead_mine(struct thread *th)
{
    for (struct local *lo = th->mine; lo != NULL; lo = lo->sibling)
        if (__atomic_load_n(&lo->heap, __ATOMIC_ACQUIRE) == NULL && lo->state == LOCAL_DEAD) {
            slot_clear(th, lo->found_at);
            return lo;
        }
    return NULL;
}

static void mine_add(struct thread *th, struct local *lo)
{
    lo->sibling = th->mine;
    lo->elder = NULL;
    if (lo->sibling != NULL)
        lo->sibling->elder = lo;
    th->mine = lo;
}

static void mine_remove(struct thread *th, struct local *gone)
{
    if (gone->sibling != NULL)
        gone->sibling->elder = gone->elder;
    if (gone->elder != NULL)
        gone->elder->sibling = gone->sibling;
    else
        th->mine = gone->sibling;
}

/* For this thread in that heap: one that stayed there, a dead one, a pooled one, a new one.  Held: the
 * gate lock. */
static struct local *local_for(struct heap *hp, struct thread *th)
{
    struct local *lo = ph_local_adopt(hp, 2);
    if (lo != NULL) {
        lo->found_at = THREAD_SLOTS;
        mine_add(th, lo);
        return lo;
    }
    if ((lo = dead_mine(th)) == NULL) {
        if ((lo = pool_take()) == NULL && (lo = ph_meta_take(SIZED_WHOLE_BYTES)) == NULL)
            return NULL;
        lo->found_at = THREAD_SLOTS;
        mine_add(th, lo);
    }
    ph_local_shape(lo, hp, 2);
    ph_local_add(hp, lo);
    return lo;
}

/* In secure and tolerant mode each malloc and free passes its thread's local that has no stacks, and writes there that it
 * is busy: to a line of its own, for one that all threads write is waited for each time. */
static void none_attach(struct thread *th)
{
    if (th->none == NULL && (th->none = ph_meta_take(sizeof *th->none)) != NULL) {
        th->none->tag = TAG_STOPPED;
        for (unsigned c = 0; c < CLASS_COUNT; c++)
            th->none->stack[c] = ph_local_none.stack[c];
    }
    if (th->none != NULL && ph_local == &ph_local_none)
        ph_local = th->none;
}

static struct local *sized_attach(struct heap *hp, struct thread *th)
{
    ph_lock_take(&hp->gate.lock);
    struct local *lo = local_for(hp, th);
    if (lo != NULL && hp->hard != 0 && lo->late == NULL)
        lo->late = ph_meta_take(sizeof *lo->late); /* without: freed blocks may be taken again at once */
    if (lo != NULL)
        ph_local_own(hp, lo);
    ph_lock_give(&hp->gate.lock);
    if (lo != NULL)
        slot_set(th, hp->handle, lo);
    if (lo != NULL && lo->late != NULL)
        th->hard = lo;
    if (lo != NULL && hp->hard != 0)
        none_attach(th);
    return lo;
}

/* Two heaps may share a slot: the local is found in the heap's list then, and takes the slot. */
struct local *ph_sized_local(struct heap *hp)
{
    struct thread *th = ph_thread;
    if (th == NO_THREAD || th->mine == NULL)
        return NULL;
    const uint32_t slot = thread_slot((uintptr_t)hp->handle);
    if (th->key[slot] == (uintptr_t)hp->handle && th->found[slot]->heap == hp)
        return th->found[slot];
    for (struct local *lo = __atomic_load_n(&hp->locals, __ATOMIC_ACQUIRE); lo != NULL; lo = lo->next)
        if (lo->stride == 2 && __atomic_load_n(&lo->owner, __ATOMIC_RELAXED) == ph_thread_self() &&
            __atomic_load_n(&lo->state, __ATOMIC_ACQUIRE) == LOCAL_OWNED) {
            slot_clear(th, lo->found_at);
            slot_set(th, hp->handle, lo);
            return lo;
        }
    return NULL;
}

struct local *ph_sized_earned(struct heap *hp)
{
    if (hp->packed_only)
        return NULL;
    struct local *lo = ph_sized_local(hp);
    if (lo != NULL)
        return lo;
    struct thread *th = thread_mine();
    if (th == NULL)
        return NULL;
    const uintptr_t key = (uintptr_t)hp->handle;
    const uint32_t slot = thread_slot(key);
    if (th->candidate[slot] != key) {
        th->candidate[slot] = key;
        th->uses[slot] = 0;
    }
    if (++th->uses[slot] < USES_TO_EARN && hp->hard == 0)
        return NULL;
    th->candidate[slot] = 0;
    return sized_attach(hp, th);
}

/* W32 3.2: a thread that never comes back to the heap keeps its slot, which leads to a stopped local. */
void ph_sized_forget(struct heap *hp)
{
    struct local *lo = hp->locals;
    hp->locals = NULL;
    hp->local_count = 0;
    hp->locals_seal = locals_seal(hp);
    while (lo != NULL) {
        struct local *next = lo->next;
        ph_gate_unbias(lo);
        const bool owned = lo->state == LOCAL_OWNED, mine = owned && lo->owner == ph_thread_self();
        if (owned && !mine)
            __atomic_store_n(&lo->state, LOCAL_DEAD, __ATOMIC_RELAXED);
        __atomic_store_n(&lo->heap, NULL, __ATOMIC_RELEASE); /* from here on it is its owner's alone */
        if (mine) {
            mine_remove(ph_thread, lo);
            slot_clear(ph_thread, lo->found_at);
        }
        if (mine || !owned)
            pool_give(lo);
        lo = next;
    }
}

void ph_sized_detach_all(void)
{
    struct thread *th = ph_thread;
    if (th == NO_THREAD)
        return;
    ph_thread = NO_THREAD;
    for (struct local *lo = th->mine, *next; lo != NULL; lo = next) {
        next = lo->sibling;
        lo->found_at = THREAD_SLOTS;
        if (!ph_local_detach(lo)) /* else another thread may have it by now */
            pool_give(lo);
    }
    slots_forget(th);
    ph_lock_take(&thread_lock);
    th->owner = NULL;
    ph_lock_give(&thread_lock);
}

struct thread *ph_sized_thread_of(const void *owner)
{
    for (struct thread *th = __atomic_load_n(&threads, __ATOMIC_ACQUIRE); th != NULL; th = th->next)
        if (th->owner == owner)
            return th;
    return NULL;
}

/* What the vanished threads had is free; their locals stay with their heaps as strays.  Held: the
 * thread lock. */
void ph_sized_fork_child(void)
{
    for (struct thread *th = threads; th != NULL; th = th->next) {
        if (th->owner == ph_thread_self()) /* ph_thread may be hidden: see nested.c */
            continue;
        slots_forget(th);
        th->owner = NULL;
    }
}

/* Where a block stands among its neighbours is nobody's guess.  Among its neighbours only: blocks that a program takes one
 * after the other it reads so, too, and a thousand of them in any order cost lua 30 % of its time. */
static void shuffle(struct sized_entry *entry, unsigned count, uint64_t dice)
{
    enum { NEAR = 8 };
    for (unsigned left = count; left > 1; left--) {
        dice = (dice ^ dice >> 29) * HASHKEY;
        const unsigned low = (left - 1) / NEAR * NEAR, other = low + (unsigned)((dice >> 32) * (left - low) >> 32);
        const struct sized_entry held = entry[left - 1];
        entry[left - 1] = entry[other];
        entry[other] = held;
    }
}

/* What was just taken from pages.  Nobody reads it before it is memory: see hard_touch. */
static void prepare(struct local *lo, const struct stack *st, unsigned class)
{
    struct sized_entry *entry = (struct sized_entry *)(void *)stack_bottom(lo, st);
    const unsigned count = stack_count(lo, st);
    shuffle(entry, count, (ph_secret ^ lo->refills) * HASHKEY);
    for (unsigned i = 0; ph_class_bytes[class] <= TOUCHED_BYTES && i < count; i++)
        hard_touch(entry[i].block);
}

/* ---- taking and giving ------------------------------------------------------------------------ */

/* Busy on entry and biased. */
static void *take_biased(struct local *lo, unsigned class, size_t wanted)
{
    struct stack *st = &lo->stack[class];
    void *block = NULL;
    if (unlikely(!stack_has_room(st)))
        ph_stack_open(lo, st, class);
    if (stack_count(lo, st) == 0) {
        ph_shard_refill_sized(lo->heap, KIND_SIZED + class, st, stack_cap(lo, st));
        if (++lo->refills % REFILLS_PER_CLOCK == 0)
            ph_local_expire(lo);
        ph_stack_widen(lo, st, class);
        if (lo->heap->hard == MODE_SECURE)
            prepare(lo, st, class);
    }
    while (stack_count(lo, st) > 0 && block == NULL) {
        const struct sized_entry *entry = (struct sized_entry *)(void *)st->top - 1;
        if (__atomic_load_n(entry->place, __ATOMIC_RELAXED) == 0) { /* else two threads freed it at once, and it was taken since */
            block = entry->block;
            __atomic_store_n(entry->place, size_code(class, wanted), __ATOMIC_RELAXED);
        }
        __atomic_store_n(&st->top, st->top - 2, __ATOMIC_RELAXED);
    }
    local_leave(lo);
    return block;
}

void *ph_sized_take(struct local *lo, unsigned class, size_t wanted)
{
    local_enter(lo);
    if (likely(__atomic_load_n(&lo->biased, __ATOMIC_RELAXED)))
        return take_biased(lo, class, wanted);
    local_leave(lo);
    return NULL;
}

/* Busy on entry and biased: the entry is a sized page's of this heap. */
static bool give_biased(struct local *lo, void *block, uint64_t entry, unsigned class)
{
    struct stack *st = &lo->stack[class];
    uint16_t *place = sized_place(entry, block);
    if (unlikely(!stack_has_room(st)))
        ph_stack_open(lo, st, class);
    if (st->top >= st->limit)
        ph_stack_widen(lo, st, class);
    if (st->top >= st->limit)
        ph_shard_flush_sized(lo->heap, KIND_SIZED + class, st, stack_bottom(lo, st), stack_flush_count(lo, st, class));
    /* a live block's page cannot go away, so the place is read after the flush */
    const bool live = place != NULL && map_get(block) == entry && __atomic_load_n(place, __ATOMIC_RELAXED) != 0;
    if (live) {
        __atomic_store_n(place, 0, __ATOMIC_RELAXED);
        if (lo->late != NULL) {
            ph_late_enter(lo, block, place, class);
        } else {
            *(struct sized_entry *)(void *)st->top = (struct sized_entry){block, place};
            __atomic_store_n(&st->top, st->top + 2, __ATOMIC_RELAXED);
        }
    }
    local_leave(lo);
    return live;
}

bool ph_sized_give(struct local *lo, void *block)
{
    local_enter(lo);
    const uint64_t entry = map_get(block);
    const uint32_t class = (uint32_t)entry - (lo->heap->tag | KIND_SIZED);
    if (likely(__atomic_load_n(&lo->biased, __ATOMIC_RELAXED)) && class < CLASS_COUNT)
        return give_biased(lo, block, entry, class);
    local_leave(lo);
    return false;
}
