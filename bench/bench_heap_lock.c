/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_heap_lock.c -- HeapLock and HeapUnlock: alone, and while one or eight threads allocate and free in
 * the heap without a pause; and how soon those threads are as fast as before, after the last unlock.
 *
 * By the wall: whoever locks waits for the others.  Between two locks there is a pause, so that the others
 * are back in the heap each time.  The first lock after a quiet time has a line of its own: it is the one
 * that must stop them all.  Figures are medians of several trials, as others may use the machine too. */
#include "bench.h"
#include "heapapi.h"

enum {
    MOST_HAMMERS = 8,
    SAMPLES = 2000,
    TRIALS = 5,
    BEFORE_WINDOWS = 20,
    AFTER_WINDOWS = 200,
    WINDOW_NS = 5000000,
    LOCKING_NS = 200000000, /* locks of one trial, at most */
    PAUSE_NS = 20000,       /* between two locks, at most */
    PAIR_BYTES = 64,
    HAMMER_PAIRS = 64 /* between two looks at `stop` */
};

struct hammer { /* one thread that works in the heap */
    _Alignas(128) HANDLE heap;
    uint64_t pairs;
    const bool *stop;
    unsigned number;
    pthread_t thread;
};

/* Two processors, also on a machine that has more: figures of both can then be compared.  The first one is
 * also that of the thread that locks; so a single other one is always in the heap at the same time. */
enum { PROCESSORS = 2 };
static cpu_set_t processors;

static void *hammer_run(void *arg)
{
    struct hammer *hammer = arg;
    bench_pin(&processors, (hammer->number + 1) % PROCESSORS);
    while (!__atomic_load_n(hammer->stop, __ATOMIC_RELAXED)) {
        for (unsigned i = 0; i < HAMMER_PAIRS; i++) {
            void *block = bench_keep(HeapAlloc(hammer->heap, 0, PAIR_BYTES));
            HeapFree(hammer->heap, 0, bench_keep(block));
        }
        __atomic_store_n(&hammer->pairs, hammer->pairs + HAMMER_PAIRS, __ATOMIC_RELAXED);
    }
    return NULL;
}

static struct hammer hammers[MOST_HAMMERS];
static bool stop_hammers;

static void hammers_start(HANDLE heap, unsigned count)
{
    stop_hammers = false;
    for (unsigned i = 0; i < count; i++) {
        hammers[i] = (struct hammer){.heap = heap, .stop = &stop_hammers, .number = i};
        if (pthread_create(&hammers[i].thread, NULL, hammer_run, &hammers[i]) != 0) exit(2);
    }
}

static void hammers_end(unsigned count)
{
    __atomic_store_n(&stop_hammers, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < count; i++)
        pthread_join(hammers[i].thread, NULL);
}

static uint64_t hammers_pairs(unsigned count)
{
    uint64_t pairs = 0;
    for (unsigned i = 0; i < count; i++)
        pairs += __atomic_load_n(&hammers[i].pairs, __ATOMIC_RELAXED);
    return pairs;
}

/* Pairs a second over one window. */
static double window_rate(unsigned count)
{
    struct timespec window = {.tv_nsec = WINDOW_NS};
    uint64_t pairs = hammers_pairs(count), start = bench_now(CLOCK_MONOTONIC);
    nanosleep(&window, NULL);
    pairs = hammers_pairs(count) - pairs;
    return (double)pairs * 1e9 / (double)(bench_now(CLOCK_MONOTONIC) - start);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *value, unsigned count)
{
    qsort(value, count, sizeof *value, compare);
    return value[count / 2];
}

struct latency {
    double first, median, mean;
};

static double timed_pair(HANDLE heap)
{
    uint64_t start = bench_now(CLOCK_MONOTONIC);
    if (heap) {
        HeapLock(heap);
        HeapUnlock(heap);
    }
    return (double)(bench_now(CLOCK_MONOTONIC) - start);
}

static void pause_shortly(uint64_t *random)
{
    uint64_t end = bench_now(CLOCK_MONOTONIC) + bench_random(random) % PAUSE_NS;
    while (bench_now(CLOCK_MONOTONIC) < end) {
    }
}

/* One trial; without a heap: what the clock itself takes. */
static struct latency lock_often(HANDLE heap)
{
    static double sample[SAMPLES];
    uint64_t end = bench_now(CLOCK_MONOTONIC) + LOCKING_NS, random = 1;
    double sum = 0;
    unsigned count = 0;
    while (count < SAMPLES && (count == 0 || bench_now(CLOCK_MONOTONIC) < end)) {
        sample[count] = timed_pair(heap);
        sum += sample[count++];
        pause_shortly(&random);
    }
    return (struct latency){.first = sample[0], .mean = sum / count, .median = median(sample, count)};
}

static double least_0(double ns) { return ns > 0 ? ns : 0; }

/* The clock's own time is taken off; the means' too by its median, as its worst is none of ours. */
static void latency_lines(const struct latency *trial, unsigned threads)
{
    double first[TRIALS], middle[TRIALS], mean[TRIALS], clock = lock_often(NULL).median;
    for (unsigned i = 0; i < TRIALS; i++) {
        first[i] = trial[i].first;
        middle[i] = trial[i].median;
        mean[i] = trial[i].mean;
    }
    bench_print("lock_first/0", threads, least_0(median(first, TRIALS) - clock));
    bench_print("lock_median/0", threads, least_0(median(middle, TRIALS) - clock));
    bench_print("lock_mean/0", threads, least_0(median(mean, TRIALS) - clock));
}

static void alone_lines(HANDLE heap)
{
    struct latency trial[TRIALS];
    for (unsigned i = 0; i < TRIALS; i++)
        trial[i] = lock_often(heap);
    latency_lines(trial, 1);
}

/* One trial under way: *recovery_ms from the last unlock to the end of the first window of 90 % of the rate
 * before. */
static struct latency lock_and_recover(HANDLE heap, unsigned count, double *recovery_ms)
{
    double before[BEFORE_WINDOWS];
    for (unsigned i = 0; i < BEFORE_WINDOWS; i++)
        before[i] = window_rate(count);
    double wanted = 0.9 * median(before, BEFORE_WINDOWS);
    struct latency latency = lock_often(heap);
    uint64_t unlocked = bench_now(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < AFTER_WINDOWS && window_rate(count) < wanted; i++) {
    }
    *recovery_ms = (double)(bench_now(CLOCK_MONOTONIC) - unlocked) / 1e6;
    return latency;
}

static void contended_lines(HANDLE heap, unsigned count)
{
    struct latency trial[TRIALS];
    double recovery_ms[TRIALS];
    hammers_start(heap, count);
    for (unsigned i = 0; i < TRIALS; i++)
        trial[i] = lock_and_recover(heap, count, &recovery_ms[i]);
    hammers_end(count);
    latency_lines(trial, count + 1);
    bench_print("lock_recovery_ms/0", count + 1, median(recovery_ms, TRIALS));
}

int main(void)
{
    static const unsigned hammering[] = {1, MOST_HAMMERS};
    if (sched_getaffinity(0, sizeof processors, &processors) != 0) return 2;
    bench_pin(&processors, 0);
    HANDLE heap = HeapCreate(0, 0, 0);
    if (!heap) return 2;
    alone_lines(heap);
    HeapDestroy(heap);
    for (unsigned i = 0; i < sizeof hammering / sizeof *hammering; i++) {
        if (!(heap = HeapCreate(0, 0, 0))) return 2;
        contended_lines(heap, hammering[i]);
        HeapDestroy(heap);
    }
    return 0;
}
