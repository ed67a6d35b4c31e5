/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* gate.c -- the biased critical section: be inside a heap, stop a heap, let it go on.
 *
 * Owns:    struct gate; check, tag, biased and busy of locals.
 * Calls:   os.c, invariant.  Beside local.c: reads its list of locals.
 * Locks:   LOCK gate; waits for LOCK heaplock without it.
 * Always:  check is the secret exactly when tag is the heap's, and biased says so, but in a hard heap; a local is biased only while nobody owns
 *          HeapLock; a thread that waits here is not busy.
 * Why:     one lock for all costs 10 ns an operation and does not scale; a store and a load that
 *          nobody else writes cost 0.5 ns, and only the rare stop pays for the barrier. */
#include "hot.h"
#include "valid.h"

#include "small.h"

enum {
    LOOKS = 400,           /* before the sleeps in wait_until_out: some 10 us */
    DRAIN_NS = 1000 * 1000, /* a store is seen by all long before */
    STOPS_APART_MS = 100,  /* farther apart: no backoff */
    BACKOFF_MOST_MS = 50,
    SEEN_MS = 10,          /* a store of one processor is seen by all by then */
    DOZE_NS = 50 * 1000 * 1000, /* whoever waits for HeapLock looks again: a filter may refuse the call that wakes it */
};

/* ---- bias ------------------------------------------------------------------------------------- */

bool ph_gate_bias(struct local *lo)
{
    struct heap *hp = lo->heap;
    if (hp->gate.owner != NULL || hp->gate.no_membarrier || ph_must_do_without())
        return false;
    if (hp->gate.rebias_ms != 0 && ph_os_clock_ms() < hp->gate.rebias_ms)
        return false;
    hp->gate.rebias_ms = 0;
    hp->gate.emptied = 0;
    const bool plain = lo->stride == 1;
    if (hp->hard == 0) { /* else all goes the slow way */
        __atomic_store_n(&lo->tag, hp->tag | (plain ? KIND_PLAIN : KIND_SIZED), __ATOMIC_RELAXED);
        __atomic_store_n(&lo->check, !plain ? 0 : lo->watch != 0 ? CHECK_STOPPED : ph_secret, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&lo->biased, FLAG_SET, __ATOMIC_RELAXED);
    return true;
}

/* Held: the gate lock. */
void ph_gate_unbias(struct local *lo)
{
    __atomic_store_n(&lo->biased, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&lo->check, lo->stride == 1 ? CHECK_STOPPED : SIZED_STOPPED, __ATOMIC_RELAXED);
    __atomic_store_n(&lo->tag, TAG_STOPPED, __ATOMIC_RELAXED);
}

/* Waiting grows: looks, then sleeps of 1 us to 1 ms; the one inside may have been preempted. */
static void wait_until_out(const struct local *lo)
{
    for (unsigned i = 0; __atomic_load_n(&lo->busy, __ATOMIC_ACQUIRE) != 0; i++) {
        if (i == LOOKS)
            ph_lock_fork_look();
        if (i < LOOKS)
            CPU_RELAX();
        else
            ph_os_sleep(1000u << (i - LOOKS < 10 ? i - LOOKS : 10));
    }
}

/* Without the barrier of the kernel: whoever was inside has seen the stop after 10 ms, and from
 * now on this heap is served under its lock. */
static void wait_without_membarrier(struct gate *gt)
{
    gt->no_membarrier = FLAG_SET;
    const uint64_t begun = ph_os_clock_ms();
    do { /* a signal ends a sleep early, and a filter may allow none */
        ph_os_sleep(SEEN_MS * 1000 * 1000);
        ph_os_yield();
    } while (ph_os_clock_ms() - begun <= SEEN_MS);
}

static void note_stop(struct gate *gt)
{
    const uint64_t now = ph_os_clock_ms();
    if (now - gt->stopped_ms > STOPS_APART_MS)
        gt->backoff_ms = 0;
    else
        gt->backoff_ms = gt->backoff_ms == 0 ? 1 : gt->backoff_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : gt->backoff_ms * 2;
    gt->stopped_ms = now;
    gt->rebias_ms = now + gt->backoff_ms;
    gt->stops++;
}

/* Take the bias of every local away and wait until nobody is inside.  Held: the gate lock.  Plainly:
 * with no system call but a sleep, for a program that dies of others. */
static void gate_stop(struct heap *hp, bool plainly)
{
    bool any = false, others = false;
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next) {
        if (!lo->biased)
            continue;
        any = true;
        others |= lo->owner != ph_thread_self();
        ph_gate_unbias(lo);
    }
    if (!any)
        return;
    note_stop(&hp->gate);
    if (others && plainly)
        ph_os_sleep(DRAIN_NS);
    else if (others && !ph_os_membarrier())
        wait_without_membarrier(&hp->gate);
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next)
        if (lo->owner != ph_thread_self())
            wait_until_out(lo);
}

