/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* os.c -- the only file that asks the operating system for memory, waiting and identity.
 *
 * Owns:    a cached OS page size, the membarrier registration, and ranges that could not be unmapped yet.
 * Calls:   the kernel, directly: libc's wrappers touch errno and may not be ready yet in the
 *          first malloc of a process.  clock_gettime is libc's, for the vDSO behind it.
 * Always:  errno is untouched; every function may be called from a signal handler. */
#include "os.h"

#include <asm/unistd.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "small.h"

#ifndef MREMAP_MAYMOVE
#define MREMAP_MAYMOVE 1
#define MREMAP_FIXED 2
#endif

enum { MEMBARRIER_EXPEDITED = 8, MEMBARRIER_REGISTER = 16 }; /* linux/membarrier.h, since 4.14 */

/* ---- system calls without errno: the result, or a negative errno value ---------------------- */

#if defined(__x86_64__)
static long os_call(long nr, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static long os_call(long nr, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
static long os_call(long nr, long a, long b, long c, long d, long e, long f)
{
    const int saved = errno;
    long result = syscall(nr, a, b, c, d, e, f);
    if (result == -1)
        result = -errno;
    errno = saved;
    return result;
}
#endif

static bool os_failed(long result) { return (unsigned long)result > -4096UL; }

/* ---- memory --------------------------------------------------------------------------------- */

size_t ph_os_page_bytes(void)
{
    static size_t bytes;
    if (bytes == 0) {
        const size_t told = getauxval(AT_PAGESZ);
        __atomic_store_n(&bytes, told ? told : 4096, __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&bytes, __ATOMIC_RELAXED);
}

/* munmap fails where it would cut a mapping in two and the process has as many as it may have.  The memory goes back
 * all the same; the addresses are kept here, and go as soon as another munmap succeeds or addresses are short. */
enum { LEFT_MOST = 256, LEFT_CLAIMED = 1 };
static struct left {
    uintptr_t at; /* 0: none; LEFT_CLAIMED: somebody is at it */
    size_t bytes;
} left_over[LEFT_MOST];
static unsigned left_count;

static bool os_munmap(uintptr_t at, size_t bytes) { return !os_failed(os_call(__NR_munmap, (long)at, (long)bytes, 0, 0, 0, 0)); }

static void left_keep(void *at, size_t bytes)
{
    (void)ph_os_purge(at, bytes);
    for (unsigned i = 0; i < LEFT_MOST; i++) {
        uintptr_t none = 0;
        if (!__atomic_compare_exchange_n(&left_over[i].at, &none, LEFT_CLAIMED, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        left_over[i].bytes = bytes;
        __atomic_add_fetch(&left_count, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&left_over[i].at, (uintptr_t)at, __ATOMIC_RELEASE);
        return;
    }
}

bool ph_os_unmap_again(void)
{
    bool any = false;
    if (__atomic_load_n(&left_count, __ATOMIC_RELAXED) == 0)
        return false;
    for (unsigned i = 0; i < LEFT_MOST; i++) {
        uintptr_t at = __atomic_load_n(&left_over[i].at, __ATOMIC_RELAXED);
        if (at <= LEFT_CLAIMED ||
            !__atomic_compare_exchange_n(&left_over[i].at, &at, LEFT_CLAIMED, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        const bool gone = os_munmap(at, left_over[i].bytes);
        if (gone)
            __atomic_sub_fetch(&left_count, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&left_over[i].at, gone ? 0 : at, __ATOMIC_RELEASE);
        any |= gone;
    }
    return any;
}

void ph_os_unmap(void *at, size_t bytes)
{
    if (os_munmap((uintptr_t)at, bytes))
        (void)ph_os_unmap_again();
    else
        left_keep(at, bytes);
}

/* Without MAP_NORESERVE: what the system could never back is refused at once, as it is to glibc. */
static void *os_mmap(size_t bytes, int protection)
{
    long got;
    do
        got = os_call(__NR_mmap, 0, (long)bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    while (os_failed(got) && ph_os_unmap_again());
    return os_failed(got) ? NULL : (void *)got;
}

/* Map with room to spare and cut head and tail off: alignments above the OS page. */
static void *os_map_aligned(size_t bytes, size_t align, int protection)
{
    char *at = os_mmap(bytes, protection);
    if (at == NULL || ((uintptr_t)at & (align - 1)) == 0)
        return at;
    ph_os_unmap(at, bytes);
    if (bytes + align < bytes)
        return NULL;
    at = os_mmap(bytes + align, protection);
    if (at == NULL)
        return NULL;
    char *start = (char *)(((uintptr_t)at + align - 1) & ~(uintptr_t)(align - 1));
    if (start > at)
        ph_os_unmap(at, (size_t)(start - at));
    const size_t tail = (size_t)(at + align - start);
    if (tail > 0)
        ph_os_unmap(start + bytes, tail);
    return start;
}

void *ph_os_reserve(size_t bytes, size_t align)
{
    return os_map_aligned(bytes, align, PROT_NONE);
}

void *ph_os_reserve_readable(size_t bytes, size_t align)
{
    return os_map_aligned(bytes, align, PROT_READ);
}

void *ph_os_map(size_t bytes, size_t align)
{
    return os_map_aligned(bytes, align, PROT_READ | PROT_WRITE);
}

int ph_os_commit(void *at, size_t bytes, bool executable)
{
    const int protection = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
    return (int)-os_call(__NR_mprotect, (long)at, (long)bytes, protection, 0, 0, 0);
}

int ph_os_protect(void *at, size_t bytes)
{
    return (int)-os_call(__NR_mprotect, (long)at, (long)bytes, PROT_NONE, 0, 0, 0);
}

int ph_os_purge(void *at, size_t bytes)
{
    return (int)-os_call(__NR_madvise, (long)at, (long)bytes, MADV_DONTNEED, 0, 0, 0);
}

bool ph_os_remap(void *at, size_t old_bytes, size_t new_bytes)
{
    return !os_failed(os_call(__NR_mremap, (long)at, (long)old_bytes, (long)new_bytes, 0, 0, 0));
}

bool ph_os_remap_to(void *at, size_t old_bytes, void *target, size_t new_bytes)
{
    return !os_failed(os_call(__NR_mremap, (long)at, (long)old_bytes, (long)new_bytes,
                              MREMAP_MAYMOVE | MREMAP_FIXED, (long)target, 0));
}

void ph_os_no_huge(void *at, size_t bytes)
{
    (void)os_call(__NR_madvise, (long)at, (long)bytes, MADV_NOHUGEPAGE, 0, 0, 0);
}

void ph_os_name(void *at, size_t bytes, const char *name)
{
    enum { SET_VMA = 0x53564d41, ANON_NAME = 0 }; /* linux/prctl.h, newer than some systems' */
    (void)os_call(__NR_prctl, SET_VMA, ANON_NAME, (long)at, (long)bytes, (long)name, 0);
}

/* Source: mincore(2), ENOMEM for a range with a hole. */
bool ph_os_is_mapped(const void *at, size_t bytes)
{
    unsigned char seen;
    const uintptr_t os_page = ph_os_page_bytes();
    const uintptr_t end = (uintptr_t)at + bytes;
    for (uintptr_t page = (uintptr_t)at & ~(os_page - 1); page < end; page += os_page)
        if (os_failed(os_call(__NR_mincore, (long)page, (long)os_page, (long)&seen, 0, 0, 0)))
            return false;
    return true;
}

const void *ph_os_entry(void) { return (const void *)getauxval(AT_ENTRY); } /* NOLINT: an address */

size_t ph_os_space_limit(void)
{
    struct { uint64_t now, most; } space = {RLIM_INFINITY, 0}, data = {RLIM_INFINITY, 0};
    (void)os_call(__NR_prlimit64, 0, RLIMIT_AS, 0, (long)&space, 0, 0);
    (void)os_call(__NR_prlimit64, 0, RLIMIT_DATA, 0, (long)&data, 0, 0);
    return space.now < data.now ? space.now : data.now;
}

/* The kernel fetches a signal mask before it finds that it is asked for nothing it knows.  Where something else
 * answers for it, what is mapped must do.  Source: sigprocmask(2), EFAULT and EINVAL. */
bool ph_os_is_readable(const void *at)
{
    const long got = os_call(__NR_rt_sigprocmask, -1, (long)at, 0, sizeof(uint64_t), 0, 0);
    return got == -EINVAL || (got != -EFAULT && ph_os_is_mapped(at, sizeof(uint64_t)));
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
    (void)os_call(__NR_futex, (long)word, FUTEX_WAIT_PRIVATE, seen, nanoseconds ? (long)&bound : 0, 0, 0);
}

void ph_os_wake(uint32_t *word, unsigned count)
{
    (void)os_call(__NR_futex, (long)word, FUTEX_WAKE_PRIVATE, count, 0, 0, 0);
}

void ph_os_sleep(uint64_t nanoseconds)
{
    const struct timespec wish = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    (void)os_call(__NR_nanosleep, (long)&wish, 0, 0, 0, 0, 0);
}

void ph_os_yield(void) { (void)os_call(__NR_sched_yield, 0, 0, 0, 0, 0, 0); }

uint32_t ph_os_pid(void) { return (uint32_t)os_call(__NR_getpid, 0, 0, 0, 0, 0, 0); }

uint32_t ph_os_tid(void) { return (uint32_t)os_call(__NR_gettid, 0, 0, 0, 0, 0, 0); }

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

/* ---- time and chance ------------------------------------------------------------------------ */

uint64_t ph_os_clock_ms(void)
{
    struct timespec now = {0, 0};
    const int saved = errno;
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0)
        errno = saved;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Spread every input bit over the result (multiply, fold; twice). */
static uint64_t os_mix(uint64_t x)
{
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x = (x ^ (x >> 29)) * 0xff51afd7ed558ccdu;
    return x ^ (x >> 32);
}

/* Source: getauxval(3), AT_RANDOM: 16 bytes from the kernel; the C library uses both halves, so
 * they are stirred with the clock and an address before use. */
uint64_t ph_os_random(void)
{
    uint64_t word = 0;
    const long got = os_call(__NR_getrandom, (long)&word, sizeof word, 1 /* GRND_NONBLOCK */, 0, 0, 0);
    if (got == sizeof word)
        return word;
    struct timespec now = {0, 0};
    (void)os_call(__NR_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0, 0, 0);
    const uint64_t *kernel = (const uint64_t *)getauxval(AT_RANDOM);
    word = kernel ? os_mix(kernel[0]) ^ kernel[1] : 0;
    return os_mix(word ^ (uint64_t)now.tv_nsec ^ (uint64_t)(uintptr_t)&word);
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
/* Where a handler returns to.  Debuggers and unwinders know it by its bytes, which are those of libc's. */
void ph_os_restorer(void) __attribute__((visibility("hidden")));
__asm__(".text\n.p2align 4\nnop\n.hidden ph_os_restorer\n.globl ph_os_restorer\n.type ph_os_restorer,@function\nph_os_restorer:\n"
        "movq $15, %rax\nsyscall\n.size ph_os_restorer, .-ph_os_restorer\n");
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
