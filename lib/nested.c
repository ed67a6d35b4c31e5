/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* nested.c -- what a signal handler may do that interrupted this thread in the middle of an operation.
 *
 * Owns:    ph_nest.
 * Calls:   sized.c (beside), os.c.
 * Locks:   none: it runs in signal handlers.
 * Always:  while ph_nest is set, the thread has no stacks (ph_local_none, ph_thread_none), so that each of its calls
 *          takes a slow path and asks here; the interrupted operation's local stays busy, so nobody stops that heap.
 * Why:     the usual case has no instruction to spare for the question whether it interrupted itself.  Who
 *          calls handlers (preload/signals.c) answers it before each, and takes the stacks away. */
#include "stack.h"

#include "small.h"

bool ph_nested_ever;
__thread uintptr_t ph_nest __attribute__((tls_model("initial-exec")));

enum { ON_SIGNAL_STACK = 1 };

/* Stacks grow down: who runs above the handler's frame runs after it.  A handler with a stack of its
 * own is left when that stack is. */
static bool is_left(void)
{
    const bool there = ph_os_on_signal_stack(), then = ph_nest & ON_SIGNAL_STACK;
    return there != then ? then : (uintptr_t)__builtin_frame_address(0) > (ph_nest & ~(uintptr_t)ON_SIGNAL_STACK);
}

static bool is_busy(const struct local *lo) { return lo->busy != 0 && __atomic_load_n(&lo->heap, __ATOMIC_RELAXED) != NULL; }

/* A stop that finds no bias waits for nobody: who is busy without one has yet to find out that it may not go in. */
static bool holds_off(const struct local *lo, const struct heap *hp)
{
    return is_busy(lo) && __atomic_load_n(&lo->heap, __ATOMIC_RELAXED) == hp && __atomic_load_n(&lo->biased, __ATOMIC_RELAXED) != 0;
}

static bool any_is_busy(const struct local *lo, const struct thread *th)
{
    bool busy = lo != NULL && is_busy(lo);
    for (lo = th != NULL ? th->mine : NULL; lo != NULL && !busy; lo = lo->sibling)
        busy = is_busy(lo);
    return busy;
}

/* What ph_local was before it was hidden: asked of the heap, for the frame that knows may be gone. */
static struct local *plain_local(void)
{
    struct local *lo = __atomic_load_n(&ph_process_heap.locals, __ATOMIC_ACQUIRE);
    while (lo != NULL && (lo->stride != 1 || __atomic_load_n(&lo->owner, __ATOMIC_RELAXED) != ph_thread_self()))
        lo = lo->next;
    return lo;
}

/* Its operation never goes on.  Whoever stops the heap meanwhile looks at each block, as we then do. */
static void local_abandon(struct local *lo)
{
    struct heap *hp = __atomic_load_n(&lo->heap, __ATOMIC_ACQUIRE); /* it may be ending */
    if (hp == NULL || (lo->busy == 0 && !lo->left)) /* left: a handler came while we were at it */
        return;
    __atomic_store_n(&lo->left, 1, __ATOMIC_RELAXED);
    ph_runs_settle(lo);
    local_leave(lo);
    ph_lock_take(&hp->gate.lock);
    if (lo->heap == hp && lo->left)
        ph_local_empty(lo);
    ph_lock_give(&hp->gate.lock);
}

void ph_nested_abandon(struct local *lo, const struct thread *th)
{
    if (lo != NULL)
        local_abandon(lo);
    for (lo = th != NULL ? th->mine : NULL; lo != NULL; lo = lo->sibling)
        local_abandon(lo);
}

/* The handler was left by siglongjmp: its frame is gone, and so is what it says. */
static COLD void leave_nest(void)
{
    struct local *lo = plain_local();
    struct thread *th = ph_sized_thread_of(ph_thread_self());
    ph_nested_abandon(lo, th);
    if (lo != NULL)
        ph_local = lo;
    if (th != NULL)
        ph_thread = th;
    if (lo == NULL && th != NULL && th->none != NULL)
        ph_local = th->none;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* a handler in between must not make new ones */
    ph_nest = 0;
}

COLD bool ph_nested_still(void)
{
    if (ph_nest != 0 && ph_locks_held == 0 && is_left())
        leave_nest();
    return ph_nest != 0 || ph_locks_held != 0;
}

bool ph_nested_begin(struct nest *ne)
{
    *ne = (struct nest){ph_local, ph_thread, ph_nest}; /* none while it is nested already; real ones while that begins or ends */
    if ((ph_locks_held == 0 && !any_is_busy(ph_local, ph_thread)) ||
        (ph_nest != 0 && ph_local == &ph_local_none && ph_thread == PH_NO_THREAD))
        return false;
    ph_nested_ever = true;
    ph_nest = (uintptr_t)ne | (ph_os_on_signal_stack() ? ON_SIGNAL_STACK : 0);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* who has no stacks is known to be nested */
    ph_local = &ph_local_none;
    ph_thread = PH_NO_THREAD;
    return true;
}

void ph_nested_end(const struct nest *ne)
{
    ph_local = ne->local;
    ph_thread = ne->thread;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ph_nest = ne->before;
}

/* This thread jumps to that stack pointer: out of the handler, or to a place within it. */
void ph_nested_jump(uintptr_t target)
{
    const uintptr_t frame = ph_nest & ~(uintptr_t)ON_SIGNAL_STACK, here = (uintptr_t)__builtin_frame_address(0);
    if (ph_locks_held == 0 && here < frame && (target < here || target > frame))
        leave_nest();
}

bool ph_nested_is_inside(const struct heap *hp)
{
    if (ph_nest == 0 || ph_locks_held != 0)
        return false;
    const struct local *lo = hp == &ph_process_heap ? plain_local() : NULL;
    const struct thread *th = ph_sized_thread_of(ph_thread_self());
    bool inside = lo != NULL && holds_off(lo, hp);
    for (lo = th != NULL ? th->mine : NULL; lo != NULL && !inside; lo = lo->sibling)
        inside = holds_off(lo, hp);
    return inside;
}
