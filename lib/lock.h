/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* lock.h -- locks of one word that know their holder. */
#ifndef PH_LOCK_H
#define PH_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define COLD __attribute__((noinline, cold))

#if defined(__x86_64__) || defined(__i386__)
#define CPU_RELAX() __builtin_ia32_pause()
#else
#define CPU_RELAX() ((void)0)
#endif

typedef uint32_t ph_lock; /* 0 free, else who holds it, and whether somebody sleeps */

/* Who this thread is; the same in the child of a fork. */
static inline void *ph_thread_self(void) { return __builtin_thread_pointer(); }

enum { LOCK_WAITED = 1, LOCK_BY_THREAD = 2, LOCK_BY_FORK = 4 };

/* A fork left other threads of this process, or of one before it, behind: what they were at is half done for ever. */
extern bool ph_threads_left;

/* A thread's own, in one piece and without gaps: a program that loads us late has little room for such. */
extern __thread struct ph_own {
    uint64_t signals_blocked;
    uint32_t locks_held; /* by this thread: fork asks, in a signal handler that may have interrupted us */
    bool fork_notes[2];  /* fork.c's */
    uint8_t signals, mode;
} ph_own __attribute__((tls_model("initial-exec")));
#define ph_locks_held ph_own.locks_held
#define ph_signals_blocked ph_own.signals_blocked
#define ph_signals ph_own.signals
#define ph_fork_notes ph_own.fork_notes

/* SIGNALS_WAIT: a signal came while this thread held a lock, and waits until the last one is given back;
 * ph_signals_blocked is what was blocked before all were.  SIGNALS_CANCEL: the thread may be cancelled at any
 * moment, but then not while it holds a lock. */
/* SIGNALS_EXITING, which only stands here because it takes no room: the thread is on its way out and gets no
 * stacks any more. */
enum { SIGNALS_WAIT = 1, SIGNALS_CANCEL = 2, SIGNALS_EXITING = 4 };
void ph_signals_go(void);

extern bool ph_async_ever; /* some thread may, or might once, be cancelled at any moment */
extern bool ph_cancels;    /* and one was: from now on such threads have no stacks, and cannot be while they hold a lock */

static inline bool ph_must_do_without(void)
{
    return unlikely(ph_signals & SIGNALS_CANCEL) && __atomic_load_n(&ph_cancels, __ATOMIC_RELAXED);
}

/* Thread control blocks are kilobytes apart, and lie within 2^41 bytes of each other. */
static inline uint32_t ph_lock_self(void) { return ((uint32_t)((uintptr_t)ph_thread_self() >> 9) & ~7u) | LOCK_BY_THREAD; }

/* Functions, not inline: the code of a lock, in some forty places, costs an OS page. */
void ph_lock_take(ph_lock *lock);
void ph_lock_give(ph_lock *lock);
void ph_section_begin(void); /* as if a lock were held */
void ph_section_end(void);
void ph_lock_watch_forks(void);         /* from now on there are threads that a fork may leave behind */
void ph_lock_fork_look(void);           /* before a wait: is this the child of a fork that nobody told us of? */
void ph_lock_fork_watched(void);        /* the child of one that we know of */
extern void (*ph_lock_forked)(void);    /* what to do then */
void ph_lock_end(void); /* this thread ends the process: it must not wait for itself */
bool ph_lock_is_mine(const ph_lock *lock);
enum fork_mode { FORK_PATIENT, FORK_HASTY, FORK_CHILD };
void ph_lock_fork_mode(enum fork_mode wish); /* of this thread's calls of the two that follow */
void ph_lock_fork_take(ph_lock *lock); /* unless this thread holds it: then it stays as it is */
void ph_lock_fork_give(ph_lock *lock); /* if ph_lock_fork_take took it */

#endif
