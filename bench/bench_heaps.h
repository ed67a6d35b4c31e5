/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_heaps.h -- private heaps: the patterns, once for every allocator that has such heaps.
 *
 * An allocator's file includes this at its end, after these of its own:
 *
 *     struct heap              what one thread needs to use a heap; passed by value
 *     heap_new, heap_drop      make one; end it with all its blocks
 *     heap_join, heap_leave    a second thread's way into a heap that exists
 *     heap_take, heap_give     a block
 *
 * They are inline, not a table of pointers, so that a tight loop costs the allocator's own call and nothing
 * else.  The file then lists the patterns that its allocator can do and hands them to heaps_main.
 *
 * Each pattern runs in a process of its own: none meets memory that another left behind, and one that fails
 * or hangs costs its own line only. */
#ifndef BENCH_HEAPS_H
#define BENCH_HEAPS_H

#include "bench.h"
#include "bench_memory.h"

#include <sys/wait.h>

enum { MIN_BYTES = 8, MAX_BYTES = 1024, SMALL_BLOCK = 64, MOST_SECONDS = 30 };

struct pattern {
    const char *name;
    void (*run)(const struct bench_args *args, const char *name);
};

/* ---- make and end ----------------------------------------------------------------------------------- */

enum { HUNDRED = 100, DRAWN = 1000 };

/* What a life of a heap holds: `count` blocks, which are still live at its end. */
struct life {
    unsigned count;
    uint16_t bytes[DRAWN];
};

static inline void life_draw(struct life *life, unsigned count, const struct bench_args *args)
{
    uint64_t random = args->seed;
    life->count = count;
    for (unsigned i = 0; i < count; i++)
        life->bytes[i] = (uint16_t)(MIN_BYTES + bench_random(&random) % (MAX_BYTES - MIN_BYTES + 1));
}

static inline uint64_t life_work(const struct bench_args *args, const void *what, uint64_t lives)
{
    const struct life *life = what;
    for (uint64_t i = 0; i < lives; i++) {
        struct heap heap = heap_new();
        for (unsigned b = 0; b < life->count; b++)
            bench_touch(args, bench_keep(heap_take(heap, life->bytes[b])), life->bytes[b]);
        heap_drop(heap);
    }
    return lives;
}

/* Whole heaps, not pairs: the slowest peer needs 0.1 ms for one. */
static inline void life_line(const struct bench_args *args, const struct life *life, const char *name)
{
    struct bench_args slow = *args;
    slow.first_pairs = 20;
    bench_line(&slow, life_work, life, name);
}

static inline void pattern_create(const struct bench_args *args, const char *name)
{
    static const struct life life = {0};
    life_line(args, &life, name);
}

static inline void pattern_create_one(const struct bench_args *args, const char *name)
{
    static const struct life life = {.count = 1, .bytes = {SMALL_BLOCK}};
    life_line(args, &life, name);
}

static inline void pattern_create_hundred(const struct bench_args *args, const char *name)
{
    static struct life life;
    life_draw(&life, HUNDRED, args);
    life_line(args, &life, name);
}

/* ---- pairs ------------------------------------------------------------------------------------------ */

enum { SIXTEEN = 16 };

static inline uint64_t pair_work(const struct bench_args *args, const void *what, uint64_t pairs)
{
    struct heap heap = *(const struct heap *)what;
    for (uint64_t i = 0; i < pairs; i++) {
        void *block = bench_keep(heap_take(heap, SMALL_BLOCK));
        bench_touch(args, block, SMALL_BLOCK);
        heap_give(heap, bench_keep(block));
    }
    return pairs;
}

static inline void pattern_pair(const struct bench_args *args, const char *name)
{
    struct heap heap = heap_new();
    bench_line(args, pair_work, &heap, name);
    heap_drop(heap);
}

static inline uint64_t sixteen_work(const struct bench_args *args, const void *what, uint64_t pairs)
{
    const struct heap *heap = what;
    for (uint64_t i = 0; i < pairs; i++) {
        struct heap one = heap[i % SIXTEEN];
        void *block = bench_keep(heap_take(one, SMALL_BLOCK));
        bench_touch(args, block, SMALL_BLOCK);
        heap_give(one, bench_keep(block));
    }
    return pairs;
}

static inline void pattern_sixteen(const struct bench_args *args, const char *name)
{
    struct heap heap[SIXTEEN];
    for (unsigned i = 0; i < SIXTEEN; i++)
        heap[i] = heap_new();
    bench_line(args, sixteen_work, heap, name);
    for (unsigned i = 0; i < SIXTEEN; i++)
        heap_drop(heap[i]);
}

