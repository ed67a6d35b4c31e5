/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* report.c -- the malloc family's figures and settings: mallinfo2 and its kin, mallopt, malloc_trim.
 *
 * Owns:    nothing.
 * Calls:   walk.c for exact sums, heap.c to trim.
 * Why:     glibc's layout of each report, with true figures, so that tools which read them go on.
 * Source:  mallinfo(3), malloc_info(3), malloc_stats(3), mallopt(3), malloc_trim(3). */
#include "../lib/internal.h"
#include "family.h"

#include <errno.h>
#include <stdio.h>

#include "../lib/small.h"

static struct heap_sums process_sums(void)
{
    struct heap_sums sums = {0};
    struct heap *hp = ph_heap_process();
    if (hp != NULL)
        ph_walk_sums(hp, &sums);
    return sums;
}

/* arena and fordblks count what is not in mappings of its own, as glibc's do. */
EXPORT struct mallinfo2 mallinfo2(void)
{
    const struct heap_sums sums = process_sums();
    const size_t small = (size_t)(sums.live_bytes - sums.large_live_bytes);
    const size_t arena = (size_t)(sums.committed_bytes - sums.large_bytes);
    return (struct mallinfo2){
        .arena = arena,
        .ordblks = (size_t)sums.free_blocks,
        .hblks = (size_t)sums.large_blocks,
        .hblkhd = (size_t)sums.large_bytes,
        .uordblks = small,
        .fordblks = arena - small,
        .keepcost = (size_t)sums.dirty_bytes,
    };
}

static int clipped(size_t value) { return value > INT32_MAX ? INT32_MAX : (int)value; }

EXPORT struct mallinfo mallinfo(void)
{
    const struct mallinfo2 wide = mallinfo2();
    return (struct mallinfo){
        .arena = clipped(wide.arena),
        .ordblks = clipped(wide.ordblks),
        .hblks = clipped(wide.hblks),
        .hblkhd = clipped(wide.hblkhd),
        .uordblks = clipped(wide.uordblks),
        .fordblks = clipped(wide.fordblks),
        .keepcost = clipped(wide.keepcost),
    };
}

EXPORT void malloc_stats(void)
{
    const struct heap_sums sums = process_sums();
    const unsigned long long system = sums.committed_bytes - sums.large_bytes;
    const unsigned long long in_use = sums.live_bytes - sums.large_live_bytes;
    fprintf(stderr, "Arena 0:\nsystem bytes     = %10llu\nin use bytes     = %10llu\n", system, in_use);
    fprintf(stderr, "Total (incl. mmap):\nsystem bytes     = %10llu\nin use bytes     = %10llu\n",
            (unsigned long long)sums.committed_bytes, (unsigned long long)sums.live_bytes);
    fprintf(stderr, "max mmap regions = %10llu\nmax mmap bytes   = %10llu\n",
            (unsigned long long)sums.large_blocks, (unsigned long long)sums.large_bytes);
}

EXPORT int malloc_info(int options, FILE *stream)
{
    if (options != 0)
        return EINVAL;
    const struct heap_sums sums = process_sums();
    const unsigned long long system = sums.committed_bytes - sums.large_bytes;
    fprintf(stream, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n");
    fprintf(stream, "<total type=\"fast\" count=\"0\" size=\"0\"/>\n<total type=\"rest\" count=\"%llu\" size=\"%llu\"/>\n",
            (unsigned long long)sums.free_blocks,
            system - (unsigned long long)(sums.live_bytes - sums.large_live_bytes));
    fprintf(stream, "<system type=\"current\" size=\"%llu\"/>\n<system type=\"max\" size=\"%llu\"/>\n", system, system);
    fprintf(stream, "<aspace type=\"total\" size=\"%llu\"/>\n<aspace type=\"mprotect\" size=\"%llu\"/>\n</heap>\n",
            (unsigned long long)sums.reserved_bytes, system);
    fprintf(stream, "<total type=\"mmap\" count=\"%llu\" size=\"%llu\"/>\n",
            (unsigned long long)sums.large_blocks, (unsigned long long)sums.large_bytes);
    fprintf(stream, "<system type=\"current\" size=\"%llu\"/>\n</malloc>\n", (unsigned long long)sums.committed_bytes);
    return 0;
}

/* Settings of glibc's own engine: taken, as glibc takes them, with nothing here to tune.  0 for the
 * two values that glibc refuses. */
EXPORT int mallopt(int parameter, int value)
{
    enum { MXFAST_MOST = 160, MMAP_THRESHOLD_MOST = 32 << 20 };
    if (parameter == M_MXFAST)
        return value >= 0 && value <= MXFAST_MOST;
    if (parameter == M_MMAP_THRESHOLD)
        return value >= 0 && value <= MMAP_THRESHOLD_MOST;
    return 1;
}

/* 1 when memory went back to the system. */
EXPORT int malloc_trim(size_t pad)
{
    (void)pad;
    struct heap *hp = ph_heap_process();
    return hp != NULL && ph_heap_trim(hp);
}

ALIAS(mallopt) int __libc_mallopt(int parameter, int value);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* mallinfo is: its copy serves those who still ask */
ALIAS(mallinfo) struct mallinfo __libc_mallinfo(void);
