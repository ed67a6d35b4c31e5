/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_heapapi.h -- what the files of the suites "heapapi" and "walk" share. */
#ifndef CHECK_HEAPAPI_H
#define CHECK_HEAPAPI_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "windows.h"

/* A last error that nobody sets: ASK(call) shows whether the call left it alone. */
#define SENTINEL              0xBADC0DE5u
#define ASK(call)             (SetLastError(SENTINEL), (call))
#define ck_assert_last(error) ck_assert_uint_eq(GetLastError(), (error))

void check_heapapi_add_blocks(Suite *suite);
void check_heapapi_add_bad(Suite *suite);

/* Resident bytes of this process. */
static inline size_t check_heapapi_resident(void)
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

#endif