struct batch {
    struct heap heap;
    struct life blocks;
};

static inline uint64_t batch_work(const struct bench_args *args, const void *what, uint64_t pairs)
{
    const struct batch *batch = what;
    struct heap heap = heap_join(batch->heap);
    void *block[DRAWN];
    uint64_t done = 0;
    for (; done < pairs; done += DRAWN) {
        for (unsigned i = 0; i < DRAWN; i++) {
            block[i] = bench_keep(heap_take(heap, batch->blocks.bytes[i]));
            bench_touch(args, block[i], batch->blocks.bytes[i]);
        }
        for (unsigned i = DRAWN; i-- > 0;)
            heap_give(heap, bench_keep(block[i]));
    }
    heap_leave(heap);
    return done;
}

static inline void pattern_batch(const struct bench_args *args, const char *name)
{
    static struct batch batch;
    life_draw(&batch.blocks, DRAWN, args);
    batch.heap = heap_new();
    bench_line(args, batch_work, &batch, name);
    heap_drop(batch.heap);
}

/* By the wall: time spent waiting for the other thread is what a shared heap costs. */
static inline void pattern_shared(const struct bench_args *args, const char *name)
{
    struct bench_args two = *args;
    two.threads = 2;
    two.clock = CLOCK_MONOTONIC;
    pattern_batch(&two, name);
}

/* ---- made by one thread, freed by another ----------------------------------------------------------- */

enum { RING_SLOTS = 16, RING_BATCH = 100 };

/* Each counter is written by one side.  Apart by cache lines, so that the ring itself costs little. */
struct handover {
    struct heap heap;
    void *block[RING_SLOTS][RING_BATCH];
    _Alignas(128) uint64_t filled;
    _Alignas(128) uint64_t emptied;
};

/* Until the other side's counter has passed `at`.  Yields, as there may be one processor for both. */
static inline void ring_wait(const uint64_t *counter, uint64_t at)
{
    for (unsigned turns = 0; __atomic_load_n(counter, __ATOMIC_ACQUIRE) <= at; turns++)
        if (turns >= 1000) sched_yield();
}

static inline void ring_fill(struct handover *ring, const struct bench_args *args, uint64_t batches)
{
    struct heap heap = heap_join(ring->heap);
    for (uint64_t n = 0; n < batches; n++) {
        void **block = ring->block[n % RING_SLOTS];
        if (n >= RING_SLOTS) ring_wait(&ring->emptied, n - RING_SLOTS);
        for (unsigned i = 0; i < RING_BATCH; i++) {
            block[i] = bench_keep(heap_take(heap, SMALL_BLOCK));
            bench_touch(args, block[i], SMALL_BLOCK);
        }
        __atomic_store_n(&ring->filled, n + 1, __ATOMIC_RELEASE);
    }
    ring_wait(&ring->emptied, batches - 1);
    heap_leave(heap);
    __atomic_store_n(&ring->filled, 0, __ATOMIC_RELAXED); /* the next repetition's threads start later */
    __atomic_store_n(&ring->emptied, 0, __ATOMIC_RELAXED);
}

static inline void ring_empty(struct handover *ring, uint64_t batches)
{
    struct heap heap = heap_join(ring->heap);
    for (uint64_t n = 0; n < batches; n++) {
        ring_wait(&ring->filled, n);
        for (unsigned i = 0; i < RING_BATCH; i++)
            heap_give(heap, bench_keep(ring->block[n % RING_SLOTS][i]));
        if (n + 1 == batches) heap_leave(heap);
        __atomic_store_n(&ring->emptied, n + 1, __ATOMIC_RELEASE);
    }
}

/* The main thread allocates: some allocators' heaps serve the thread that made them only. */
static inline uint64_t handover_work(const struct bench_args *args, const void *what, uint64_t pairs)
{
    struct handover *ring = *(struct handover *const *)what;
    uint64_t batches = pairs / RING_BATCH + 1;
    if (gettid() == getpid())
        ring_fill(ring, args, batches);
    else
        ring_empty(ring, batches);
    return batches * RING_BATCH;
}

static inline void pattern_handover(const struct bench_args *args, const char *name)
{
    static struct handover ring;
    struct handover *what = &ring;
    struct bench_args two = *args;
    two.threads = 2;
    two.clock = CLOCK_MONOTONIC;
    ring.heap = heap_new();
    bench_line(&two, handover_work, &what, name);
    heap_drop(ring.heap);
}

/* ---- a million blocks ------------------------------------------------------------------------------- */

enum { MILLION = 1000000 };

