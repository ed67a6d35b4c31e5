/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* os.c -- the only file that asks the operating system for memory, waiting and identity.
 *
 * Owns:    nothing but a cached OS page size and the membarrier registration.
 * Calls:   the kernel, directly: libc's wrappers touch errno and may not be ready yet in the
 *          first malloc of a process.
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

/* Without MAP_NORESERVE: what the system could never back is refused at once, as it is to glibc. */
static void *os_mmap(size_t bytes, int protection)
{
    const long got = os_call(__NR_mmap, 0, (long)bytes, protection,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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

/* A process with as many mappings as it may have cannot cut one in two: then at least the memory goes. */
void ph_os_unmap(void *at, size_t bytes)
{
    if (os_failed(os_call(__NR_munmap, (long)at, (long)bytes, 0, 0, 0, 0)))
        (void)ph_os_purge(at, bytes);
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

/* ---- reservations grown from a seed ---------------------------------------------------------- */

/* One inaccessible OS page that the system was told not to back with huge pages; 0: none, or in use. */
static uintptr_t seed;

void ph_os_seed(void)
{
    void *page = ph_os_reserve(ph_os_page_bytes(), ph_os_page_bytes());
    if (page == NULL)
        return;
    ph_os_no_huge(page, ph_os_page_bytes());
    __atomic_store_n(&seed, (uintptr_t)page, __ATOMIC_RELEASE);
}

/* What mremap moves and grows keeps its advice.  Of the grown range its last page is the next seed. */
static char *os_grow_seed(size_t bytes, size_t align)
{
    const size_t os_page = ph_os_page_bytes();
    const uintptr_t old = __atomic_exchange_n(&seed, 0, __ATOMIC_ACQUIRE);
    if (old == 0 || bytes + align < bytes)
        return NULL;
    const size_t grown = bytes + align + os_page;
    const long got = os_call(__NR_mremap, (long)old, (long)os_page, (long)grown, MREMAP_MAYMOVE, 0, 0);
    if (os_failed(got)) {
        __atomic_store_n(&seed, old, __ATOMIC_RELEASE);
        return NULL;
    }
    const uintptr_t at = (uintptr_t)got, start = (at + align - 1) & ~(uintptr_t)(align - 1);
    if (start > at)
        ph_os_unmap((void *)at, start - at);
    const size_t tail = at + grown - (start + bytes) - os_page;
    if (tail > 0)
        ph_os_unmap((void *)(start + bytes + os_page), tail);
    __atomic_store_n(&seed, start + bytes, __ATOMIC_RELEASE);
    return (char *)start;
}

void *ph_os_reserve_no_huge(size_t bytes, size_t align)
{
    char *got = os_grow_seed(bytes, align);
    return got != NULL ? got : ph_os_reserve(bytes, align);
}

void ph_os_name(void *at, size_t bytes, const char *name)
{
    enum { SET_VMA = 0x53564d41, ANON_NAME = 0 }; /* linux/prctl.h, newer than some systems' */
    (void)os_call(__NR_prctl, SET_VMA, ANON_NAME, (long)at, (long)bytes, (long)name, 0);
}

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
    return os_call(__NR_futex, (long)word, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0, (long)word, 0) != -EFAULT;
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

/* The same call as a lock's, so that a filter which lets locks work lets this. */
void ph_os_sleep(uint64_t nanoseconds)
{
    uint32_t nobody_wakes = 0;
    ph_os_wait(&nobody_wakes, 0, nanoseconds);
}

void ph_os_yield(void) { ph_os_sleep(1); }

uint32_t ph_os_pid(void) { return (uint32_t)os_call(__NR_getpid, 0, 0, 0, 0, 0, 0); }

static uint32_t os_gettid(void) { return (uint32_t)os_call(__NR_gettid, 0, 0, 0, 0, 0, 0); }

/* Where libc keeps a thread's number behind the thread pointer: it is right in a child of fork too, and no filter kills
 * for it.  0: not known. */
static uint32_t tid_place;

static void os_tid_find(void)
{
#if defined(__x86_64__) && defined(__GLIBC__)
    enum { WORDS_BEFORE = 16, WORDS = 512 }; /* struct pthread is over 2 KB, and its head is ABI */
    const uint32_t *self = (const uint32_t *)__builtin_thread_pointer(), tid = os_gettid();
    for (uint32_t i = WORDS_BEFORE; i < WORDS && tid_place == 0; i++)
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
    const uint64_t *kernel = (const uint64_t *)(told_random != 0 ? told_random : getauxval(AT_RANDOM));
    uint64_t word = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) + (ph_os_clock_ms() << 32);
    word = os_mix(word ^ (uint64_t)(uintptr_t)&word);
    return kernel ? os_mix(os_mix(word ^ kernel[0]) + kernel[1]) : word;
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
