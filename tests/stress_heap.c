/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* stress_heap.c -- the stress over HeapAlloc and its kin: on the process heap (`process`), or a private heap
 * that is new (`private`).  First argument, then those of stress_shadow.h.  In the end the heap must be
 * sound, and a walk must show exactly the blocks that it showed before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heapapi.h"
#include "stress_shadow.h"

static HANDLE heap;

static void *take(size_t bytes)
{
    return HeapAlloc(heap, 0, bytes);
}

static void *take_zeroed(size_t bytes)
{
    return HeapAlloc(heap, HEAP_ZERO_MEMORY, bytes);
}

static void *resize(void *block, size_t bytes, unsigned dice, bool *zeroed)
{
    *zeroed = dice % 3 == 0;
    if (dice % 5 == 0 && HeapReAlloc(heap, HEAP_REALLOC_IN_PLACE_ONLY, block, bytes)) {
        *zeroed = false;
        return block;
    }
    return HeapReAlloc(heap, *zeroed ? HEAP_ZERO_MEMORY : 0, block, bytes);
}

static void give(void *block, size_t bytes, size_t align)
{
    (void)bytes;
    (void)align;
    if (!HeapFree(heap, 0, block)) stress_fail("HeapFree refuses %p: error %u", block, GetLastError());
    if (HeapFree(heap, 0, NULL) != TRUE) stress_fail("HeapFree refuses NULL");
}

static size_t usable(void *block, size_t bytes)
{
    SIZE_T known = HeapSize(heap, 0, block);
    if (known != bytes) stress_fail("block %p of %zu bytes has HeapSize %zu", block, bytes, known);
    if (!HeapValidate(heap, 0, block)) stress_fail("HeapValidate refuses block %p", block);
    return bytes;
}

static const struct stress_calls heap_calls = {take, take_zeroed, NULL, resize, give, usable};

static unsigned busy_blocks(void)
{
    unsigned count = 0;
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    HeapLock(heap);
    while (HeapWalk(heap, &entry))
        count += (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) != 0;
    HeapUnlock(heap);
    return count;
}

int main(int argc, char **argv)
{
    bool process = argc > 1 && strcmp(argv[1], "process") == 0;
    if (!process && (argc < 2 || strcmp(argv[1], "private") != 0)) {
        fputs("usage: stress_heap process|private [-s SEED] [-t SECONDS] [-n THREADS] [-x]\n", stderr);
        return 2;
    }
    heap = process ? GetProcessHeap() : HeapCreate(0, 0, 0);
    unsigned before = busy_blocks();
    int status = stress_shadow(argc - 1, argv + 1, process ? "stress_heap process" : "stress_heap private",
                               &heap_calls);
    if (!HeapValidate(heap, 0, NULL)) stress_fail("the heap is damaged");
    if (busy_blocks() != before)
        stress_fail("%u blocks are left, %u were there before", busy_blocks(), before);
    if (!process && !HeapDestroy(heap)) stress_fail("HeapDestroy fails");
    return status;
}
