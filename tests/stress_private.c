/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* stress_private.c -- threads that come and go, on private heaps that come and go.
 *
 * A few growable heaps for all, heaps of fixed size, heaps without serialisation under a mutex of ours; and
 * short-lived ones, that a thread makes, lends to a helper thread and destroys when that has said that it is done,
 * so that the next heap gets the same address while the helper still has stacks of the old one.  Each block is
 * filled with a pattern that follows from its address and size, and looked at before it is freed or resized: two
 * blocks that overlap, or one that was lost, show at once.  Arguments: [SECONDS (4)] [SEED (1)] [THREADS (4)]. */
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "heapapi.h"

enum {
    HEAPS = 6, /* for all: kinds in turn, as heap_make says */
    MINE = 64, /* blocks that a thread holds */
    BOXES = 32, /* where threads leave blocks for others */
    LIFE = 3000, /* steps of a thread; then another takes its place */
    THREADS_MOST = 16,
};

enum kind { GROWABLE, FIXED, UNSERIALISED };

struct place {
    HANDLE heap;
    enum kind kind;
    pthread_mutex_t mutex; /* UNSERIALISED: around each call */
    pthread_rwlock_t end; /* of the heap: whoever uses it holds it shared */
    unsigned ends;
};

struct block {
    unsigned char *at; /* NULL: none */
    size_t bytes;
    unsigned place, ends; /* of the heap that it is of; of another `ends` it is gone */
};

static struct place places[HEAPS];
static struct block boxes[BOXES];
static pthread_mutex_t box_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned seed = 1;
static struct timespec end_time;
static unsigned long long steps_done;

static void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("stress_private: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    _Exit(1);
}

static unsigned draw(unsigned *state, unsigned below)
{
    *state = *state * 1664525 + 1013904223;
    return (unsigned)((unsigned long long)(*state >> 4) * below >> 28);
}

static bool is_over(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end_time.tv_sec || (now.tv_sec == end_time.tv_sec && now.tv_nsec >= end_time.tv_nsec);
}

/* ---- the pattern -------------------------------------------------------------------------------- */

static unsigned char byte_of(const unsigned char *block, size_t bytes, size_t i)
{
    return (unsigned char)(((size_t)block >> 4) * 31 + ((size_t)block >> 12) + bytes * 7 + i);
}

/* All of a small block, both ends of a larger one. */
static size_t next_looked_at(size_t i, size_t bytes) { return bytes > 1024 && i == 255 ? bytes - 256 : i + 1; }

static void fill(unsigned char *block, size_t bytes)
{
    for (size_t i = 0; i < bytes; i = next_looked_at(i, bytes))
        block[i] = byte_of(block, bytes, i);
}

/* The first `count` bytes of what was filled as `bytes` at `filled`, wherever it is now. */
static void look(const unsigned char *now, const unsigned char *filled, size_t bytes, size_t count)
{
    for (size_t i = 0; i < count; i = next_looked_at(i, bytes))
        if (now[i] != byte_of(filled, bytes, i))
            fail("byte %zu of %zu at %p (filled at %p) is %02x, not %02x", i, bytes, (const void *)now, (const void *)filled,
                 now[i], byte_of(filled, bytes, i));
}

static size_t draw_bytes(unsigned *state)
{
    const unsigned dice = draw(state, 100);
    if (dice < 70) return draw(state, 300);
    if (dice < 90) return draw(state, 3000);
    if (dice < 99) return draw(state, 40000);
    return draw(state, 1400000);
}

/* ---- heaps -------------------------------------------------------------------------------------- */

static HANDLE heap_make(enum kind kind)
{
    HANDLE heap = HeapCreate(kind == UNSERIALISED ? HEAP_NO_SERIALIZE : 0, 0, kind == FIXED ? (SIZE_T)512 << 10 : 0);
    if (heap == NULL) fail("HeapCreate fails: %u", GetLastError());
    return heap;
}

static void place_enter(struct place *pl)
{
    if (pl->kind == UNSERIALISED) pthread_mutex_lock(&pl->mutex);
}

static void place_leave(struct place *pl)
{
    if (pl->kind == UNSERIALISED) pthread_mutex_unlock(&pl->mutex);
}

static void block_take(struct block *bl, unsigned number, unsigned *state)
{
    struct place *pl = &places[number];
    const size_t bytes = draw_bytes(state);
    const bool zero = draw(state, 4) == 0;
    place_enter(pl);
    unsigned char *at = HeapAlloc(pl->heap, zero ? HEAP_ZERO_MEMORY : 0, bytes);
    place_leave(pl);
    if (at == NULL) {
        if (pl->kind != FIXED) fail("HeapAlloc of %zu bytes fails", bytes);
        return;
    }
    for (size_t i = 0; zero && i < bytes; i = next_looked_at(i, bytes))
        if (at[i] != 0) fail("byte %zu of %zu at %p is not zero", i, bytes, (void *)at);
    fill(at, bytes);
    *bl = (struct block){at, bytes, number, pl->ends};
}

