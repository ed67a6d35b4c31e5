/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_heaps_mimalloc.c -- the patterns of bench_heaps.h on mimalloc's heaps, version 2 or 3.
 *
 * Run it with the libmimalloc to be measured in LD_PRELOAD: its functions are looked up in the process, so
 * that nothing of mimalloc is needed to build us, and any version can be measured.  A call through a pointer
 * costs what one of a linked library costs.
 *
 * A heap of version 2 serves the thread that made it only: no shared heap there.
 * Source: mimalloc.h of 2.0.9 and 3.4.3. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct heap {
    void *heap;
};

typedef bool mi_visitor(const void *heap, const void *area, void *block, size_t bytes, void *arg);

static struct {
    int (*version)(void);
    void *(*heap_new)(void);
    void (*heap_destroy)(void *heap);
    void *(*heap_malloc)(void *heap, size_t bytes);
    void (*free)(void *block);
    bool (*visit_blocks)(void *heap, bool blocks, mi_visitor *visitor, void *arg);
} mi;

static void mi_find(void *pointer, const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    if (!found) {
        fprintf(stderr, "bench: no %s in this process: put mimalloc in LD_PRELOAD\n", name);
        exit(2);
    }
    memcpy(pointer, &found, sizeof found);
}

static inline struct heap heap_new(void)
{
    struct heap heap = {mi.heap_new()};
    if (heap.heap) return heap;
    fprintf(stderr, "bench: mi_heap_new failed\n");
    exit(2);
}

static inline void heap_drop(struct heap heap) { mi.heap_destroy(heap.heap); }
static inline struct heap heap_join(struct heap heap) { return heap; }
static inline void heap_leave(struct heap heap) { (void)heap; }
static inline void *heap_take(struct heap heap, size_t bytes) { return mi.heap_malloc(heap.heap, bytes); }
static inline void heap_give(struct heap heap, void *block)
{
    (void)heap;
    mi.free(block);
}

#include "bench_heaps.h"

/* Called for each area too, without a block. */
static bool count_block(const void *heap, const void *area, void *block, size_t bytes, void *arg)
{
    (void)heap, (void)area, (void)bytes;
    *(uint64_t *)arg += block != NULL;
    return true;
}

static uint64_t heap_visit(struct heap heap)
{
    uint64_t seen = 0;
    mi.visit_blocks(heap.heap, true, count_block, &seen);
    return seen;
}

static void pattern_visit(const struct bench_args *args, const char *name)
{
    visit_line(args, name, heap_visit);
}

int main(int argc, char **argv)
{
    static const struct pattern patterns[] = {
        PATTERNS_OF_ALL, {"visit/64", pattern_visit}, {"shared/8-1024", pattern_shared}
    };
    unsigned count = sizeof patterns / sizeof *patterns;
    mi_find(&mi.version, "mi_version");
    mi_find(&mi.heap_new, "mi_heap_new");
    mi_find(&mi.heap_destroy, "mi_heap_destroy");
    mi_find(&mi.heap_malloc, "mi_heap_malloc");
    mi_find(&mi.free, "mi_free");
    mi_find(&mi.visit_blocks, "mi_heap_visit_blocks");
    return heaps_main(argc, argv, patterns, mi.version() >= 300 ? count : count - 1);
}
