/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* stress_walk.c -- blocks of every kind go from thread to thread while others walk, check, sum up and compact the heap.
 *
 *   stress_walk SECONDS SEED      exit status 1 and a line: something was wrong */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "heapapi.h"

enum { MAKERS = 2, TAKERS = 2, WATCHERS = 2, THREADS = MAKERS + TAKERS + WATCHERS, PLACES = 64, OWN = 200 };

static HANDLE heap;
static int failed; /* atomic */
static int stop; /* atomic */
static uint64_t steps;

/* A queue of blocks; under its lock they change hands. */
static struct {
    pthread_mutex_t lock;
    unsigned char *block[PLACES];
    unsigned count;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void wrong(const char *what)
{
    fprintf(stderr, "stress_walk: %s\n", what);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
}

static uint32_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Small, of a page; a run; a mapping. */
static size_t wish(uint64_t *state)
{
    const uint32_t kind = next(state) % 100;
    return kind < 80 ? next(state) % 1000 : kind < 92 ? next(state) % 16000 : kind < 98 ? next(state) % 300000 : 1100000 + next(state) % 2000000;
}

/* The size stands in each end of a block, as far as it has room. */
static void mark(unsigned char *block, size_t bytes)
{
    for (size_t i = 0; i < 16 && i < bytes; i++)
        block[i] = block[bytes - 1 - i] = (unsigned char)bytes;
}

static bool is_marked(const unsigned char *block, size_t bytes)
{
    for (size_t i = 0; i < 16 && i < bytes; i++)
        if (block[i] != (unsigned char)bytes || block[bytes - 1 - i] != (unsigned char)bytes) return false;
    return true;
}

static unsigned char *make(uint64_t *state)
{
    const size_t bytes = wish(state);
    unsigned char *block = HeapAlloc(heap, next(state) % 4 == 0 ? HEAP_ZERO_MEMORY : 0, bytes);
    if (block != NULL) mark(block, bytes);
    return block;
}

static unsigned char *resize(unsigned char *block, uint64_t *state)
{
    const size_t bytes = wish(state);
    unsigned char *now = HeapReAlloc(heap, 0, block, bytes);
    if (now == NULL) return block;
    mark(now, bytes);
    return now;
}

static void give(unsigned char *block)
{
    const size_t bytes = HeapSize(heap, 0, block);
    if (!is_marked(block, bytes)) wrong("a block changed");
    if (!HeapFree(heap, 0, block)) wrong("a block was not freed");
}

static void put(unsigned char *block)
{
    pthread_mutex_lock(&queue.lock);
    const bool room = queue.count < PLACES;
    if (room) queue.block[queue.count++] = block;
    pthread_mutex_unlock(&queue.lock);
    if (!room) give(block);
}

static unsigned char *get(void)
{
    pthread_mutex_lock(&queue.lock);
    unsigned char *block = queue.count > 0 ? queue.block[--queue.count] : NULL;
    pthread_mutex_unlock(&queue.lock);
    return block;
}

static void maker(uint64_t *state)
{
    unsigned char *own[OWN] = {NULL};
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        unsigned char **at = &own[next(state) % OWN];
        if (*at == NULL)
            *at = make(state);
        else if (next(state) % 3 == 0)
            *at = resize(*at, state);
        else if (next(state) % 2)
            give(*at), *at = NULL;
        else
            put(*at), *at = NULL;
        __atomic_add_fetch(&steps, 1, __ATOMIC_RELAXED);
    }
    for (unsigned i = 0; i < OWN; i++)
        if (own[i] != NULL) give(own[i]);
}

static void taker(uint64_t *state)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        unsigned char *block = get();
        if (block == NULL) continue;
        if (next(state) % 4 == 0) block = resize(block, state);
        give(block);
    }
}

static void walk(void)
{
    PROCESS_HEAP_ENTRY entry = {0};
    size_t end = 0;
    if (!HeapLock(heap)) wrong("not locked");
    while (HeapWalk(heap, &entry)) {
        if ((entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) && HeapSize(heap, 0, entry.lpData) != entry.cbData) wrong("a walk's size is not HeapSize's");
        end++;
    }
    if (end == 0) wrong("a walk found nothing");
    if (!HeapUnlock(heap)) wrong("not unlocked");
}

static void watcher(uint64_t *state)
{
    const struct timespec rest = {0, 2000000};
    HEAP_SUMMARY sums = {.cb = sizeof sums};
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        switch (next(state) % 8) {
        case 0:
            if (!HeapValidate(heap, 0, NULL)) wrong("HeapValidate finds damage");
            break;
        case 1: (void)HeapCompact(heap, 0); break;
        case 2:
            if (!HeapSummary(heap, 0, &sums)) wrong("no summary");
            break;
        case 3: walk(); break;
        default: nanosleep(&rest, NULL);
        }
    }
}

static struct work {
    void (*act)(uint64_t *state);
    uint64_t state;
} work[THREADS];

static void *start(void *one)
{
    struct work *mine = one;
    mine->act(&mine->state);
    return NULL;
}

static void play(HANDLE in, double seconds, uint64_t seed)
{
    pthread_t thread[THREADS];
    const struct timespec rest = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    heap = in;
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++) {
        work[i].act = i < MAKERS ? maker : i < MAKERS + TAKERS ? taker : watcher;
        work[i].state = seed * 1000 + (uint64_t)i;
        if (pthread_create(&thread[i], NULL, start, &work[i]) != 0) exit(99);
    }
    nanosleep(&rest, NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (unsigned char *block; (block = get()) != NULL;)
        give(block);
    if (!HeapValidate(heap, 0, NULL)) wrong("HeapValidate finds damage at the end");
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 2;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    HANDLE own = HeapCreate(0, 0, 0), fixed = HeapCreate(0, 0, 64 << 20);
    if (own == NULL || fixed == NULL) return 99;
    play(own, seconds / 3, seed);
    play(fixed, seconds / 3, seed);
    play(GetProcessHeap(), seconds / 3, seed);
    if (!HeapDestroy(own) || !HeapDestroy(fixed)) wrong("not destroyed");
    printf("stress_walk: %llu steps, seed %llu, %s\n", (unsigned long long)steps, (unsigned long long)seed, failed ? "WRONG" : "all was right");
    return failed;
}