static void block_give(struct block *bl)
{
    struct place *pl = &places[bl->place];
    look(bl->at, bl->at, bl->bytes, bl->bytes);
    place_enter(pl);
    const BOOL done = HeapFree(pl->heap, 0, bl->at);
    place_leave(pl);
    if (!done) fail("HeapFree of %p, %zu bytes, fails", (void *)bl->at, bl->bytes);
    bl->at = NULL;
}

static void block_resize(struct block *bl, unsigned *state)
{
    struct place *pl = &places[bl->place];
    const size_t bytes = draw_bytes(state);
    const bool in_place = draw(state, 4) == 0;
    look(bl->at, bl->at, bl->bytes, bl->bytes);
    place_enter(pl);
    unsigned char *now = HeapReAlloc(pl->heap, in_place ? HEAP_REALLOC_IN_PLACE_ONLY : 0, bl->at, bytes);
    place_leave(pl);
    if (now == NULL) {
        if (!in_place && pl->kind != FIXED) fail("HeapReAlloc of %zu bytes fails", bytes);
        look(bl->at, bl->at, bl->bytes, bl->bytes);
        return;
    }
    if (bytes < bl->bytes && bl->bytes > 1024) /* what is between the ends was not written */
        look(now, bl->at, bl->bytes, bytes < 256 ? bytes : 256);
    else
        look(now, bl->at, bl->bytes, bytes < bl->bytes ? bytes : bl->bytes);
    fill(now, bytes);
    bl->at = now;
    bl->bytes = bytes;
}

static void block_ask(const struct block *bl)
{
    struct place *pl = &places[bl->place];
    place_enter(pl);
    const SIZE_T bytes = HeapSize(pl->heap, 0, bl->at);
    const BOOL valid = HeapValidate(pl->heap, 0, bl->at);
    place_leave(pl);
    if (bytes != bl->bytes || !valid) fail("HeapSize says %zu, not %zu; HeapValidate %d", bytes, bl->bytes, valid);
}

/* ---- whole heaps -------------------------------------------------------------------------------- */

static void heap_walk(HANDLE heap)
{
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    const char *before = NULL;
    HeapLock(heap);
    for (unsigned i = 0; HeapWalk(heap, &entry); i++) {
        if ((entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) && entry.lpData == before) fail("%p is shown twice", entry.lpData);
        if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) before = entry.lpData;
    }
    HeapUnlock(heap);
}

static void place_look(struct place *pl, unsigned *state)
{
    HEAP_SUMMARY sums = {.cb = sizeof sums};
    place_enter(pl);
    switch (draw(state, 5)) {
    case 0:
        if (!HeapValidate(pl->heap, 0, NULL)) fail("a heap is damaged");
        break;
    case 1: heap_walk(pl->heap); break;
    case 2: (void)HeapCompact(pl->heap, 0); break;
    case 3:
        if (!HeapSummary(pl->heap, 0, &sums) || sums.cbAllocated > sums.cbCommitted) fail("HeapSummary is wrong");
        break;
    default:
        HeapLock(pl->heap);
        HeapFree(pl->heap, 0, HeapAlloc(pl->heap, 0, 100));
        HeapUnlock(pl->heap);
        break;
    }
    place_leave(pl);
}

/* The heap and all its blocks go; the next one often has its address.  Nobody else is in it, but threads that were
 * may not know that it is gone. */
static void place_renew(struct place *pl)
{
    pthread_rwlock_wrlock(&pl->end);
    if (!HeapValidate(pl->heap, 0, NULL)) fail("a heap is damaged in the end");
    if (!HeapDestroy(pl->heap)) fail("HeapDestroy fails: %u", GetLastError());
    pl->heap = heap_make(pl->kind);
    pl->ends++;
    pthread_rwlock_unlock(&pl->end);
}

/* ---- a heap for two threads --------------------------------------------------------------------- */

static void *help(void *heap)
{
    unsigned char *mine[50];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 50; i++) {
            if ((mine[i] = HeapAlloc(heap, 0, 20 + i)) == NULL) fail("HeapAlloc fails in a heap for two");
            fill(mine[i], 20 + i);
        }
        for (unsigned i = 0; i < 50; i++) {
            look(mine[i], mine[i], 20 + i, 20 + i);
            if (round < 2 && !HeapFree(heap, 0, mine[i])) fail("HeapFree fails in a heap for two");
        }
    }
    return NULL;
}

