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

__thread uintptr_t ph_nest __attribute__((tls_model("initial-exec")));

enum { ON_SIGNAL_STACK = 1 };

static struct nest *nest_of(uintptr_t word) { return (struct nest *)(word & ~(uintptr_t)ON_SIGNAL_STACK); }

/* Stacks grow down: who runs above the handler's frame runs after it.  A handler with a stack of its
 * own is left when that stack is. */
static bool is_left(uintptr_t here)
{
    const bool there = ph_os_on_signal_stack(), then = ph_nest & ON_SIGNAL_STACK;
    return there != then ? then : here > (ph_nest & ~(uintptr_t)ON_SIGNAL_STACK);
}

static bool is_inside(const struct nest *ne, const struct heap *hp)
{
    bool inside = ne->local->heap != NULL && ne->local->busy != 0 && (hp == NULL || ne->local->heap == hp);
    for (const struct local *lo = ne->thread->mine; lo != NULL && !inside; lo = lo->sibling)
        inside = lo->busy != 0 && (hp == NULL || lo->heap == hp);
    return inside;
}

/* Its operation never goes on: whoever takes this local over must look at each block. */
static void local_leave_behind(struct local *lo)
{
    lo->state = LOCAL_STRAY;
    lo->seal = local_seal(lo);
    __atomic_store_n(&lo->owner, NULL, __ATOMIC_RELAXED);
    local_leave(lo);
}

void ph_nested_abandon(struct local *lo, struct thread *th)
{
    if (lo != NULL && lo->heap != NULL && lo->busy != 0)
        local_leave_behind(lo);
    if (th != NULL)
        ph_sized_abandon(th, local_leave_behind);
}

/* The handler was left by siglongjmp: its frame is gone, and so is what it says. */
static COLD void leave_nest(void)
{
    struct local *lo = ph_process_heap.locals;
    while (lo != NULL && (lo->owner != ph_thread_self() || lo->stride != 1))
        lo = lo->next;
    struct thread *th = ph_sized_thread_of(ph_thread_self());
    const bool stays = lo == NULL || lo->busy == 0;
    ph_nested_abandon(lo, th);
    ph_nest = 0;
    if (lo != NULL && stays)
        ph_local = lo;
    if (th != NULL)
        ph_thread = th;
}

COLD bool ph_nested_still(void)
{
    if (ph_nest != 0 && is_left((uintptr_t)__builtin_frame_address(0)))
        leave_nest();
    return ph_nest != 0 || ph_locks_held != 0;
}

bool ph_nested_begin(struct nest *ne)
{
    if (unlikely(ph_nest != 0) && is_left((uintptr_t)ne))
        leave_nest();
    *ne = (struct nest){ph_local, ph_thread}; /* real ones also while the end of another is halfway */
    if (ph_locks_held == 0 && !is_inside(ne, NULL))
        return false;
    if (ph_nest != 0 && ph_local == &ph_local_none && ph_thread == PH_NO_THREAD)
        return false;
    ph_nest = (uintptr_t)ne | (ph_os_on_signal_stack() ? ON_SIGNAL_STACK : 0);
    ph_local = &ph_local_none;
    ph_thread = PH_NO_THREAD;
    return true;
}

void ph_nested_end(const struct nest *ne)
{
    ph_local = ne->local;
    ph_thread = ne->thread;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ph_nest = 0;
}

bool ph_nested_is_inside(const struct heap *hp)
{
    return ph_nest != 0 && ph_locks_held == 0 && is_inside(nest_of(ph_nest), hp);
}
