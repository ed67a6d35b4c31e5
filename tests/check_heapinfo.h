/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_heapinfo.h -- what the files of the suite "heapinfo" share. */
#ifndef CHECK_HEAPINFO_H
#define CHECK_HEAPINFO_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "check_empty_heap.h"
#include "check_heapapi.h"
#include "check_room.h"

void check_heapinfo_add_set(Suite *suite);

enum { KB = 1024, MB = 1024 * KB };

/* NULL, ended, inside a heap, on no heap, not to be read. */
enum { BAD_HANDLES = 5 };
static inline HANDLE bad_handle(int which)
{
    static char on_no_heap[64];
    HANDLE bad[BAD_HANDLES] = {NULL, ended_heap(), (char *)heap + 65536, on_no_heap, (HANDLE)(uintptr_t)0xDEAD0000BEEF0000u};
    return bad[which];
}

static inline ULONG compatibility_of(HANDLE which)
{
    ULONG value = 77;
    SIZE_T bytes = 77;
    ck_assert_int_eq(
        ASK(HeapQueryInformation(which, HeapCompatibilityInformation, &value, sizeof value, &bytes)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(bytes, 4);
    return value;
}

/* Written memory of the heap, all of it free again. */
static inline void leave_free_memory(size_t bytes)
{
    enum { MOST = 64 };
    const size_t count = bytes / (64 * KB);
    void *block[MOST];
    ck_assert_uint_le(count, MOST);
    for (size_t i = 0; i < count; i++)
        memset(block[i] = HeapAlloc(heap, 0, 64 * KB), 1, 64 * KB);
    for (size_t i = 0; i < count; i++)
        HeapFree(heap, 0, block[i]);
}

#endif
