/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_process.h -- what suites ask of their own process, and how a child of theirs fails. */
#ifndef CHECK_PROCESS_H
#define CHECK_PROCESS_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Inside a child: assertions of Check belong to its parent. */
#define CHILD_NEEDS(cond)                                                                                    \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            (void)!write(STDERR_FILENO, #cond "\n", sizeof #cond);                                           \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

#endif
