/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* soak.c -- everything at once, for long: threads that come and go, blocks that wander between them, heaps that come and
 * go, forks without rest whose children look at what they inherited, and somebody who walks and validates meanwhile.
 *
 * Arguments: [SECONDS (10)] [SEED (1)].  Wants to be preloaded: malloc and the process heap are one then.  Each block is
 * filled and looked at before it goes.  In the end the resident memory must not exceed what it was after the first
 * third, but for a margin.  What is wrong ends the process with status 1 and a line. */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "heapapi.h"

enum { WORKERS = 4, MINE = 256, BOXES = 128, KEPT = 400, LIFE = 20000, CHILD_SECONDS = 60, MARGIN_KB = 16 << 10 };

struct block {
    unsigned char *at;
    size_t bytes;
    HANDLE heap; /* NULL: malloc's */
};

struct worker {
    struct block mine[MINE];
    HANDLE heap; /* comes and goes */
    unsigned random;
};

static struct worker workers[WORKERS];
static struct block boxes[BOXES], kept[KEPT]; /* kept: the same for all the time, looked at in each child */
static pthread_mutex_t box_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct timespec begun;
static double seconds = 10;
static unsigned long forks, walks, lives, steps;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    char line[300];
    va_list ap;
    va_start(ap, format);
    const int length = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    dprintf(2, "soak: %.*s\n", length, line);
    _exit(1);
}

static unsigned draw(unsigned *random, unsigned below)
{
    *random = *random * 1664525 + 1013904223;
    return (unsigned)((uint64_t)(*random >> 4) * below >> 28);
}

static double elapsed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begun.tv_sec) + (double)(now.tv_nsec - begun.tv_nsec) / 1e9;
}

static bool is_over(void) { return elapsed() >= seconds; }

