/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_heap_many.c -- ten thousand live growable heaps, each with one block of each of twenty sizes; then a
 * thousand of them used by eight threads.
 *
 * What it costs to have them: time, resident memory (of which some 20 KiB are the blocks' own bytes, all
 * written), and mappings, of which a process may have 65,530 (vm.max_map_count). */
#include "bench.h"
#include "bench_memory.h"
#include "heapapi.h"

enum {
    HEAPS = 10000,
    USED_HEAPS = 1000,
    SIZES = 20,
    FIRST_BYTES = 16,
    STEP_BYTES = 107, /* to 2,049 */
    THREADS = 8,
    ROUNDS = 20
};

static HANDLE heap[HEAPS];
static void *block[HEAPS][SIZES];

static size_t bytes_of(unsigned size) { return FIRST_BYTES + (size_t)size * STEP_BYTES; }

static void fill_heap(unsigned h)
{
    heap[h] = HeapCreate(0, 0, 0);
    for (unsigned s = 0; s < SIZES; s++) {
        block[h][s] = heap[h] ? HeapAlloc(heap[h], 0, bytes_of(s)) : NULL;
        memory_write(block[h][s], bytes_of(s));
    }
}

/* One thread's part: every size once in each of the used heaps, round after round, each thread with a heap
 * of its own to start at. */
static void *use_heaps(void *arg)
{
    unsigned first = *(const unsigned *)arg * (USED_HEAPS / THREADS);
    for (unsigned n = 0; n < ROUNDS * USED_HEAPS; n++) {
        HANDLE one = heap[(first + n) % USED_HEAPS];
        size_t bytes = bytes_of(n / USED_HEAPS % SIZES);
        void *mine = HeapAlloc(one, 0, bytes);
        memory_write(mine, bytes);
        HeapFree(one, 0, mine);
    }
    return NULL;
}

static void use_by_threads(void)
{
    pthread_t thread[THREADS];
    unsigned number[THREADS];
    for (unsigned t = 0; t < THREADS; t++) {
        number[t] = t;
        if (pthread_create(&thread[t], NULL, use_heaps, &number[t]) != 0) exit(2);
    }
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
}

/* A line each of time, memory and mappings; `more` heaps took what there is above `kib` and `mappings`. */
static void memory_lines(const char *kib_name, const char *mappings_name, unsigned threads, unsigned more,
                         long kib, long mappings)
{
    bench_print(kib_name, threads, (double)(memory_resident_kib() - kib) / more);
    bench_print(mappings_name, threads, (double)(memory_mappings() - mappings) / more);
}

int main(void)
{
    memset(heap, 1, sizeof heap); /* resident before we count */
    memset(block, 1, sizeof block);
    long kib = memory_resident_kib(), mappings = memory_mappings();

    uint64_t start = bench_now(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned h = 0; h < HEAPS; h++)
        fill_heap(h);
    bench_print("many_create/16-2049", 1, (double)(bench_now(CLOCK_PROCESS_CPUTIME_ID) - start) / HEAPS);
    memory_lines("many_kib/16-2049", "many_mappings_count/16-2049", 1, HEAPS, kib, mappings);

    long used_kib = memory_resident_kib();
    start = bench_now(CLOCK_PROCESS_CPUTIME_ID);
    use_by_threads();
    bench_print("many_pair/16-2049", THREADS,
                (double)(bench_now(CLOCK_PROCESS_CPUTIME_ID) - start) / (ROUNDS * USED_HEAPS * THREADS));
    bench_print("many_more_kib/16-2049", THREADS, (double)(memory_resident_kib() - used_kib) / USED_HEAPS);
    memory_lines("many_kib/16-2049", "many_mappings_count/16-2049", THREADS, HEAPS, kib, mappings);

    start = bench_now(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned h = 0; h < HEAPS; h++)
        HeapDestroy(heap[h]);
    bench_print("many_drop/16-2049", 1, (double)(bench_now(CLOCK_PROCESS_CPUTIME_ID) - start) / HEAPS);
    return 0;
}
