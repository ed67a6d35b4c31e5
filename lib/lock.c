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

__thread uint32_t ph_locks_held __attribute__((tls_model("initial-exec")));

static uint32_t ending; /* the thread that ends the process after a diagnostic */

void ph_lock_end(void) { ending = ph_lock_self(); }

bool ph_lock_is_mine(const ph_lock *lock)
{
    return (__atomic_load_n(lock, __ATOMIC_RELAXED) & ~(uint32_t)LOCK_WAITED) == ph_lock_self();
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
    wait_and_take(lock, self);
}

/* The count first: a signal handler in between must rather believe that we hold it. */
void ph_lock_take(ph_lock *lock)
{
    uint32_t free = 0;
    ph_locks_held++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (unlikely(!__atomic_compare_exchange_n(lock, &free, ph_lock_self(), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        take_contended(lock, ph_lock_self());
}

void ph_lock_give(ph_lock *lock)
{
    if (unlikely(__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) & LOCK_WAITED))
        ph_os_wake(lock, 1);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ph_locks_held--;
}

void ph_lock_fork_take(ph_lock *lock)
{
    if (!ph_lock_is_mine(lock))
        take_contended(lock, LOCK_BY_FORK);
}

void ph_lock_fork_give(ph_lock *lock)
{
    if ((__atomic_load_n(lock, __ATOMIC_RELAXED) & ~(uint32_t)LOCK_WAITED) != LOCK_BY_FORK)
        return;
    if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) & LOCK_WAITED)
        ph_os_wake(lock, 1);
}
