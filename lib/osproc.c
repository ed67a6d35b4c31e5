/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* osproc.c -- asks the operating system for all but memory: waiting, identity, signals, chance, text out, the end.
 *
 * Owns:    the membarrier registration, and what the kernel told at the start.
 * Calls:   the kernel, directly, for os.c's reasons.
 * Always:  errno is untouched; every function may be called from a signal handler. */
#include "os.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "oscall.h"

#include "small.h"

enum { WAIT_PRIVATE = 128, WAKE_PRIVATE = 129, CMP_REQUEUE_PRIVATE = 132 }; /* linux/futex.h; the kernel's headers are not in every C library's path */
enum { MEMBARRIER_EXPEDITED = 8, MEMBARRIER_REGISTER = 16 }; /* linux/membarrier.h, since 4.14 */

/* ---- what the system told ------------------------------------------------------------------- */

/* What the kernel told at the start: getauxval may be somebody's hook, and later we hold locks. */
static uintptr_t told_entry, told_random;

const void *ph_os_entry(void) { return (const void *)told_entry; }
const void *ph_os_random_bytes(void) { return (const void *)told_random; }

size_t ph_os_space_limit(void)
{
    struct { uint64_t now, most; } space = {RLIM_INFINITY, 0}, data = {RLIM_INFINITY, 0};
    (void)os_call(__NR_prlimit64, 0, RLIMIT_AS, 0, (long)&space, 0, 0);
    (void)os_call(__NR_prlimit64, 0, RLIMIT_DATA, 0, (long)&data, 0, 0);
    return space.now < data.now ? space.now : data.now;
}

/* Nobody is woken or moved, but the kernel looks at the word.  Source: futex(2), FUTEX_CMP_REQUEUE, EFAULT.  Not mincore: that
 * says yes to what nobody may read too, and free may need no other system call than a lock does. */
bool ph_os_is_readable(const void *at)
{
    const uintptr_t word = (uintptr_t)at & ~(uintptr_t)3;
    return os_call(__NR_futex, (long)word, CMP_REQUEUE_PRIVATE, 0, 0, (long)word, 0) != -EFAULT;
}

/* ---- threads -------------------------------------------------------------------------------- */

bool ph_os_membarrier(void)
{
    if (!os_failed(os_call(__NR_membarrier, MEMBARRIER_EXPEDITED, 0, 0, 0, 0, 0)))
        return true;
    if (os_failed(os_call(__NR_membarrier, MEMBARRIER_REGISTER, 0, 0, 0, 0, 0)))
        return false;
    return !os_failed(os_call(__NR_membarrier, MEMBARRIER_EXPEDITED, 0, 0, 0, 0, 0));
}

void ph_os_wait(uint32_t *word, uint32_t seen, uint64_t nanoseconds)
{
    const struct timespec bound = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    (void)os_call(__NR_futex, (long)word, WAIT_PRIVATE, seen, nanoseconds ? (long)&bound : 0, 0, 0);
}

void ph_os_wake(uint32_t *word, unsigned count)
{
    (void)os_call(__NR_futex, (long)word, WAKE_PRIVATE, count, 0, 0, 0);
}

/* The same call as a lock's, so that a filter which lets locks work lets this. */
void ph_os_sleep(uint64_t nanoseconds)
{
    uint32_t nobody_wakes = 0;
    ph_os_wait(&nobody_wakes, 0, nanoseconds);
}

void ph_os_yield(void) { ph_os_sleep(1); }

void ph_os_clock_ask(struct timespec *now)
{
    (void)os_call(__NR_clock_gettime, CLOCK_MONOTONIC_COARSE, (long)now, 0, 0, 0, 0);
}

uint32_t ph_os_pid(void) { return (uint32_t)os_call(__NR_getpid, 0, 0, 0, 0, 0, 0); }

static uint32_t os_gettid(void) { return (uint32_t)os_call(__NR_gettid, 0, 0, 0, 0, 0, 0); }

/* Where libc keeps a thread's number behind the thread pointer: it is right in a child of fork too, and no filter kills
 * for it.  0: not known. */
static uint32_t tid_place;