static void pause_ms(long ms)
{
    const struct timespec wish = {0, ms * 1000000};
    nanosleep(&wish, NULL);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

static unsigned char byte_of(size_t bytes, size_t i) { return (unsigned char)(bytes * 11 + i + 1); }
static size_t next(size_t i, size_t bytes) { return bytes > 1024 && i == 255 ? bytes - 256 : i + 1; }

static void fill(const struct block *bl)
{
    for (size_t i = 0; i < bl->bytes; i = next(i, bl->bytes))
        bl->at[i] = byte_of(bl->bytes, i);
}

static void look(const struct block *bl, const unsigned char *at, size_t count)
{
    for (size_t i = 0; i < bl->bytes && i < count; i = next(i, bl->bytes))
        if (at[i] != byte_of(bl->bytes, i)) fail("byte %zu of %zu at %p is changed", i, bl->bytes, (const void *)at);
}

static size_t draw_bytes(unsigned *random)
{
    const unsigned dice = draw(random, 1000);
    if (dice < 700) return 1 + draw(random, 300);
    if (dice < 930) return 1 + draw(random, 5000);
    if (dice < 995) return 1 + draw(random, 60000);
    return 1 + draw(random, 3 << 20);
}

static void take(struct block *bl, HANDLE heap, size_t bytes)
{
    *bl = (struct block){heap != NULL ? HeapAlloc(heap, 0, bytes) : bytes % 3 == 0 ? calloc(1, bytes) : malloc(bytes), bytes, heap};
    if (bl->at == NULL) fail("%zu bytes are refused", bytes);
    fill(bl);
}

static void give(struct block *bl)
{
    look(bl, bl->at, bl->bytes);
    if (bl->heap == NULL)
        free(bl->at);
    else if (!HeapFree(bl->heap, 0, bl->at))
        fail("HeapFree fails: %u", GetLastError());
    bl->at = NULL;
}

static void resize(struct block *bl, size_t bytes)
{
    unsigned char *at = bl->heap == NULL ? realloc(bl->at, bytes) : HeapReAlloc(bl->heap, 0, bl->at, bytes);
    if (at == NULL) fail("%zu bytes instead of %zu are refused", bytes, bl->bytes);
    look(bl, at, bl->bytes > 1024 && bytes < bl->bytes && bytes > 256 ? 256 : bytes);
    *bl = (struct block){at, bytes, bl->heap};
    fill(bl);
}

/* ---- the workers -------------------------------------------------------------------------------- */

/* The producer's is the consumer's next: whoever finds a block frees it. */
static void exchange(struct block *bl, unsigned *random)
{
    struct block *box = &boxes[draw(random, BOXES)];
    pthread_mutex_lock(&box_mutex);
    const struct block was = *box;
    *box = *bl;
    pthread_mutex_unlock(&box_mutex);
    *bl = was;
    if (bl->at != NULL) give(bl);
}

static void heap_end(struct worker *wk)
{
    for (unsigned i = 0; i < MINE; i++)
        if (wk->mine[i].at != NULL && wk->mine[i].heap == wk->heap) {
            look(&wk->mine[i], wk->mine[i].at, wk->mine[i].bytes);
            wk->mine[i].at = NULL;
        }
    if (!HeapDestroy(wk->heap)) fail("HeapDestroy fails: %u", GetLastError());
    wk->heap = NULL;
}

static void step(struct worker *wk)
{
    struct block *bl = &wk->mine[draw(&wk->random, MINE)];
    const unsigned dice = draw(&wk->random, 1000);
    if (dice < 2) {
        if (wk->heap != NULL)
            heap_end(wk);
        else if ((wk->heap = HeapCreate(0, 0, 0)) == NULL)
            fail("HeapCreate fails: %u", GetLastError());
    } else if (bl->at == NULL) {
        take(bl, dice % 4 == 0 ? wk->heap : dice % 4 == 1 ? GetProcessHeap() : NULL, draw_bytes(&wk->random));
    } else if (dice < 150) {
        resize(bl, draw_bytes(&wk->random));
    } else if (dice < 400 && bl->heap != wk->heap) {
        exchange(bl, &wk->random);
    } else {
        give(bl);
    }
}

static void *life(void *arg)
{
    struct worker *wk = arg;
    for (unsigned i = 0; i < LIFE && (i % 256 != 0 || !is_over()); i++)
        step(wk);
    __atomic_add_fetch(&steps, LIFE, __ATOMIC_RELAXED);
    if (wk->heap != NULL && draw(&wk->random, 2) == 0) heap_end(wk);
    return NULL;
}

/* One thread after the other at this place, each with what the last one left. */
static void *place(void *arg)
{
    while (!is_over()) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, life, arg) != 0) fail("no thread");
        pthread_join(thread, NULL);
        __atomic_add_fetch(&lives, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* ---- forks, walks ------------------------------------------------------------------------------- */

static void *child_thread(void *arg)
{
    struct block bl[40];
    unsigned random = (unsigned)(uintptr_t)arg + 5;
    for (unsigned i = 0; i < 40; i++)
        take(&bl[i], i % 2 ? GetProcessHeap() : NULL, draw_bytes(&random) % 70000 + 1);
    for (unsigned i = 0; i < 40; i++)
        give(&bl[i]);
    return NULL;
}

static void child(unsigned long number)
{
    pthread_t thread;
    alarm(CHILD_SECONDS);
    for (unsigned i = 0; i < KEPT; i++)
        look(&kept[i], kept[i].at, kept[i].bytes);
    (void)child_thread((void *)(uintptr_t)number);
    for (unsigned i = 0; i < KEPT; i += 2)
        give(&kept[i]);
    if (number % 4 == 0 && pthread_create(&thread, NULL, child_thread, NULL) == 0) pthread_join(thread, NULL);
    if (number % 8 == 0 && !HeapValidate(GetProcessHeap(), 0, NULL)) fail("the heap is damaged in a child");
    _exit(0);
}

static void *forker(void *arg)
{
    (void)arg;
    for (; !is_over(); __atomic_add_fetch(&forks, 1, __ATOMIC_RELAXED)) {
        int status = 0;
        const pid_t pid = fork();
        if (pid < 0) fail("fork fails");
        if (pid == 0) child(forks);
        while (waitpid(pid, &status, 0) != pid)
            continue;
        if (status != 0) fail("a child ends with status %#x", (unsigned)status);
    }
    return NULL;
}

static void *inspector(void *arg)
{
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    HEAP_SUMMARY sums = {.cb = sizeof sums};
    HANDLE heap = GetProcessHeap();
    (void)arg;
    for (; !is_over(); __atomic_add_fetch(&walks, 1, __ATOMIC_RELAXED)) {
        if (!HeapValidate(heap, 0, NULL)) fail("the heap is damaged");
        if (!HeapSummary(heap, 0, &sums) || sums.cbAllocated > sums.cbCommitted) fail("HeapSummary is wrong");
        entry.lpData = NULL;
        if (!HeapLock(heap)) fail("HeapLock fails");
        while (HeapWalk(heap, &entry))
            continue;
        if (GetLastError() != ERROR_NO_MORE_ITEMS) fail("HeapWalk ends with %u", GetLastError());
        if (!HeapUnlock(heap)) fail("HeapUnlock fails");
        if (walks % 16 == 0) (void)HeapCompact(heap, 0);
        pause_ms(20);
    }
    return NULL;
}

/* ---- resident memory ---------------------------------------------------------------------------- */

static long resident_kb(void)
{
    char text[128];
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0) close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *second = strchr(text, ' ');
    return second != NULL ? atol(second + 1) * (sysconf(_SC_PAGESIZE) / 1024) : 0;
}

