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
#include <pthread.h>
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

static void stats_lines(const char *title, uint64_t system, uint64_t in_use)
{
    fprintf(stderr, "%s:\nsystem bytes     = %10llu\nin use bytes     = %10llu\n", title, (unsigned long long)system,
            (unsigned long long)in_use);
}

/* Whole or not at all, as glibc's: no place where a thread is cancelled. */
EXPORT void malloc_stats(void)
{
    int before;
    const struct heap_sums sums = process_sums();
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    stats_lines("Arena 0", sums.committed_bytes - sums.large_bytes, sums.live_bytes - sums.large_live_bytes);
    stats_lines("Total (incl. mmap)", sums.committed_bytes, sums.live_bytes);
    fprintf(stderr, "max mmap regions = %10llu\nmax mmap bytes   = %10llu\n", (unsigned long long)sums.large_most,
            (unsigned long long)sums.large_most_bytes);
    pthread_setcancelstate(before, NULL);
}

/* What the one heap has, or all of them: `large` is said by the latter only. */
static void info_totals(FILE *stream, const struct heap_sums *sums, bool all)
{
    const uint64_t arena = sums->committed_bytes - sums->large_bytes;
    const uint64_t free_bytes = arena - (sums->live_bytes - sums->large_live_bytes);
    fprintf(stream, "<total type=\"fast\" count=\"0\" size=\"0\"/>\n<total type=\"rest\" count=\"%llu\" size=\"%llu\"/>\n",
            (unsigned long long)sums->free_blocks, (unsigned long long)free_bytes);
    if (all)
        fprintf(stream, "<total type=\"mmap\" count=\"%llu\" size=\"%llu\"/>\n", (unsigned long long)sums->large_blocks,
                (unsigned long long)sums->large_bytes);
    fprintf(stream, "<system type=\"current\" size=\"%llu\"/>\n<system type=\"max\" size=\"%llu\"/>\n",
            (unsigned long long)arena, (unsigned long long)arena);
    fprintf(stream, "<aspace type=\"total\" size=\"%llu\"/>\n<aspace type=\"mprotect\" size=\"%llu\"/>\n",
            (unsigned long long)(sums->reserved_bytes - sums->large_bytes), (unsigned long long)arena);
}

EXPORT int malloc_info(int options, FILE *stream)
{
    if (options != 0)
        return EINVAL;
    const struct heap_sums sums = process_sums();
    fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n", stream);
    info_totals(stream, &sums, false);
    fputs("</heap>\n", stream);
    info_totals(stream, &sums, true);
    fputs("</malloc>\n", stream);
    return 0;
}

/* Settings of glibc's own engine: taken, as glibc takes them, with nothing here to tune.  0 for the
 * one that glibc refuses.  Source: glibc 2.36; M_MMAP_THRESHOLD has no bound there since 2.35. */
EXPORT int mallopt(int parameter, int value)
{
    enum { MXFAST_MOST = 160 };
    return parameter != M_MXFAST || (value >= 0 && value <= MXFAST_MOST);
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