static inline struct heap million_new(const struct bench_args *args)
{
    struct heap heap = heap_new();
    for (unsigned i = 0; i < MILLION; i++)
        bench_touch(args, bench_keep(heap_take(heap, SMALL_BLOCK)), SMALL_BLOCK);
    return heap;
}

static inline double least(double best, double now) { return best == 0 || now < best ? now : best; }

/* Two lines: to fill a heap, to end the full one. */
static inline void pattern_fill(const struct bench_args *args, const char *name)
{
    double fill = 0, drop = 0;
    for (unsigned i = 0; i < args->repetitions; i++) {
        uint64_t start = bench_now(args->clock);
        struct heap heap = million_new(args);
        uint64_t full = bench_now(args->clock);
        heap_drop(heap);
        fill = least(fill, (double)(full - start) / MILLION);
        drop = least(drop, (double)(bench_now(args->clock) - full) / 1e6);
    }
    bench_print(name, 1, fill);
    bench_print("destroy_full_ms/64", 1, drop);
}

/* `visit` sees each block of the heap once, and says how many it saw. */
static inline void visit_line(const struct bench_args *args, const char *name, uint64_t (*visit)(struct heap))
{
    struct heap heap = million_new(args);
    double best = 0;
    for (unsigned i = 0; i < args->repetitions; i++) {
        uint64_t start = bench_now(args->clock);
        uint64_t seen = visit(heap);
        double ns = (double)(bench_now(args->clock) - start) / (double)seen;
        if (seen < MILLION) {
            fprintf(stderr, "bench: %s saw %llu blocks of %d\n", name, (unsigned long long)seen, MILLION);
            exit(1);
        }
        best = least(best, ns);
    }
    heap_drop(heap);
    bench_print(name, 1, best);
}

/* ---- memory of a small heap ------------------------------------------------------------------------- */

enum { SMALL_HEAPS = 1000, SMALL_HEAP_BLOCKS = 10 };

static inline void pattern_small(const struct bench_args *args, const char *name)
{
    static struct heap heap[SMALL_HEAPS];
    (void)args;
    memset(heap, 1, sizeof heap); /* resident before we count */
    heap_drop(heap_new());        /* what the allocator needs once is not a heap's */
    long before = memory_resident_kib();
    for (unsigned i = 0; i < SMALL_HEAPS; i++) {
        heap[i] = heap_new();
        for (unsigned b = 0; b < SMALL_HEAP_BLOCKS; b++)
            memory_write(heap_take(heap[i], SMALL_BLOCK), SMALL_BLOCK);
    }
    bench_print(name, 1, (double)(memory_resident_kib() - before) / SMALL_HEAPS);
}

/* ---- the program ------------------------------------------------------------------------------------ */

/* What every allocator here can do. */
#define PATTERNS_OF_ALL                                                                                      \
    {"create/0", pattern_create}, {"create_one/64", pattern_create_one},                                     \
        {"create_hundred/8-1024", pattern_create_hundred}, {"pair/64", pattern_pair},                        \
        {"batch/8-1024", pattern_batch}, {"sixteen/64", pattern_sixteen},                                    \
        {"handover/64", pattern_handover}, {"fill/64", pattern_fill}, {"small_kib/64", pattern_small}

/* Run one in a child; false when that fails.  MOST_SECONDS end what hangs. */
static inline bool heaps_run(const struct pattern *pattern, const struct bench_args *args)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        alarm(MOST_SECONDS);
        pattern->run(args, pattern->name);
        _exit(0); /* not exit: what a library does then is not measured */
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return false;
    if (status == 0) return true;
    fprintf(stderr, "bench: %s failed, wait status 0x%x\n", pattern->name, (unsigned)status);
    return false;
}

static inline bool heaps_wanted(const char *name, char **wanted)
{
    for (char **word = wanted; *word; word++)
        if (strncmp(name, *word, strlen(*word)) == 0 && strcspn(name, "/") == strlen(*word)) return true;
    return !*wanted;
}

/* All patterns, or those that the arguments name (without what follows the `/`). */
static inline int heaps_main(int argc, char **argv, const struct pattern *pattern, unsigned count)
{
    struct bench_args args;
    bool found = false;
    int first = bench_arguments(argc, argv, &args, "[PATTERN ...]"), status = 0;
    if (args.threads != 1) {
        fprintf(stderr, "bench: -t is not for these: each pattern has its own number of threads\n");
        return 2;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!heaps_wanted(pattern[i].name, argv + first)) continue;
        found = true;
        if (!heaps_run(&pattern[i], &args)) status = 1;
    }
    if (!found) fprintf(stderr, "bench: none of these patterns here\n");
    return status;
}

#endif