void ph_gate_stop(struct heap *hp) { gate_stop(hp, false); }

/* ---- entering --------------------------------------------------------------------------------- */

/* One that cannot have locked the heap is nobody to wait for: somebody else wrote there. */
static bool is_locked_by_another(const struct gate *gt)
{
    return gt->owner != NULL && gt->owner != ph_thread_self() && gt->seal == owner_seal(gt);
}

/* Take the gate lock; unless told not to wait, not before HeapLock is free or ours. */
static void gate_take(struct heap *hp, enum enter enter)
{
    struct gate *gt = &hp->gate;
    ph_lock_take(&gt->lock);
    while (enter == ENTER_PATIENTLY && is_locked_by_another(gt)) {
        const uint32_t turn = gt->turn;
        gt->waiters++;
        ph_lock_give(&gt->lock);
        ph_lock_fork_look();
        ph_os_wait(&gt->turn, turn, DOZE_NS);
        ph_lock_take(&gt->lock);
        gt->waiters--;
    }
}

/* This thread's local of that heap, plain or sized: either keeps a stop out. */
static struct local *local_of(struct heap *hp)
{
    return ph_local->heap == hp ? ph_local : ph_sized_local(hp);
}

/* Be inside: busy in this thread's own local when it is biased or can be again, else under the
 * gate lock.  The caller then takes leaf locks only, and leaves soon. */
struct pass ph_gate_enter(struct heap *hp, enum enter enter)
{
    if (enter == ENTER_NOT)
        return (struct pass){.none = true};
    struct local *lo = local_of(hp);
    if (lo != NULL) {
        local_enter(lo);
        if (__atomic_load_n(&lo->biased, __ATOMIC_RELAXED))
            return (struct pass){.lo = lo};
        local_leave(lo);
    }
    gate_take(hp, enter);
    if (lo == NULL || !ph_gate_bias(lo))
        return (struct pass){.lo = NULL};
    local_enter(lo);
    ph_lock_give(&hp->gate.lock);
    return (struct pass){.lo = lo};
}

/* Be inside under the gate lock, as packed memory needs it; others may be busy elsewhere. */
struct pass ph_gate_enter_locked(struct heap *hp, enum enter enter)
{
    if (enter == ENTER_NOT)
        return (struct pass){.none = true};
    gate_take(hp, enter);
    return (struct pass){.lo = NULL};
}

/* W32 3.9: what only reads waits for HeapLock too. */
void ph_gate_wait(struct heap *hp)
{
    if (__atomic_load_n(&hp->gate.owner, __ATOMIC_ACQUIRE) == NULL)
        return;
    gate_take(hp, ENTER_PATIENTLY);
    ph_lock_give(&hp->gate.lock);
}

/* Let a local's owner go the fast way again, if it may by now. */
void ph_gate_rebias(struct local *lo, enum enter enter)
{
    struct heap *hp = lo->heap;
    gate_take(hp, enter);
    (void)ph_gate_bias(lo);
    ph_lock_give(&hp->gate.lock);
}

void ph_gate_leave(struct heap *hp, struct pass ps)
{
    if (ps.lo != NULL)
        local_leave(ps.lo);
    else if (!ps.none)
        ph_lock_give(&hp->gate.lock);
}

