/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_heaps.c -- the patterns of bench_heaps.h on our own heaps, HeapWalk and ph_heap_visit. */
#include "heapapi.h"
#include "privheap.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct heap {
    HANDLE handle;
};

static inline struct heap heap_new(void)
{
    struct heap heap = {HeapCreate(0, 0, 0)};
    if (heap.handle) return heap;
    fprintf(stderr, "bench: HeapCreate failed, error %u\n", (unsigned)GetLastError());
    exit(2);
}

static inline void heap_drop(struct heap heap) { HeapDestroy(heap.handle); }
static inline struct heap heap_join(struct heap heap) { return heap; }
static inline void heap_leave(struct heap heap) { (void)heap; }
static inline void *heap_take(struct heap heap, size_t bytes) { return HeapAlloc(heap.handle, 0, bytes); }
static inline void heap_give(struct heap heap, void *block) { HeapFree(heap.handle, 0, block); }

#include "bench_heaps.h"

static uint64_t heap_walk(struct heap heap)
{
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    uint64_t seen = 0;
    HeapLock(heap.handle);
    while (HeapWalk(heap.handle, &entry))
        seen += (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) != 0;
    HeapUnlock(heap.handle);
    return seen;
}

static void pattern_walk(const struct bench_args *args, const char *name)
{
    visit_line(args, name, heap_walk);
}

static BOOL count_block(const struct ph_block *block, void *context)
{
    (void)block;
    ++*(uint64_t *)context;
    return TRUE;
}

static uint64_t heap_visit(struct heap heap)
{
    uint64_t seen = 0;
    ph_heap_visit(heap.handle, count_block, &seen);
    return seen;
}

static void pattern_visit(const struct bench_args *args, const char *name)
{
    visit_line(args, name, heap_visit);
}

int main(int argc, char **argv)
{
    static const struct pattern patterns[] = {
        PATTERNS_OF_ALL,
        {"shared/8-1024", pattern_shared},
        {"walk/64", pattern_walk},
        {"visit/64", pattern_visit},
    };
    return heaps_main(argc, argv, patterns, sizeof patterns / sizeof *patterns);
}
