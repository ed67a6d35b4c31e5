/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* os.c -- asks the operating system for memory; with osproc.c the only file that asks it for anything.
 *
 * Owns:    a cached OS page size, and ranges that could not be unmapped yet.
 * Calls:   the kernel, directly: libc's wrappers touch errno and may not be ready yet in the
 *          first malloc of a process.  invariant.c.
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

#include "invariant.h"
#include "oscall.h"

#include "small.h"

#ifndef MREMAP_MAYMOVE
#define MREMAP_MAYMOVE 1
#define MREMAP_FIXED 2
#endif

/* ---- memory --------------------------------------------------------------------------------- */

static size_t page_pretended; /* 0: the machine's own */

static size_t os_hardware_page_bytes(void)
{
    static size_t bytes;
    if (bytes == 0) {
        const size_t told = getauxval(AT_PAGESZ);
        __atomic_store_n(&bytes, told ? told : 4096, __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&bytes, __ATOMIC_RELAXED);
}

size_t ph_os_page_bytes(void)
{
    const size_t pretended = __atomic_load_n(&page_pretended, __ATOMIC_RELAXED);
    return pretended != 0 ? pretended : os_hardware_page_bytes();
}

bool ph_os_page_pretend(size_t bytes)
{
    if (bytes == 0 || (bytes & (bytes - 1)) != 0 || bytes % os_hardware_page_bytes() != 0)
        return false;
    __atomic_store_n(&page_pretended, bytes, __ATOMIC_RELAXED);
    return true;
}

/* The kernel rounds lengths up by itself, and with small pages a part of a large one is whole: so a mistake
 * would go unseen on the machines that we have. */
static void os_check(const void *at, size_t bytes)
{
    if ((PH_DEBUG >= 1 || page_pretended != 0) && (((uintptr_t)at | bytes) & (ph_os_page_bytes() - 1)) != 0)
        ph_check_failed("whole OS pages", __FILE__, __LINE__);
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

static void os_unmap(void *at, size_t bytes)
{
    if (os_munmap((uintptr_t)at, bytes))
        (void)ph_os_unmap_again();
    else
        left_keep(at, bytes);
}

void ph_os_unmap(void *at, size_t bytes)
{
    os_check(at, bytes);
    os_unmap(at, bytes);
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

/* Map with room to spare and cut head and tail off: alignments above the machine's page. */
static void *os_map_aligned(size_t bytes, size_t align, int protection)
{
    os_check(NULL, bytes);
    if (align < ph_os_page_bytes())
        align = ph_os_page_bytes();
    char *at = os_mmap(bytes, protection);
    if (at == NULL || ((uintptr_t)at & (align - 1)) == 0)
        return at;
    os_unmap(at, bytes);
    if (bytes + align < bytes)
        return NULL;
    at = os_mmap(bytes + align, protection);
    if (at == NULL)
        return NULL;
    char *start = (char *)(((uintptr_t)at + align - 1) & ~(uintptr_t)(align - 1));
    if (start > at)
        os_unmap(at, (size_t)(start - at));
    const size_t tail = (size_t)(at + align - start);
    if (tail > 0)
        os_unmap(start + bytes, tail);
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
    os_check(at, bytes);
    return (int)-os_call(__NR_mprotect, (long)at, (long)bytes, protection, 0, 0, 0);
}

int ph_os_protect(void *at, size_t bytes)
{
    return (int)-os_call(__NR_mprotect, (long)at, (long)bytes, PROT_NONE, 0, 0, 0);
}

int ph_os_purge(void *at, size_t bytes)
{
    os_check(at, bytes);
    return (int)-os_call(__NR_madvise, (long)at, (long)bytes, MADV_DONTNEED, 0, 0, 0);
}

int ph_os_guard(void *at, size_t bytes, bool install)
{
    enum { GUARD_INSTALL = 102, GUARD_REMOVE = 103 }; /* linux/mman.h, newer than some systems' */
    long got;
    os_check(at, bytes);
    do
        got = os_call(__NR_madvise, (long)at, (long)bytes, install ? GUARD_INSTALL : GUARD_REMOVE, 0, 0, 0);
    while (got == -EINTR); /* after some of it */
    return (int)-got;
}

bool ph_os_remap(void *at, size_t old_bytes, size_t new_bytes)
{
    os_check(at, old_bytes | new_bytes);
    return !os_failed(os_call(__NR_mremap, (long)at, (long)old_bytes, (long)new_bytes, 0, 0, 0));
}

bool ph_os_remap_to(void *at, size_t old_bytes, void *target, size_t new_bytes)
{
    os_check(at, old_bytes | new_bytes);
    os_check(target, 0);
    return !os_failed(os_call(__NR_mremap, (long)at, (long)old_bytes, (long)new_bytes,
                              MREMAP_MAYMOVE | MREMAP_FIXED, (long)target, 0));
}

void ph_os_no_huge(void *at, size_t bytes)
{
    os_check(at, bytes);
    (void)os_call(__NR_madvise, (long)at, (long)bytes, MADV_NOHUGEPAGE, 0, 0, 0);
}

void ph_os_huge(void *at, size_t bytes)
{
    os_check(at, bytes);
    (void)os_call(__NR_madvise, (long)at, (long)bytes, MADV_HUGEPAGE, 0, 0, 0);
}

/* ---- reservations grown from a seed ---------------------------------------------------------- */

/* Inaccessible OS pages with an advice: one that says not to back it with huge pages, one that asks for them.
 * 0: none, or in use. */
enum seed_kind { SEED_NO_HUGE, SEED_HUGE, SEEDS };
static uintptr_t seed[SEEDS];

void ph_os_seed(bool huge)
{
    const size_t os_page = ph_os_page_bytes();
    char *pages = ph_os_reserve(huge ? 2 * os_page : os_page, os_page);
    if (pages == NULL)
        return;
    ph_os_no_huge(pages, os_page);
    __atomic_store_n(&seed[SEED_NO_HUGE], (uintptr_t)pages, __ATOMIC_RELEASE);
    if (!huge)
        return;
    ph_os_huge(pages + os_page, os_page);
    __atomic_store_n(&seed[SEED_HUGE], (uintptr_t)pages + os_page, __ATOMIC_RELEASE);
}

/* What mremap moves and grows keeps its advice.  Of the grown range its last page is the next seed. */
static char *os_grow_seed(enum seed_kind kind, size_t bytes, size_t align)
{
    const size_t os_page = ph_os_page_bytes();
    const uintptr_t old = __atomic_exchange_n(&seed[kind], 0, __ATOMIC_ACQUIRE);
    if (old == 0 || bytes + align < bytes)
        return NULL;
    const size_t grown = bytes + align + os_page;
    const long got = os_call(__NR_mremap, (long)old, (long)os_page, (long)grown, MREMAP_MAYMOVE, 0, 0);
    if (os_failed(got)) {
        __atomic_store_n(&seed[kind], old, __ATOMIC_RELEASE);
        return NULL;
    }
    const uintptr_t at = (uintptr_t)got, start = (at + align - 1) & ~(uintptr_t)(align - 1);
    if (start > at)
        os_unmap((void *)at, start - at);
    const size_t tail = at + grown - (start + bytes) - os_page;
    if (tail > 0)
        os_unmap((void *)(start + bytes + os_page), tail);
    __atomic_store_n(&seed[kind], start + bytes, __ATOMIC_RELEASE);
    return (char *)start;
}

bool ph_os_pin(void *page)
{
    const size_t os_page = ph_os_page_bytes();
    char *grown = os_grow_seed(SEED_NO_HUGE, os_page, os_page);
    if (grown == NULL)
        return false;
    if (ph_os_commit(grown, os_page, false) == 0 && ph_os_remap_to(grown, os_page, page, os_page))
        return true;
    os_unmap(grown, os_page);
    return false;
}

void *ph_os_reserve_no_huge(size_t bytes, size_t align)
{
    char *got = os_grow_seed(SEED_NO_HUGE, bytes, align);
    return got != NULL ? got : ph_os_reserve(bytes, align);
}

void *ph_os_reserve_huge(size_t bytes, size_t align)
{
    char *got = os_grow_seed(SEED_HUGE, bytes, align);
    return got != NULL ? got : ph_os_reserve(bytes, align);
}

uint64_t ph_os_cpu_ns(bool process)
{
    struct timespec now = {0};
    const long id = process ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_THREAD_CPUTIME_ID;
    if (os_failed(os_call(__NR_clock_gettime, id, (long)&now, 0, 0, 0, 0)))
        return 0;
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void ph_os_name(void *at, size_t bytes, const char *name)
{
    enum { SET_VMA = 0x53564d41, ANON_NAME = 0 }; /* linux/prctl.h, newer than some systems' */
    os_check(at, bytes);
    (void)os_call(__NR_prctl, SET_VMA, ANON_NAME, (long)at, (long)bytes, (long)name, 0);
}