/* Made here, used by both, destroyed here; once while the helper's end is on its way. */
static void heap_for_two(unsigned *state)
{
    HANDLE heap = heap_make(GROWABLE);
    pthread_t helper;
    if (pthread_create(&helper, NULL, help, heap) != 0) fail("no thread");
    (void)help(heap);
    pthread_join(helper, NULL);
    if (!HeapValidate(heap, 0, NULL) || !HeapDestroy(heap)) fail("the end of a heap for two fails");
    if (draw(state, 2) == 0) {
        heap = heap_make(GROWABLE);
        (void)help(heap);
        if (!HeapDestroy(heap)) fail("HeapDestroy fails");
    }
}

/* ---- threads ------------------------------------------------------------------------------------ */

static bool is_live(const struct block *bl) { return bl->at != NULL && bl->ends == places[bl->place].ends; }

/* What is in a box for one's own block, or nothing. */
static void box_swap(struct block *bl, unsigned *state)
{
    struct block *box = &boxes[draw(state, BOXES)];
    pthread_mutex_lock(&box_mutex);
    const struct block was = *box;
    *box = *bl;
    pthread_mutex_unlock(&box_mutex);
    *bl = was;
}

static void step(struct block *bl, unsigned *state)
{
    const unsigned number = bl->at != NULL ? bl->place : draw(state, HEAPS);
    struct place *pl = &places[number];
    pthread_rwlock_rdlock(&pl->end);
    if (!is_live(bl)) bl->at = NULL;
    const unsigned dice = draw(state, 1000);
    if (dice < 3)
        place_look(pl, state);
    else if (bl->at == NULL)
        block_take(bl, number, state);
    else if (dice < 600)
        block_give(bl);
    else if (dice < 800)
        block_resize(bl, state);
    else
        block_ask(bl);
    pthread_rwlock_unlock(&pl->end);
}

static void *live(void *number)
{
    static unsigned born;
    struct block mine[MINE] = {{NULL, 0, 0, 0}};
    unsigned state = seed * 7919 + (unsigned)(size_t)number + 104729 * __atomic_add_fetch(&born, 1, __ATOMIC_RELAXED);
    unsigned long long steps = 0;
    for (; steps < LIFE && ((steps & 63) != 0 || !is_over()); steps++) {
        struct block *bl = &mine[draw(&state, MINE)];
        step(bl, &state);
        if (draw(&state, 10) == 0) box_swap(bl, &state);
        if (draw(&state, 2000) == 0) place_renew(&places[draw(&state, HEAPS)]);
        if (draw(&state, 1000) == 0) heap_for_two(&state);
    }
    for (unsigned i = 0; i < MINE; i++) {
        if (mine[i].at == NULL) continue;
        struct place *pl = &places[mine[i].place];
        pthread_rwlock_rdlock(&pl->end);
        if (is_live(&mine[i])) block_give(&mine[i]);
        pthread_rwlock_unlock(&pl->end);
    }
    __atomic_add_fetch(&steps_done, steps, __ATOMIC_RELAXED);
    return NULL;
}

/* Threads in one place, one after the other. */
static void *succeed(void *number)
{
    while (!is_over()) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, live, number) != 0) fail("no thread");
        pthread_join(thread, NULL);
    }
    return NULL;
}

static void end_all(void)
{
    for (unsigned i = 0; i < BOXES; i++)
        if (is_live(&boxes[i])) block_give(&boxes[i]);
    for (unsigned i = 0; i < HEAPS; i++) {
        HEAP_SUMMARY sums = {.cb = sizeof sums};
        if (!HeapValidate(places[i].heap, 0, NULL)) fail("heap %u is damaged", i);
        if (!HeapSummary(places[i].heap, 0, &sums) || sums.cbAllocated != 0) fail("heap %u has %zu bytes left", i, sums.cbAllocated);
        if (!HeapDestroy(places[i].heap)) fail("HeapDestroy fails");
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MOST];
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : 4;
    const unsigned count = argc > 3 ? (unsigned)atoi(argv[3]) : 4;
    seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    if (count < 1 || count > THREADS_MOST) fail("1 to %d threads", THREADS_MOST);
    clock_gettime(CLOCK_MONOTONIC, &end_time);
    const long long end = end_time.tv_nsec + (long long)(seconds * 1e9);
    end_time.tv_sec += (time_t)(end / 1000000000);
    end_time.tv_nsec = (long)(end % 1000000000);
    for (unsigned i = 0; i < HEAPS; i++) {
        places[i].kind = (enum kind)(i % 3);
        places[i].heap = heap_make(places[i].kind);
        pthread_mutex_init(&places[i].mutex, NULL);
        pthread_rwlock_init(&places[i].end, NULL);
    }
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, succeed, (void *)(size_t)i) != 0) fail("no thread");
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    end_all();
    printf("stress_private: %llu steps, seed %u, all was right\n", steps_done, seed);
    return 0;
}