void ph_gate_close(struct heap *hp, enum enter enter)
{
    ph_lock_fork_look();
    gate_take(hp, enter);
    ph_gate_stop(hp);
}

void ph_gate_close_plainly(struct heap *hp)
{
    gate_take(hp, ENTER_UNLOCKED);
    gate_stop(hp, true);
}

/* Closed, if nobody else needs to be stopped for it; false: not. */
bool ph_gate_close_alone(struct heap *hp)
{
    bool others = false;
    gate_take(hp, ENTER_UNLOCKED);
    for (const struct local *lo = hp->locals; lo != NULL; lo = lo->next)
        others |= lo->biased && lo->owner != ph_thread_self();
    if (others || is_locked_by_another(&hp->gate)) {
        ph_lock_give(&hp->gate.lock);
        return false;
    }
    ph_gate_stop(hp);
    return true;
}

void ph_gate_open(struct heap *hp) { ph_lock_give(&hp->gate.lock); }

/* ---- HeapLock --------------------------------------------------------------------------------- */

/* W32 3.9: waits for another owner, recursive, holds off every other thread. */
void ph_gate_heap_lock(struct heap *hp)
{
    ph_gate_close(hp, ENTER_PATIENTLY);
    __atomic_store_n(&hp->gate.owner, ph_thread_self(), __ATOMIC_RELAXED);
    hp->gate.depth++;
    hp->gate.seal = owner_seal(&hp->gate);
    ph_lock_give(&hp->gate.lock);
}

/* W32 3.9: false, and nothing done, for a thread that does not own it. */
bool ph_gate_heap_unlock(struct heap *hp)
{
    struct gate *gt = &hp->gate;
    ph_lock_take(&gt->lock);
    const bool mine = gt->owner == ph_thread_self();
    bool wake = false;
    if (mine && --gt->depth == 0) {
        __atomic_store_n(&gt->owner, NULL, __ATOMIC_RELEASE);
        __atomic_add_fetch(&gt->turn, 1, __ATOMIC_RELAXED);
        wake = gt->waiters > 0;
    }
    if (mine)
        gt->seal = owner_seal(gt);
    ph_lock_give(&gt->lock);
    if (wake)
        ph_os_wake(&gt->turn, UINT32_MAX >> 1);
    return mine;
}

/* For the next heap of this descriptor; whoever waits finds the heap gone. */
void ph_gate_reset(struct heap *hp)
{
    struct gate *gt = &hp->gate;
    const bool wake = gt->waiters > 0;
    __atomic_store_n(&gt->owner, NULL, __ATOMIC_RELAXED);
    gt->depth = gt->stops = gt->backoff_ms = gt->no_membarrier = gt->emptied = 0;
    gt->rebias_ms = gt->stopped_ms = gt->seal = 0;
    __atomic_add_fetch(&gt->turn, 1, __ATOMIC_RELAXED);
    if (wake)
        ph_os_wake(&gt->turn, UINT32_MAX >> 1);
}

/* In the child the forking thread is alone: what a thread that is gone held or waited for is free.
 * `interrupted`: prepare did not take the gate lock, so somebody else may have had it. */
void ph_gate_fork_child(struct heap *hp, bool interrupted)
{
    struct gate *gt = &hp->gate;
    if (interrupted && !ph_lock_is_mine(&gt->lock))
        gt->lock = 0;
    gt->waiters = 0;
    if (gt->owner != NULL && gt->owner != ph_thread_self()) {
        gt->owner = NULL;
        gt->depth = 0;
        gt->seal = 0;
    }
}

/* ---- reading ---------------------------------------------------------------------------------- */

bool ph_gate_is_valid(const struct gate *gt)
{
    return gt->seal == owner_seal(gt) && (gt->owner != NULL) == (gt->depth != 0) && flag_is_good(gt->no_membarrier) &&
           flag_is_good(gt->emptied) && gt->backoff_ms <= BACKOFF_MOST_MS &&
           (gt->rebias_ms == 0 || gt->rebias_ms == gt->stopped_ms + gt->backoff_ms);
}