static void os_tid_find(void)
{
#if defined(__x86_64__) && defined(__GLIBC__)
    enum { WORDS_BEFORE = 176, WORDS = 512 }; /* struct pthread is over 2 KB, and its head, 704 bytes of it, is ABI */
    const uint32_t *self = (const uint32_t *)__builtin_thread_pointer(), tid = os_gettid();
    for (uint32_t i = WORDS_BEFORE; i < WORDS && tid_place == 0; i += 2) /* the odd ones may be upper halves of addresses: 0x7f8b is a number, too */
        if (self[i] == tid)
            tid_place = i;
#endif
}

uint32_t ph_os_tid(void)
{
    return tid_place != 0 ? ((const uint32_t *)__builtin_thread_pointer())[tid_place] : os_gettid();
}

void ph_os_begin(void)
{
    (void)ph_os_page_bytes();
    told_entry = getauxval(AT_ENTRY);
    told_random = getauxval(AT_RANDOM);
    os_tid_find();
}

/* ---- signals -------------------------------------------------------------------------------- */

bool ph_os_on_signal_stack(void)
{
    stack_t now = {0};
    return !os_failed(os_call(__NR_sigaltstack, 0, (long)&now, 0, 0, 0, 0)) && (now.ss_flags & SS_ONSTACK);
}

void ph_os_signal_mask(uint64_t blocked)
{
    (void)os_call(__NR_rt_sigprocmask, SIG_SETMASK, (long)&blocked, 0, sizeof blocked, 0, 0);
}

uint64_t ph_os_signal_block(uint64_t more)
{
    uint64_t before = 0;
    (void)os_call(__NR_rt_sigprocmask, SIG_BLOCK, (long)&more, (long)&before, sizeof more, 0, 0);
    return before;
}

bool ph_os_wipe_on_fork(void *at, size_t bytes)
{
    enum { WIPE_ON_FORK = 18 };
    return !os_failed(os_call(__NR_madvise, (long)at, (long)bytes, WIPE_ON_FORK, 0, 0, 0));
}

bool ph_os_signal_again(int signal, const void *info)
{
    return !os_failed(os_call(__NR_rt_tgsigqueueinfo, ph_os_pid(), ph_os_tid(), signal, (long)info, 0, 0));
}

/* ---- chance ------------------------------------------------------------------------------------- */

/* Spread every input bit over the result (multiply, fold; twice). */
static uint64_t os_mix(uint64_t x)
{
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x = (x ^ (x >> 29)) * 0xff51afd7ed558ccdu;
    return x ^ (x >> 32);
}

/* Source: getauxval(3), AT_RANDOM: 16 bytes from the kernel, which no filter of system calls keeps from us.  The C
 * library uses both halves: stirred into one word, with an address, a count and the clock, they tell neither. */
uint64_t ph_os_random(void)
{
    static uint64_t calls;
    const void *told = (const void *)(told_random != 0 ? told_random : getauxval(AT_RANDOM)); /* at any address */
    uint64_t kernel[2];
    uint64_t word = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) + (ph_os_clock_ms() << 32);
    word = os_mix(word ^ (uint64_t)(uintptr_t)&word);
    if (told == NULL)
        return word;
    __builtin_memcpy(kernel, told, sizeof kernel);
    return os_mix(os_mix(word ^ kernel[0]) + kernel[1]);
}

/* ---- text out ------------------------------------------------------------------------------- */

void ph_os_write(int fd, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        const long done = os_call(__NR_write, fd, (long)at, (long)count, 0, 0, 0);
        if (done == -EINTR)
            continue;
        if (done <= 0)
            return;
        at += done;
        count -= (size_t)done;
    }
}

int ph_os_open_append(const char *path)
{
    const long fd = os_call(__NR_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                            0644, 0, 0);
    return os_failed(fd) ? -1 : (int)fd;
}

void ph_os_seal(int descriptor)
{
    (void)os_call(__NR_fcntl, descriptor, F_ADD_SEALS, F_SEAL_GROW, 0, 0, 0);
}

bool ph_os_program(char *path, size_t bytes)
{
    const long got = os_call(__NR_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path, (long)bytes - 1, 0, 0);
    if (os_failed(got))
        return false;
    path[got] = '\0';
    return true;
}

