/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* report.c -- the malloc family's figures and settings: mallinfo2 and its kin, mallopt, malloc_trim.
 *
 * Owns:    nothing.
 * Calls:   walk.c for exact sums, heap.c to trim.
 * Why:     glibc's layout of each report, with true figures, so that tools which read them go on.
 * Source:  mallinfo(3), malloc_info(3), malloc_stats(3), mallopt(3), malloc_trim(3). */
#include "../lib/internal.h"
#include "../lib/text.h"
#include "family.h"

#include <dlfcn.h>
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

/* ---- text ------------------------------------------------------------------------------------------ */

/* A whole report: its longest, malloc_info's, has 22 numbers. */
struct sheet {
    size_t used;
    char text[2048];
};

static void put(struct sheet *sh, const char *words)
{
    const size_t room = sizeof sh->text - 1 - sh->used, bytes = text_bytes(words);
    sh->used = (size_t)(text_copy(sh->text + sh->used, words, bytes < room ? bytes : room) - sh->text);
    sh->text[sh->used] = '\0';
}

/* In decimal, with blanks before it up to `width` letters. */
static void put_number(struct sheet *sh, unsigned width, uint64_t value)
{
    enum { DIGITS_MOST = 20 };
    char digits[DIGITS_MOST + 1];
    char *at = digits + DIGITS_MOST;
    *at = '\0';
    do
        *--at = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    while (at > digits + DIGITS_MOST - width)
        *--at = ' ';
    put(sh, at);
}

static void put_attribute(struct sheet *sh, const char *before, uint64_t value)
{
    put(sh, before);
    put_number(sh, 0, value);
}

typedef int put_function(const char *, FILE *);
typedef int cancel_function(int, int *);

/* By names that are looked up here, because the loader would look for them in every process. */
static void write_to(const struct sheet *sh, FILE *stream)
{
    put_function *next = (put_function *)dlsym(RTLD_DEFAULT, "fputs");
    if (next != NULL && stream != NULL)
        (void)next(sh->text, stream);
}

/* Whole or not at all, as glibc's: no place where a thread is cancelled. */
static void write_to_stderr(const struct sheet *sh)
{
    int before = 0;
    FILE **stream = dlsym(RTLD_DEFAULT, "stderr");
    cancel_function *cancel = (cancel_function *)dlsym(RTLD_DEFAULT, "pthread_setcancelstate");
    if (cancel != NULL)
        (void)cancel(PTHREAD_CANCEL_DISABLE, &before);
    write_to(sh, stream != NULL ? *stream : NULL);
    if (cancel != NULL)
        (void)cancel(before, NULL);
}

static void stats_lines(struct sheet *sh, const char *title, uint64_t system, uint64_t in_use)
{
    enum { WIDTH = 10 };
    put(sh, title);
    put(sh, ":\nsystem bytes     = ");
    put_number(sh, WIDTH, system);
    put(sh, "\nin use bytes     = ");
    put_number(sh, WIDTH, in_use);
    put(sh, "\n");
}

EXPORT void malloc_stats(void)
{
    enum { WIDTH = 10 };
    struct sheet sh = {0};
    const struct heap_sums sums = process_sums();
    stats_lines(&sh, "Arena 0", sums.committed_bytes - sums.large_bytes, sums.live_bytes - sums.large_live_bytes);
    stats_lines(&sh, "Total (incl. mmap)", sums.committed_bytes, sums.live_bytes);
    put(&sh, "max mmap regions = ");
    put_number(&sh, WIDTH, sums.large_most);
    put(&sh, "\nmax mmap bytes   = ");
    put_number(&sh, WIDTH, sums.large_most_bytes);
    put(&sh, "\n");
    write_to_stderr(&sh);
}

/* What the one heap has, or all of them: `large` is said by the latter only. */
static void info_totals(struct sheet *sh, const struct heap_sums *sums, bool all)
{
    const uint64_t arena = sums->committed_bytes - sums->large_bytes;
    const uint64_t free_bytes = arena - (sums->live_bytes - sums->large_live_bytes);
    put_attribute(sh, "<total type=\"fast\" count=\"0\" size=\"0\"/>\n<total type=\"rest\" count=\"", sums->free_blocks);
    put_attribute(sh, "\" size=\"", free_bytes);
    if (all) {
        put_attribute(sh, "\"/>\n<total type=\"mmap\" count=\"", sums->large_blocks);
        put_attribute(sh, "\" size=\"", sums->large_bytes);
    }
    put_attribute(sh, "\"/>\n<system type=\"current\" size=\"", arena);
    put_attribute(sh, "\"/>\n<system type=\"max\" size=\"", arena);
    put_attribute(sh, "\"/>\n<aspace type=\"total\" size=\"", sums->reserved_bytes - sums->large_bytes);
    put_attribute(sh, "\"/>\n<aspace type=\"mprotect\" size=\"", arena);
    put(sh, "\"/>\n");
}

EXPORT int malloc_info(int options, FILE *stream)
{
    struct sheet sh = {0};
    if (options != 0)
        return EINVAL;
    const struct heap_sums sums = process_sums();
    put(&sh, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n");
    info_totals(&sh, &sums, false);
    put(&sh, "</heap>\n");
    info_totals(&sh, &sums, true);
    put(&sh, "</malloc>\n");
    write_to(&sh, stream);
    return 0;
}

/* ---- settings -------------------------------------------------------------------------------------- */

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
