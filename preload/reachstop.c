/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* reachstop.c -- for reach.c: other threads of this process stand still, and their registers can be read.
 *
 * Owns:    a process that shares our memory, while threads stand; what their registers held.
 * Calls:   the kernel, without libc: in that process libc's notes are this thread's.
 * Locks:   none.  Nobody may wait for a thread that stands.
 * Always:  they go on when that process ends, however it ends.
 * Why:     a thread that waits in a system call may have its only pointer to a block in a register, which nobody else can
 *          read.  A thread cannot trace its own process; one that shares its memory can. */
#include "reachstop.h"

#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "../lib/internal.h"
#include "../lib/oscall.h"
#include "reachroots.h"

#include "../lib/small.h"

enum { THREADS_MOST = 8192, HELPER_BYTES = 65536, TRY_NS = 1000000, TRIES = 5000 /* in all: some wait for what does not come */, ROUNDS = 10, WAIT_MS = 100 };
enum state { STATE_BEGUN = 1, STATE_STAND, STATE_GO };

static struct {
    uint32_t state;
    uint32_t caller;
    int folder; /* this process's list of its threads */
    uint32_t count, tries;
    uint32_t thread[THREADS_MOST];
    uintptr_t word[THREADS_MOST][STOP_WORDS];
} *stop;
static long helper;

/* ---- in the process that traces ----------------------------------------------------------------- */

static long number_of(const char *name)
{
    long number = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        number = number * 10 + *name - '0';
    return *name == '\0' ? number : 0;
}

static bool is_known(uint32_t thread)
{
    for (uint32_t i = 0; i < stop->count; i++)
        if (stop->thread[i] == thread)
            return true;
    return thread == stop->caller;
}

static bool stands(long thread)
{
    const struct timespec moment = {.tv_nsec = TRY_NS};
    for (; stop->tries < TRIES; stop->tries++) {
        int status;
        const long got = os_call(__NR_wait4, thread, (long)&status, __WALL | WNOHANG, 0, 0, 0);
        if (got != 0)
            return got == thread && WIFSTOPPED(status);
        (void)os_call(__NR_nanosleep, (long)&moment, 0, 0, 0, 0, 0);
    }
    return false;
}

static void hold(uint32_t thread)
{
    struct iovec to = {stop->word[stop->count], sizeof stop->word[0]};
    stop->thread[stop->count] = thread;
    if (os_failed(os_call(__NR_ptrace, PTRACE_SEIZE, thread, 0, 0, 0, 0)))
        return;
    (void)os_call(__NR_ptrace, PTRACE_INTERRUPT, thread, 0, 0, 0, 0);
    if (stands(thread))
        (void)os_call(__NR_ptrace, PTRACE_GETREGSET, thread, NT_PRSTATUS, (long)&to, 0, 0);
}

/* Whether there was one that we did not know. */
static bool hold_listed(void)
{
    struct entry { uint64_t inode; int64_t next; uint16_t bytes; uint8_t kind; char name[]; }; /* getdents(2) */
    static char room[8192] __attribute__((aligned(8)));
    bool any = false;
    (void)os_call(__NR_lseek, stop->folder, 0, 0, 0, 0, 0);
    for (long got; (got = os_call(__NR_getdents64, stop->folder, (long)room, sizeof room, 0, 0, 0)) > 0;)
        for (long at = 0; at < got;) {
            const struct entry *en = (const void *)(room + at);
            const long thread = number_of(en->name);
            at += en->bytes;
            if (thread == 0 || is_known((uint32_t)thread) || stop->count == THREADS_MOST)
                continue;
            hold((uint32_t)thread);
            stop->count++;
            any = true;
        }
    return any;
}

static int trace_them(void *unused)
{
    (void)unused;
    (void)os_call(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    for (unsigned i = 0; i < ROUNDS && hold_listed(); i++) {}
    __atomic_store_n(&stop->state, STATE_STAND, __ATOMIC_RELEASE);
    ph_os_wake(&stop->state, 1);
    while (__atomic_load_n(&stop->state, __ATOMIC_ACQUIRE) == STATE_STAND)
        ph_os_wait(&stop->state, STATE_STAND, (uint64_t)WAIT_MS * 1000000);
    (void)os_call(__NR_exit_group, 0, 0, 0, 0, 0, 0);
    return 0;
}

/* ---- in this one -------------------------------------------------------------------------------- */

extern char __libc_single_threaded __attribute__((weak));
static bool is_alone(void) { return &__libc_single_threaded != NULL && __libc_single_threaded; }

static void wait_for_helper(void)
{
    while (__atomic_load_n(&stop->state, __ATOMIC_ACQUIRE) == STATE_BEGUN) {
        ph_os_wait(&stop->state, STATE_BEGUN, (uint64_t)WAIT_MS * 1000000);
        if (os_call(__NR_wait4, helper, 0, __WALL | WNOHANG, 0, 0, 0) == helper)
            helper = -1;
        if (helper < 0)
            return;
    }
}

void ph_threads_stop(void)
{
    char *stack;
    if (is_alone() || (stop = ph_roots_memory(sizeof *stop)) == NULL || (stack = ph_roots_memory(HELPER_BYTES)) == NULL)
        return;
    stop->state = STATE_BEGUN;
    stop->caller = ph_os_tid();
    stop->folder = (int)os_call(__NR_openat, AT_FDCWD, (long)"/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
    (void)os_call(__NR_prctl, PR_SET_PTRACER, ph_os_pid(), 0, 0, 0, 0); /* and so its children */
    helper = stop->folder >= 0 ? clone(trace_them, stack + HELPER_BYTES, CLONE_VM | CLONE_UNTRACED, NULL) : -1;
    if (helper > 0)
        wait_for_helper();
}

const uintptr_t *ph_threads_registers(size_t *words)
{
    *words = stop != NULL ? (size_t)stop->count * STOP_WORDS : 0;
    return stop != NULL ? stop->word[0] : NULL;
}

void ph_threads_go(void)
{
    if (stop == NULL)
        return;
    if (helper > 0) {
        __atomic_store_n(&stop->state, STATE_GO, __ATOMIC_RELEASE);
        ph_os_wake(&stop->state, 1);
        (void)os_call(__NR_wait4, helper, 0, __WALL, 0, 0, 0);
    }
    (void)os_call(__NR_close, stop->folder, 0, 0, 0, 0, 0);
    stop = NULL;
}
