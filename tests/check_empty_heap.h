/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_empty_heap.h -- the heap that suites of the Win32 face work in: a growable one, new for each test. */
#ifndef CHECK_EMPTY_HEAP_H
#define CHECK_EMPTY_HEAP_H

#include <check.h>

#include "heapapi.h"

static HANDLE heap;

static inline void setup_empty_heap(void)
{
    heap = HeapCreate(0, 0, 0);
    ck_assert_ptr_nonnull(heap);
}

static inline void teardown_heap(void)
{
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}

/* A handle that is none any more. */
static inline HANDLE ended_heap(void)
{
    HANDLE ended = HeapCreate(0, 0, 0);
    ck_assert_int_eq(HeapDestroy(ended), TRUE);
    return ended;
}

#endif
