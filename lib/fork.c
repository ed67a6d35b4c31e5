/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* fork.c -- what must hold across fork(): the child has one thread and every lock free.
 *
 * Owns:    nothing but a note of how prepare went.
 * Calls:   the fork functions of every room, in the order of the map.
 * Locks:   prepare takes all but heaplock, in order; parent and child give them back.
 * Always:  blocks are either in a stack or in a page whenever the leaf locks are free, so the child
 *          finds no block in between; stacks of the other threads become strays, to be salvaged.
 * Why:     no stop and no barrier: fork never waits for HeapLock or for a busy thread.  A fork in a
 *          signal handler that interrupted us takes no gate lock: its holder may be waiting for
 *          this very thread to be out. */
#include "pageheap.h"
#include "report.h"

#include <pthread.h>

#include "small.h"

/* Of this thread's fork, from prepare on: two may be at it, if one is in a handler. */
#define interrupted ph_fork_notes[0]
#define stdio_locked ph_fork_notes[1]
static uint64_t born_ms; /* when fork made this process; 0: it did not */
static uint32_t forking; /* the thread between prepare and release; 0: none */
static unsigned within;  /* forks of handlers that interrupted it */

/* ph_local_none is every new thread's: its busy says nothing. */
static bool is_interrupting(void)
{
    bool busy = ph_nest != 0 || (ph_local->heap != NULL && ph_local->busy != 0);
    for (const struct local *lo = ph_thread->mine; lo != NULL && !busy; lo = lo->sibling)
        busy = lo->busy != 0;
    return ph_locks_held > 0 || busy;
}

/* fork takes stdio's list lock after the prepare handlers.  A thread that holds that and waits for a
 * FILE, whose holder waits for us, would never go on: so it is taken before ours.  It is recursive;
 * glibc gives it up by itself in the child.  Source: glibc's fork, _IO_list_lock. */
extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
extern char __libc_single_threaded __attribute__((weak));

static bool stdio_lock(void)
{
    const bool wanted = _IO_list_lock != NULL && _IO_list_unlock != NULL && &__libc_single_threaded != NULL &&
                   !__libc_single_threaded && !is_interrupting();
    if (wanted)
        _IO_list_lock();
    return wanted;
}

static bool needs_class_locks(const struct heap *hp)
{
    return hp->locals != NULL || (hp->flags & HEAPF_NO_SERIALIZE) || interrupted;
}

static void take_gates(void)
{
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++) {
        struct heap *hp = ph_heap_at(id);
        hp->fork_held = hp->handle != NULL ? FLAG_SET : 0;
        if (hp->fork_held && !interrupted)
            ph_lock_fork_take(&hp->gate.lock);
    }
}

static void take_leaves(void)
{
    ph_sized_fork_lock();
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++) {
        struct heap *hp = ph_heap_at(id);
        if (!hp->fork_held)
            continue;
        if (needs_class_locks(hp))
            ph_shard_fork_lock(hp);
        ph_lock_fork_take(&hp->span_lock);
    }
    ph_map_fork_lock();
    ph_region_fork_lock();
    ph_large_fork_lock();
    ph_meta_fork_lock();
}

/* A handler that no one told us of may interrupt a fork of this thread, and fork: the locks are its own
 * already, and stay so in parent and child. */
static bool is_forking(void) { return __atomic_load_n(&forking, __ATOMIC_RELAXED) == ph_lock_self(); }

extern char __libc_single_threaded __attribute__((weak));
static bool had_threads;

static void note_threads(void) { had_threads = &__libc_single_threaded == NULL || !__libc_single_threaded; }

static void fork_prepare(void)
{
    if (is_forking()) {
        within++;
        return;
    }
    const bool interrupting = is_interrupting();
    const bool locked = stdio_lock();
    note_threads(); /* in the child libc says that there are none */
    ph_section_begin(); /* other handlers wait */
    ph_lock_fork_mode(interrupting ? FORK_HASTY : FORK_PATIENT);
    ph_heap_registry_fork_lock();
    __atomic_store_n(&forking, ph_lock_self(), __ATOMIC_RELAXED);
    interrupted = interrupting;
    stdio_locked = locked;
    take_gates();
    take_leaves();
}

static void fork_release(void)
{
    ph_meta_fork_unlock();
    ph_large_fork_unlock();
    ph_region_fork_unlock();
    ph_map_fork_unlock();
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++) {
        struct heap *hp = ph_heap_at(id);
        if (!hp->fork_held)
            continue;
        ph_lock_fork_give(&hp->span_lock);
        if (needs_class_locks(hp))
            ph_shard_fork_unlock(hp);
        ph_lock_fork_give(&hp->gate.lock);
    }
    ph_sized_fork_unlock();
    __atomic_store_n(&forking, 0, __ATOMIC_RELAXED);
    ph_heap_registry_fork_unlock();
    ph_lock_fork_mode(FORK_PATIENT);
    ph_section_end();
}

static bool was_within(void)
{
    if (within == 0 || !is_forking())
        return false;
    within--;
    return true;
}

/* The other threads are gone: what they had is up for adoption, what they locked is free. */
static void forget_others(void)
{
    ph_lock_fork_mode(FORK_CHILD);
    ph_lock_fork_watched();
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++) {
        struct heap *hp = ph_heap_at(id);
        if (!hp->fork_held)
            continue;
        ph_gate_fork_child(hp, interrupted);
        ph_local_forget_others(hp);
    }
    ph_sized_fork_child();
    ph_report_fork_child();
    born_ms = ph_os_clock_ms();
    ph_threads_left |= had_threads;
    ph_trace_fork_child();
    if (ph_process_heap.stress != 0)
        ph_page_heap_fork_child();
    fork_release();
}

/* A child that was forked a moment ago: what its parent left in it is for the parent to look at. */
bool ph_fork_is_brief(void)
{
    enum { BRIEF_MS = 100 };
    return born_ms != 0 && ph_os_clock_ms() - born_ms < BRIEF_MS;
}

static void fork_child(void)
{
    if (!was_within())
        forget_others();
}

/* The child of the system call itself: nobody waited for the locks of the threads that are gone, so what they were about
 * to change may be half changed. */
static void fork_past_us(void)
{
    note_threads();
    interrupted = true;
    ph_section_begin();
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++)
        ph_heap_at(id)->fork_held = ph_heap_at(id)->handle != NULL ? FLAG_SET : 0;
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++)
        if (ph_heap_at(id)->fork_held)
            ph_shard_mend(ph_heap_at(id));
    ph_paged_mend();
    forget_others();
}

static void fork_parent(void)
{
    if (was_within())
        return;
    const bool locked = stdio_locked;
    fork_release();
    if (locked)
        _IO_list_unlock();
}

void ph_fork_register(void)
{
    static bool registered; /* constructors run one after another */
    ph_lock_forked = fork_past_us;
    if (!registered)
        registered = pthread_atfork(fork_prepare, fork_parent, fork_child) == 0;
}
