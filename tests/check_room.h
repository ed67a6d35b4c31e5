/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_room.h -- what the suites of single rooms share: a heap, one request, a child that may die. */
#ifndef CHECK_ROOM_H
#define CHECK_ROOM_H

#include <check.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_process.h"
#include "emulated.h"
#include "hot.h"

#define COUNT(table) (int)(sizeof table / sizeof table[0])

/* ---- heaps and blocks ---- */

static inline struct heap *room_heap_with(unsigned flags, size_t max_bytes)
{
    struct heap *hp = ph_heap_create(flags, max_bytes != 0 && max_bytes < 4 << 20 ? max_bytes : 4 << 20, max_bytes);
    ck_assert_ptr_nonnull(hp);
    return hp;
}

/* All in pages and runs, also where there is a bound. */
static inline struct heap *room_heap(size_t max_bytes) { return room_heap_with(HEAPF_PAGED, max_bytes); }

/* As programs have it: a growing one begins with packed memory, a bounded one has nothing else. */
static inline struct heap *room_packed_heap(size_t max_bytes) { return room_heap_with(0, max_bytes); }

static inline void *room_alloc(struct heap *hp, size_t bytes, bool sized)
{
    const struct request rq = {.bytes = bytes, .sized = sized};
    return ph_heap_alloc(hp, &rq);
}

static inline struct heap_sums room_sums(struct heap *hp)
{
    struct heap_sums sums;
    ph_walk_sums(hp, &sums);
    return sums;
}

static inline unsigned room_kind(const void *at) { return entry_kind(map_get(at)); }

/* A small generator: the same row of numbers in each run. */
static inline uint32_t room_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Is every OS page of a range mapped, whatever its protection?  Source: mincore(2), ENOMEM. */
static inline bool room_is_mapped(const void *at, size_t bytes)
{
    unsigned char seen[16]; /* a byte for each page of the hardware, in one of 64 KB that we only pretend */
    const uintptr_t os_page = ph_os_page_bytes(), end = (uintptr_t)at + bytes;
    for (uintptr_t page = (uintptr_t)at & ~(os_page - 1); page < end; page += os_page)
        if (mincore((void *)page, os_page, seen) != 0)
            return false;
    return true;
}

/* From now on the system refuses that call in this process.  False: it cannot be made to. */
static inline bool room_refuses(unsigned call)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = COUNT(filter), .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* ---- a child that may die ---- */

static inline struct child_end room_child(void (*act)(void *), void *with)
{
    int from;
    const pid_t child = child_begin(&from);
    if (child == 0) {
        act(with);
        _exit(0);
    }
    return child_wait(child, from);
}

/* It came to its end. */
static inline void room_lives(void (*act)(void *), void *with)
{
    const struct child_end end = room_child(act, with);
    ck_assert_msg(end.status == 0, "child ended with status %#x: %s", (unsigned)end.status, end.text);
}

/* It did not; a sanitizer turns the signal of a fault into an exit. */
static inline void room_faults(void (*act)(void *), void *with)
{
    ck_assert_int_ne(room_child(act, with).status, 0);
}

/* It was ended by us, with a line that has this text. */
static inline void room_aborts(void (*act)(void *), void *with, const char *text)
{
    const struct child_end end = room_child(act, with);
    ck_assert(WIFSIGNALED(end.status));
    ck_assert_int_eq(WTERMSIG(end.status), SIGABRT);
    ck_assert_msg(strstr(end.text, text) != NULL, "\"%s\" is not in: %s", text, end.text);
}

/* It follows no threads that the child of a process with several makes; nor does an emulator. */
static inline bool room_is_thread_sanitized(void)
{
#if defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

static inline bool room_is_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* Let this process (a child) have so many bytes of address space more, and no more.  Valgrind needs some
 * of its own, from the same limit, and an emulator takes none: there the child does without the rest of its test. */
static inline void room_limit(size_t more)
{
    unsigned long pages = 0;
    if (room_is_under_valgrind() || is_emulated()) _exit(0);
    FILE *file = fopen("/proc/self/statm", "r");
    CHILD_NEEDS(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    const rlim_t bytes = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
    const struct rlimit limit = {bytes, bytes};
    CHILD_NEEDS(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* ---- running ---- */

/* Valgrind takes its time.  Rooms below the heap know of no option: OS pages are as large as it says for them too. */
__attribute__((constructor)) static void room_begin(void)
{
    const char *os_page = getenv("PRIVHEAP_OS_PAGE");
    setenv("CK_DEFAULT_TIMEOUT", "180", 0);
    if (os_page != NULL) (void)ph_os_page_pretend(strtoul(os_page, NULL, 0));
}

static inline int room_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A test case in the suite, with that fixture around each of its tests. */
static inline TCase *room_case(Suite *suite, const char *name, void (*setup)(void), void (*teardown)(void))
{
    TCase *made = tcase_create(name);
    tcase_add_checked_fixture(made, setup, teardown);
    suite_add_tcase(suite, made);
    return made;
}

#endif
