/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* signals.c -- sigaction and signal: the program's handlers are called by ours.
 *
 * Owns:    which handler of the program's each signal has.
 * Calls:   nested.c, lock.c; the sigaction and signal behind ours.
 * Always:  a program reads back what it set, and of the handler of guarded blocks nothing.  A handler that it set past these names is called by the kernel, as ever.
 *          In a stressed process faults come to us first, whatever the program does about them.
 * Why:     malloc and free have no instruction to spare for the question whether they interrupted themselves, and blocking
 *          signals costs a hundred times what they do.  So it is asked where it is rare: when a signal comes.  If this
 *          thread holds a lock of ours, the signal waits until it is given back, a microsecond later: what handlers
 *          find, and leave behind by fork or siglongjmp, is whole.  If it is in the middle of a usual malloc or free, the
 *          handler does without the stacks (nested.c). */
#include "../lib/guard.h"
#include "family.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#include "../lib/small.h"

enum { SIGNALS = 65 };

typedef void handler_function(int, siginfo_t *, void *);
static struct {
    uintptr_t handler;
    uint32_t has_info; /* the kernel says more than the number */
} program[SIGNALS];

/* Those that say that something is wrong just here, at once. */
static bool may_wait(int number)
{
    return number != SIGSEGV && number != SIGBUS && number != SIGFPE && number != SIGILL && number != SIGTRAP &&
           number != SIGSYS && number != SIGABRT;
}

static uint64_t bit_of(int number) { return 1ULL << (number - 1); }

/* Have it come again when the lock is given back; until then all others wait too. */
static bool put_off(int number, siginfo_t *info, void *context)
{
    const uint64_t blocked = ~(bit_of(SIGSEGV) | bit_of(SIGBUS) | bit_of(SIGFPE) | bit_of(SIGILL) | bit_of(SIGTRAP) |
                               bit_of(SIGSYS) | bit_of(SIGABRT));
    uint64_t *mask = (uint64_t *)(void *)&((ucontext_t *)context)->uc_sigmask;
    siginfo_t plain = {.si_signo = number, .si_code = SI_QUEUE};
    if (!(ph_signals & SIGNALS_WAIT))
        ph_signals_blocked = *mask;
    ph_signals |= SIGNALS_WAIT;
    ph_os_signal_mask(blocked);
    *mask = blocked;
    return ph_os_signal_again(number, program[number].has_info ? info : &plain);
}

/* Crash reporters, and programs that probe addresses, are not to hide what we look for. */
static bool is_watched(int number) { return unlikely(ph_process_heap.stress != 0) && (number == SIGSEGV || number == SIGBUS); }

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct nest ne;
    if (is_watched(number) && ph_guard_serves(info, context))
        return;
    const uintptr_t handler = __atomic_load_n(&program[number].handler, __ATOMIC_RELAXED);
    if (unlikely(ph_locks_held != 0) && may_wait(number) && put_off(number, info, context))
        return;
    const bool nested = ph_nested_begin(&ne);
    ((handler_function *)handler)(number, info, context);
    if (nested)
        ph_nested_end(&ne);
}

/* ---- the names ------------------------------------------------------------------------------------ */

typedef int sigaction_function(int, const struct sigaction *, struct sigaction *);
typedef sighandler_t signal_function(int, sighandler_t);

static void *behind_us(void **found, const char *name)
{
    void *at = __atomic_load_n(found, __ATOMIC_RELAXED);
    if (unlikely(at == NULL)) {
        at = dlsym(RTLD_NEXT, name);
        __atomic_store_n(found, at, __ATOMIC_RELAXED);
    }
    return at;
}

static bool is_function(uintptr_t handler)
{
    return handler != (uintptr_t)SIG_DFL && handler != (uintptr_t)SIG_IGN && handler != (uintptr_t)SIG_ERR &&
           handler != (uintptr_t)SIG_HOLD;
}

/* Not SIGSYS: whoever handles that traps system calls, and ours on the way to its handler would be trapped again. */
static bool is_signal(int number) { return number > 0 && number < SIGNALS && number != SIGSYS; }

static void find_jumps(void);

/* Set before the kernel may call it; what stood there. */
static uintptr_t program_set(int number, uintptr_t handler, bool has_info)
{
    const uintptr_t before = __atomic_exchange_n(&program[number].handler, handler, __ATOMIC_RELAXED);
    program[number].has_info = has_info;
    find_jumps();
    return before;
}

/* What is ours instead of the program's: a fault in any handler comes to us, with its address. */
static void adapt(int number, struct sigaction *ours)
{
    ours->sa_sigaction = on_signal;
    if (ph_process_heap.stress == 0)
        return;
    *(uint64_t *)(void *)&ours->sa_mask &= ~(bit_of(SIGSEGV) | bit_of(SIGBUS)); /* sigdelset would be an import more */
    if (is_watched(number))
        ours->sa_flags |= SA_SIGINFO;
}

/* The default has a handler of ours in front; in a stressed process, so has nothing at all. */
static void watch(int number, sighandler_t handler)
{
    if (handler == SIG_DFL || (handler == SIG_IGN && is_watched(number)))
        (void)ph_guard_catch_unhandled(number, (uintptr_t)handler);
}