int ph_os_dup(int fd)
{
    enum { ABOVE = 200 };
    const long copy = os_call(__NR_fcntl, fd, F_DUPFD_CLOEXEC, ABOVE, 0, 0, 0);
    return os_failed(copy) ? -1 : (int)copy;
}

void ph_os_close(int fd) { (void)os_call(__NR_close, fd, 0, 0, 0, 0, 0); }

/* ---- faults ---------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* Where a handler returns to.  Unwinders know it by its bytes, debuggers by its name too: both are libc's. */
void ph_os_restorer(void) __asm__("__restore_rt") __attribute__((visibility("hidden")));
__asm__(".text\n.p2align 4\nnop\n.type __restore_rt,@function\n__restore_rt:\n"
        "movq $15, %rax\nsyscall\n.size __restore_rt, .-__restore_rt\n");
enum { WITH_RESTORER = 0x04000000 };
#else
enum { WITH_RESTORER = 0 };
static void ph_os_restorer(void) {}
#endif

bool ph_os_action_catch(int signal, ph_os_handler handler, struct ph_os_action *before)
{
    const struct ph_os_action wish = {(void *)(uintptr_t)handler, SA_SIGINFO | SA_ONSTACK | WITH_RESTORER,
                                      (void *)(uintptr_t)ph_os_restorer, 0};
    return !os_failed(os_call(__NR_rt_sigaction, signal, (long)&wish, (long)before, sizeof(uint64_t), 0, 0));
}

void ph_os_action_restore(int signal, const struct ph_os_action *action)
{
    (void)os_call(__NR_rt_sigaction, signal, (long)action, 0, sizeof(uint64_t), 0, 0);
}

/* Source: the page-fault error code, bit 1; of aarch64 the syndrome, bit 6, in a record of its own. */
bool ph_os_fault_is_write(const void *ucontext)
{
#if defined(__x86_64__)
    const ucontext_t *uc = ucontext;
    return uc != NULL && (uc->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#elif defined(__aarch64__)
    const ucontext_t *uc = ucontext;
    const struct record { uint32_t magic, bytes; uint64_t syndrome; } *at = (const void *)uc->uc_mcontext.__reserved;
    while (at->magic != 0x45535201 && at->magic != 0 && at->bytes != 0)
        at = (const void *)((const char *)at + at->bytes);
    return at->magic == 0x45535201 && (at->syndrome & 1 << 6) != 0;
#else
    (void)ucontext;
    return false;
#endif
}

bool ph_os_fault_register(const void *ucontext, unsigned number, uintptr_t *value)
{
#if defined(__x86_64__)
    const ucontext_t *uc = ucontext;
    if (uc == NULL || number > REG_RIP)
        return false;
    *value = (uintptr_t)uc->uc_mcontext.gregs[number];
    return true;
#elif defined(__aarch64__)
    const ucontext_t *uc = ucontext;
    if (uc == NULL || number > 30)
        return false;
    *value = uc->uc_mcontext.regs[number];
    return true;
#else
    (void)ucontext, (void)number, (void)value;
    return false;
#endif
}

/* ---- the end -------------------------------------------------------------------------------- */

static void os_signal_self(int signal)
{
    uint64_t mask = 1ULL << (signal - 1);
    (void)os_call(__NR_rt_sigprocmask, SIG_UNBLOCK, (long)&mask, 0, sizeof mask, 0, 0);
    (void)os_call(__NR_tgkill, ph_os_pid(), ph_os_tid(), signal, 0, 0, 0);
}

static __attribute__((noreturn)) void os_signal_default(int signal)
{
    const struct ph_os_action plain = {NULL, 0, NULL, 0};
    ph_os_action_restore(signal, &plain);
    os_signal_self(signal);
    for (;;)
        (void)os_call(__NR_exit_group, 128 + signal, 0, 0, 0, 0, 0);
}

/* A handler of the program may run once; then the default action, which cannot be blocked here. */
void ph_os_abort(void)
{
    os_signal_self(SIGABRT);
    os_signal_default(SIGABRT);
}

void ph_os_fault(void)
{
    os_signal_default(SIGSEGV);
}
