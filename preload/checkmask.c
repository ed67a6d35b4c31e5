/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* checkmask.c -- sigprocmask and pthread_sigmask: faults stay unblocked.
 *
 * Owns:    nothing.  Calls: libc's of the same names.  Locks: none.
 * Why:     threads of libraries block all signals; the system ends a process that faults then, and calls no handler, so
 *          that nobody would say what was wrong.  To programs a fault that is blocked is of no use.
 * Source:  sigprocmask(2). */
#include "checked.h"

enum { UNBLOCKS = 1, BUS = 7, SEGV = 11 }; /* SIG_UNBLOCK, SIGBUS, SIGSEGV, as x86-64 and aarch64 have them */

static struct signals unblocked(const struct signals *set)
{
    struct signals some = *set;
    some.word[0] &= ~(1UL << (BUS - 1) | 1UL << (SEGV - 1));
    return some;
}

CHECKED int sigprocmask(int how, const struct signals *set, struct signals *old)
{
    if (set == NULL || how == UNBLOCKS)
        return THE_REAL(sigprocmask)(how, set, old);
    const struct signals some = unblocked(set);
    return THE_REAL(sigprocmask)(how, &some, old);
}

CHECKED int pthread_sigmask(int how, const struct signals *set, struct signals *old)
{
    if (set == NULL || how == UNBLOCKS)
        return THE_REAL(pthread_sigmask)(how, set, old);
    const struct signals some = unblocked(set);
    return THE_REAL(pthread_sigmask)(how, &some, old);
}
