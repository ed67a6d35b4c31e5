/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_process.h -- what suites ask of their own process, and how a child of theirs fails. */
#ifndef CHECK_PROCESS_H
#define CHECK_PROCESS_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulated.h"

/* 0: nobody can tell. */
static inline size_t resident_bytes(void)
{
#if defined(__SANITIZE_THREAD__)
    return 0; /* most of it is the sanitizer's */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return 0;
#endif
#endif
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL) return 0; /* valgrind's as well */
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%lu %lu", &all, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- a child that may die ---- */

struct child_end {
    int status;      /* as waitpid gives it */
    char text[1024]; /* what it said on standard error */
};

/* Forked: what it says on standard error comes out at *from, and it leaves no core. */
static inline pid_t child_begin(int *from)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const struct rlimit no_core = { 0, 0 };
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)dup2(ends[1], STDERR_FILENO);
    }
    close(ends[1]);
    *from = ends[0];
    return child;
}

static inline struct child_end child_wait(pid_t child, int from)
{
    struct child_end end = { 0 };
    size_t used = 0;
    for (ssize_t got = 1; got > 0 && used < sizeof end.text - 1; used += (size_t)got)
        got = read(from, end.text + used, sizeof end.text - 1 - used);
    close(from);
    ck_assert_int_eq(waitpid(child, &end.status, 0), child);
    emulated_text_cut(end.text);
    return end;
}

/* Inside a child: assertions of Check belong to its parent. */
#define CHILD_NEEDS(cond)                                                                                    \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            (void)!write(STDERR_FILENO, #cond "\n", sizeof #cond);                                           \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

#endif