/* The most in the second quarter and in the last quarter. */
static void watch(long *early, long *late)
{
    for (; !is_over(); pause_ms(50)) {
        const long now = resident_kb();
        const double part = elapsed() / seconds;
        long *most = part >= 0.75 ? late : part >= 0.25 && part < 0.5 ? early : NULL;
        if (most != NULL && now > *most) *most = now;
    }
}

static unsigned busy_blocks(void)
{
    unsigned count = 0;
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    while (HeapWalk(GetProcessHeap(), &entry))
        count += (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) != 0;
    return count;
}

static void give_all(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        if (workers[i].heap != NULL) heap_end(&workers[i]);
        for (unsigned b = 0; b < MINE; b++)
            if (workers[i].mine[b].at != NULL) give(&workers[i].mine[b]);
    }
    for (unsigned i = 0; i < BOXES; i++)
        if (boxes[i].at != NULL) give(&boxes[i]);
    for (unsigned i = 0; i < KEPT; i++)
        give(&kept[i]);
}

int main(int argc, char **argv)
{
    unsigned random = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    pthread_t thread[WORKERS + 2];
    long early = 0, late = 0;
    if (argc > 1) seconds = atof(argv[1]);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    const unsigned before = busy_blocks();
    for (unsigned i = 0; i < KEPT; i++)
        take(&kept[i], i % 3 == 0 ? GetProcessHeap() : NULL, draw_bytes(&random));
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i].random = random + i * 7919;
    for (unsigned i = 0; i < WORKERS + 2; i++)
        if (pthread_create(&thread[i], NULL, i < WORKERS ? place : i == WORKERS ? forker : inspector, i < WORKERS ? &workers[i] : NULL) != 0)
            fail("no thread");
    watch(&early, &late);
    for (unsigned i = 0; i < WORKERS + 2; i++)
        pthread_join(thread[i], NULL);
    give_all();
    if (!HeapValidate(GetProcessHeap(), 0, NULL)) fail("the heap is damaged in the end");
    if (busy_blocks() > before + 64) fail("%u blocks are left, %u were there before", busy_blocks(), before);
    printf("%.0f s: %lu steps, %lu threads, %lu forks, %lu walks; resident %ld KB, then %ld KB\n", elapsed(), steps, lives, forks,
           walks, early, late);
    if (late > early + early / 4 + MARGIN_KB) fail("resident memory grows");
    return 0;
}