EXPORT int sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
    static void *found;
    struct sigaction ours;
    uintptr_t guarded;
    sigaction_function *next = (sigaction_function *)behind_us(&found, "sigaction");
    uintptr_t before = is_signal(number) ? __atomic_load_n(&program[number].handler, __ATOMIC_RELAXED) : 0;
    const bool had_info = is_signal(number) && program[number].has_info;
    const bool sets = new != NULL && is_signal(number) && is_function((uintptr_t)new->sa_sigaction);
    if (sets) {
        ours = *new;
        adapt(number, &ours);
        before = program_set(number, (uintptr_t)new->sa_sigaction, new->sa_flags & SA_SIGINFO);
    }
    const int result = next(number, sets ? &ours : new, old);
    if (result != 0 && sets)
        (void)program_set(number, before, had_info);
    if (result == 0 && old != NULL && old->sa_sigaction == on_signal) {
        old->sa_sigaction = (handler_function *)before;
        old->sa_flags &= had_info ? -1 : ~SA_SIGINFO;
    } else if (result == 0 && old != NULL && ph_guard_has_handler(number, (const void *)(uintptr_t)old->sa_sigaction, &guarded))
        *old = (struct sigaction){.sa_handler = (sighandler_t)guarded};
    if (result == 0 && new != NULL)
        watch(number, new->sa_handler);
    return result;
}

/* What one of the other names set. */
static void adapt_set(int number)
{
    static void *found;
    struct sigaction ours;
    sigaction_function *next = (sigaction_function *)behind_us(&found, "sigaction");
    if (next(number, NULL, &ours) != 0 || ours.sa_sigaction != on_signal)
        return;
    adapt(number, &ours);
    (void)next(number, &ours, NULL);
}

static sighandler_t set_signal(signal_function *next, int number, sighandler_t handler)
{
    uintptr_t guarded, before = is_signal(number) ? __atomic_load_n(&program[number].handler, __ATOMIC_RELAXED) : 0;
    const bool had_info = is_signal(number) && program[number].has_info;
    const bool sets = is_signal(number) && is_function((uintptr_t)handler);
    if (sets)
        before = program_set(number, (uintptr_t)handler, false);
    const sighandler_t old = next(number, sets ? (sighandler_t)(uintptr_t)on_signal : handler);
    if (old == SIG_ERR && sets)
        (void)program_set(number, before, had_info);
    if (old != SIG_ERR)
        watch(number, handler);
    if (old != SIG_ERR && sets && is_watched(number))
        adapt_set(number);
    if (ph_guard_has_handler(number, (const void *)(uintptr_t)old, &guarded))
        return (sighandler_t)guarded;
    return (uintptr_t)old == (uintptr_t)on_signal ? (sighandler_t)before : old;
}

/* Not all of them are declared by every libc. */
#define SIGNAL(name)                                                                     \
    sighandler_t name(int number, sighandler_t handler);                                 \
    EXPORT sighandler_t name(int number, sighandler_t handler)                           \
    {                                                                                    \
        static void *found;                                                              \
        return set_signal((signal_function *)behind_us(&found, #name), number, handler); \
    }

#undef signal
SIGNAL(signal)
SIGNAL(bsd_signal)
SIGNAL(ssignal)
SIGNAL(sysv_signal)
SIGNAL(__sysv_signal)
SIGNAL(sigset)

/* ---- leaving a handler ----------------------------------------------------------------------------- */

#if defined(__x86_64__) && defined(__GLIBC__)

/* The stack pointer that a jump goes to.  Source: glibc's setjmp, JB_RSP and PTR_DEMANGLE. */
static uintptr_t target_of(const struct __jmp_buf_tag *to)
{
    uintptr_t sp = (uintptr_t)to->__jmpbuf[6];
    __asm__("ror $17, %0\n\txor %%fs:0x30, %0" : "+r"(sp));
    return sp;
}

/* Not later, at this thread's next operation: another may be waiting to stop the heap. */
#define LONGJMP(name)                                                                                        \
    static void *found_##name;                                                                               \
    EXPORT __attribute__((noreturn)) void name(struct __jmp_buf_tag to[1], int value);                      \
    EXPORT __attribute__((noreturn)) void name(struct __jmp_buf_tag to[1], int value)                       \
    {                                                                                                        \
        if (unlikely(ph_nest != 0))                                                                          \
            ph_nested_jump(target_of(to));                                                                   \
        ((void (*)(struct __jmp_buf_tag *, int))behind_us(&found_##name, #name))(to, value);                \
        __builtin_unreachable();                                                                             \
    }

#undef longjmp
#undef siglongjmp
LONGJMP(longjmp)
LONGJMP(_longjmp)
LONGJMP(siglongjmp)
LONGJMP(__longjmp_chk)

/* Now, for in a handler nobody may ask the loader. */
static void find_jumps(void)
{
    (void)behind_us(&found_longjmp, "longjmp");
    (void)behind_us(&found__longjmp, "_longjmp");
    (void)behind_us(&found_siglongjmp, "siglongjmp");
    (void)behind_us(&found___longjmp_chk, "__longjmp_chk");
}
#else
static void find_jumps(void) {}
#endif

EXPORT int pthread_setcanceltype(int type, int *old)
{
    static void *found;
    int (*next)(int, int *) = (int (*)(int, int *))behind_us(&found, "pthread_setcanceltype");
    if (type == PTHREAD_CANCEL_ASYNCHRONOUS)
        ph_local_without(true);
    const int result = next(type, old);
    if (type == PTHREAD_CANCEL_DEFERRED && result == 0)
        ph_local_without(false);
    return result;
}

EXPORT int pthread_cancel(pthread_t thread)
{
    static void *found;
    int (*next)(pthread_t) = (int (*)(pthread_t))behind_us(&found, "pthread_cancel");
#if defined(__x86_64__)
    const ptrdiff_t away = 0; /* one import less */
#else
    const ptrdiff_t away = (char *)ph_thread_self() - (char *)pthread_self(); /* the same in each thread */
#endif
    ph_cancel_begin((char *)thread + away);
    return next(thread);
}
