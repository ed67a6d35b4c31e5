/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* lock.c -- locks of one word that know their holder.
 *
 * Owns:    the count of locks that a thread holds.
 * Calls:   os.c to sleep and to wake.
 * Always:  a lock is 0, or its holder's number with LOCK_WAITED when somebody may be asleep on it.
 * Why:     pthread's locks import more of libc, and cannot say whether this very thread holds one,
 *          which fork in a signal handler must know. */
#include "internal.h"

#include "small.h"

enum {
    SPINS = 200, /* tries before a thread sleeps */
    DOZE_NS = 10 * 1000 * 1000, /* then it looks again: a filter may have refused the call that wakes it */
};

__thread struct ph_own ph_own __attribute__((tls_model("initial-exec")));
#define mode ph_own.mode

bool ph_async_ever, ph_cancels;
static uint32_t ending; /* the thread that ends the process after a diagnostic */

/* A handler of SIGABRT may leave by siglongjmp: then this thread goes on as if it held nothing. */
void ph_lock_end(void)
{
    ending = ph_lock_self();
    ph_locks_held = 0;
}

bool ph_lock_is_mine(const ph_lock *lock)
{
    return (__atomic_load_n(lock, __ATOMIC_RELAXED) & ~(uint32_t)LOCK_WAITED) == ph_lock_self();
}

/* ---- forks past us -------------------------------------------------------------------------------- */

void (*ph_lock_forked)(void);
bool ph_threads_left;
static uint32_t *watch; /* 1; 0 in the child of a fork that nobody told us of.  NULL: no threads yet, or the system cannot */

void ph_lock_watch_forks(void)
{
    static bool asked; /* the gate lock of the process heap */
    if (asked)
        return;
    asked = true;
    uint32_t *word = ph_os_map(ph_os_page_bytes(), ph_os_page_bytes());
    if (word == NULL || !ph_os_wipe_on_fork(word, ph_os_page_bytes()))
        return; /* then such a child may wait for ever */
    *word = 1;
    __atomic_store_n(&watch, word, __ATOMIC_RELEASE);
}

void ph_lock_fork_watched(void)
{
    uint32_t *word = __atomic_load_n(&watch, __ATOMIC_ACQUIRE);
    if (word != NULL)
        __atomic_store_n(word, 1, __ATOMIC_RELAXED);
}

COLD void ph_lock_fork_look(void)
{
    uint32_t *word = __atomic_load_n(&watch, __ATOMIC_ACQUIRE);
    if (word == NULL || __atomic_load_n(word, __ATOMIC_RELAXED) != 0 || ph_lock_forked == NULL)
        return;
    __atomic_store_n(word, 1, __ATOMIC_RELAXED);
    ph_lock_forked();
}

/* Once a waiter was asleep, whoever takes the lock must assume another one: it keeps the mark. */
static void wait_and_take(ph_lock *lock, uint32_t self)
{
    for (;;) {
        uint32_t seen = __atomic_load_n(lock, __ATOMIC_RELAXED);
        if (seen == 0) {
            if (__atomic_compare_exchange_n(lock, &seen, self | LOCK_WAITED, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return;
        } else if ((seen & LOCK_WAITED) ||
                   __atomic_compare_exchange_n(lock, &seen, seen | LOCK_WAITED, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            ph_os_wait(lock, seen | LOCK_WAITED, DOZE_NS);
        }
    }
}

static COLD void take_contended(ph_lock *lock, uint32_t self)
{
    if (unlikely(ending == self) && ph_lock_is_mine(lock))
        return; /* a handler of SIGABRT allocates: rather go in twice than hang */
    for (unsigned i = 0; i < SPINS; i++) {
        uint32_t free = 0;
        if (__atomic_load_n(lock, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(lock, &free, self, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        CPU_RELAX();
    }
    ph_lock_fork_look();
    wait_and_take(lock, self);
}

COLD void ph_signals_go(void)
{
    const uint64_t blocked = ph_signals_blocked;
    ph_signals &= (uint8_t)~SIGNALS_WAIT;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ph_os_signal_mask(blocked);
}

/* Who looks at the flag after the count was written cannot miss a signal that still saw the count. */
static inline void held_less(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    const uint32_t left = ph_locks_held - 1;
    ph_locks_held = left;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (unlikely(ph_signals & SIGNALS_WAIT) && left == 0)
        ph_signals_go();
}

/* glibc cancels by a signal of its own, whose handler nobody can stand before.  Source: nptl, SIGCANCEL. */
static COLD void cancel_later(void)
{
    enum { SIGNAL_CANCEL = 32 };
    const uint64_t before = ph_os_signal_block(1ULL << (SIGNAL_CANCEL - 1));
    if (!(ph_signals & SIGNALS_WAIT))
        ph_signals_blocked = before;
    ph_signals |= SIGNALS_WAIT;
}

void ph_section_begin(void)
{
    ph_locks_held++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (ph_must_do_without() && ph_locks_held == 1)
        cancel_later();
}

void ph_section_end(void) { held_less(); }

/* The count first: a signal handler in between must rather believe that we hold it. */
void ph_lock_take(ph_lock *lock)
{
    uint32_t free = 0;
    ph_section_begin();
    if (unlikely(!__atomic_compare_exchange_n(lock, &free, ph_lock_self(), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        take_contended(lock, ph_lock_self());
}

void ph_lock_give(ph_lock *lock)
{
    if (unlikely(__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) & LOCK_WAITED))
        ph_os_wake(lock, 1);
    held_less();
}

void ph_lock_fork_mode(enum fork_mode wish) { mode = (uint8_t)wish; }

static uint32_t fork_self(void) { return (ph_lock_self() & ~7u) | LOCK_BY_FORK; }

/* Its holder may be waiting for this very thread, which a signal interrupted. */
static void take_hastily(ph_lock *lock)
{
    enum { TRIES = 200, PAUSE_NS = 100 * 1000 };
    for (unsigned i = 0; i < TRIES; i++) {
        uint32_t free = 0;
        if (__atomic_compare_exchange_n(lock, &free, fork_self(), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        ph_os_sleep(PAUSE_NS);
    }
}

void ph_lock_fork_take(ph_lock *lock)
{
    if (ph_lock_is_mine(lock))
        return;
    if (mode == FORK_HASTY)
        take_hastily(lock);
    else
        take_contended(lock, fork_self());
}

void ph_lock_fork_give(ph_lock *lock)
{
    if (mode == FORK_CHILD) {
        if (!ph_lock_is_mine(lock))
            *lock = 0; /* whoever held it or waited is gone */
        return;
    }
    if ((__atomic_load_n(lock, __ATOMIC_RELAXED) & ~(uint32_t)LOCK_WAITED) != fork_self())
        return;
    if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) & LOCK_WAITED)
        ph_os_wake(lock, 1);
}
