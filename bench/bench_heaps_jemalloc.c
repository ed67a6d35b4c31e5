/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_heaps_jemalloc.c -- the patterns of bench_heaps.h on arenas of jemalloc, its nearest thing to heaps.
 *
 * Each with an explicit thread cache, one for each thread that uses it: without it every call takes a lock,
 * and the automatic one mixes arenas up.  They cannot be walked, and there are 4,095 at most.
 * Run it with libjemalloc in LD_PRELOAD: its functions are looked up in the process, so that nothing of
 * jemalloc is needed to build us.  Source: jemalloc(3) and jemalloc_macros.h of 5.3. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct heap {
    unsigned arena, cache;
    int flags; /* of mallocx and dallocx */
};

static struct {
    int (*control)(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);
    int (*find)(const char *name, size_t *mib, size_t *count);
    int (*by_mib)(const size_t *mib, size_t count, void *old, size_t *old_bytes, void *new, size_t new_bytes);
    void *(*mallocx)(size_t bytes, int flags);
    void (*dallocx)(void *block, int flags);
    size_t destroy[3]; /* "arena.<i>.destroy" */
} je;

static void je_find(void *pointer, const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    if (!found) {
        fprintf(stderr, "bench: no %s in this process: put jemalloc in LD_PRELOAD\n", name);
        exit(2);
    }
    memcpy(pointer, &found, sizeof found);
}

static void je_must(int error, const char *what)
{
    if (error == 0) return;
    fprintf(stderr, "bench: jemalloc: %s: %s\n", what, strerror(error));
    exit(2);
}

/* jemalloc_macros.h: MALLOCX_ARENA and MALLOCX_TCACHE. */
static int je_flags(unsigned arena, unsigned cache) { return (int)((arena + 1) << 20 | (cache + 2) << 8); }

static struct heap heap_join(struct heap heap)
{
    size_t bytes = sizeof heap.cache;
    je_must(je.control("tcache.create", &heap.cache, &bytes, NULL, 0), "tcache.create");
    heap.flags = je_flags(heap.arena, heap.cache);
    return heap;
}

static void heap_leave(struct heap heap)
{
    je_must(je.control("tcache.destroy", NULL, NULL, &heap.cache, sizeof heap.cache), "tcache.destroy");
}

static struct heap heap_new(void)
{
    struct heap heap = {0};
    size_t bytes = sizeof heap.arena;
    je_must(je.control("arenas.create", &heap.arena, &bytes, NULL, 0), "arenas.create");
    return heap_join(heap);
}

static void heap_drop(struct heap heap)
{
    heap_leave(heap);
    je.destroy[1] = heap.arena;
    je_must(je.by_mib(je.destroy, 3, NULL, NULL, NULL, 0), "arena.<i>.destroy");
}

static inline void *heap_take(struct heap heap, size_t bytes) { return je.mallocx(bytes, heap.flags); }
static inline void heap_give(struct heap heap, void *block) { je.dallocx(block, heap.flags); }

#include "bench_heaps.h"

int main(int argc, char **argv)
{
    static const struct pattern patterns[] = {PATTERNS_OF_ALL, {"shared/8-1024", pattern_shared}};
    size_t count = 3;
    je_find(&je.control, "mallctl");
    je_find(&je.find, "mallctlnametomib");
    je_find(&je.by_mib, "mallctlbymib");
    je_find(&je.mallocx, "mallocx");
    je_find(&je.dallocx, "dallocx");
    je_must(je.find("arena.0.destroy", je.destroy, &count), "mallctlnametomib");
    return heaps_main(argc, argv, patterns, sizeof patterns / sizeof *patterns);
}
