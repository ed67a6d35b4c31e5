/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_patterns.c -- one pattern of allocations, on whatever malloc is preloaded; the patterns are in
 * patterns_*.c.
 *
 * Prints one line: `pattern/threads ns_per_operation operations peak_kib rest_kib`.  CPU time of the whole
 * process, user and system, children too, per operation, the mean after some steps of each thread that warm
 * up; highest resident memory; private memory that is left when every block has been freed and every thread
 * is gone.
 *
 * The box is CPU time as well: on a busy machine the run takes longer and not less.  A single thread runs in
 * main, as in a program without threads; several are measured by main, which wakes now and then and reads
 * what they counted. */
#include "bench_memory.h"
#include "pattern.h"
#include <sys/resource.h>

static const struct pattern *const lists[] = { patterns_small, patterns_shape,   patterns_large,
                                               patterns_queue, patterns_threads, patterns_process };

enum {
    LISTS = sizeof lists / sizeof *lists,
    LINE_BYTES = 64,
    WAKE_NS = 1000000,
    WALL_BOXES = 8,
    WARM_STEPS = 10,
    THREAD_BOX_NS = 5000000, /* for each thread at least: a machine's turns are not much shorter */
};

struct runner { /* a line of its own: main reads what the thread writes */
    _Alignas(LINE_BYTES) uint64_t operations;
    unsigned steps;
    struct worker worker;
    pthread_t thread;
};

static const struct pattern *the_pattern;
static struct runner runners[BENCH_MAX_THREADS];
static unsigned missing; /* threads that have not started yet */
static bool over;

static uint64_t patterns_cpu_ns(void)
{
    struct rusage children;
    getrusage(RUSAGE_CHILDREN, &children);
    uint64_t us = ((uint64_t)children.ru_utime.tv_sec + (uint64_t)children.ru_stime.tv_sec) * 1000000u +
                  (uint64_t)children.ru_utime.tv_usec + (uint64_t)children.ru_stime.tv_usec;
    return bench_now(CLOCK_PROCESS_CPUTIME_ID) + us * 1000u;
}

static long patterns_private_kib(void)
{
    char text[MEMORY_TEXT_BYTES];
    if (memory_read(text) != 0) return -1;
    const long clean = memory_line(text, "\nPrivate_Clean:"), dirty = memory_line(text, "\nPrivate_Dirty:");
    return clean < 0 || dirty < 0 ? -1 : clean + dirty;
}

struct reading {
    uint64_t cpu, operations;
};

static struct reading patterns_read(unsigned threads)
{
    struct reading now = { .cpu = patterns_cpu_ns() };
    for (unsigned i = 0; i < threads; i++)
        now.operations += __atomic_load_n(&runners[i].operations, __ATOMIC_RELAXED);
    return now;
}

static void patterns_step(struct runner *runner)
{
    uint64_t done = runner->operations + the_pattern->step(&runner->worker);
    __atomic_store_n(&runner->operations, done, __ATOMIC_RELAXED);
    __atomic_store_n(&runner->steps, runner->steps + 1, __ATOMIC_RELAXED);
}

static unsigned patterns_warm_steps(void) { return the_pattern->warm ? the_pattern->warm : WARM_STEPS; }

static void *patterns_thread(void *arg)
{
    struct runner *runner = arg;
    if (the_pattern->start) the_pattern->start(&runner->worker);
    __atomic_sub_fetch(&missing, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&missing, __ATOMIC_ACQUIRE) > 0) sched_yield();
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) patterns_step(runner);
    if (the_pattern->stop) the_pattern->stop(&runner->worker);
    return NULL;
}

/* Let them work for `box` ns of CPU; what they have done by then.  With a bound on the wall's clock, where
 * they sleep. */
static struct reading patterns_let(unsigned threads, uint64_t box)
{
    struct timespec wake = { .tv_nsec = WAKE_NS };
    uint64_t cpu = patterns_cpu_ns() + box, wall = bench_now(CLOCK_MONOTONIC) + WALL_BOXES * box;
    while (patterns_cpu_ns() < cpu && bench_now(CLOCK_MONOTONIC) < wall) nanosleep(&wake, NULL);
    return patterns_read(threads);
}

/* No barrier: a thread that waits there would keep those waiting that need what it makes. */
static void patterns_warm(unsigned threads)
{
    struct timespec wake = { .tv_nsec = WAKE_NS };
    for (unsigned i = 0; i < threads; i++)
        while (__atomic_load_n(&runners[i].steps, __ATOMIC_RELAXED) < patterns_warm_steps())
            nanosleep(&wake, NULL);
}

static void patterns_together(unsigned threads, uint64_t box, struct reading *from, struct reading *to)
{
    if (box < (uint64_t)threads * THREAD_BOX_NS) box = (uint64_t)threads * THREAD_BOX_NS;
    missing = threads;
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&runners[i].thread, NULL, patterns_thread, &runners[i]) != 0) exit(2);
    while (__atomic_load_n(&missing, __ATOMIC_ACQUIRE) > 0) sched_yield();
    patterns_warm(threads);
    *from = patterns_read(threads);
    *to = patterns_let(threads, box);
    while (to->operations == from->operations) /* steps longer than the box */
        *to = patterns_let(threads, box);
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    if (the_pattern->close) the_pattern->close();
    for (unsigned i = 0; i < threads; i++) pthread_join(runners[i].thread, NULL);
}

/* At least one step. */
static struct reading patterns_alone_for(uint64_t box)
{
    uint64_t end = patterns_cpu_ns() + box;
    do patterns_step(&runners[0]);
    while (patterns_cpu_ns() < end);
    return patterns_read(1);
}

static void patterns_alone(uint64_t box, struct reading *from, struct reading *to)
{
    if (the_pattern->start) the_pattern->start(&runners[0].worker);
    while (runners[0].steps < patterns_warm_steps()) patterns_step(&runners[0]);
    *from = patterns_read(1);
    *to = patterns_alone_for(box);
    if (the_pattern->stop) the_pattern->stop(&runners[0].worker);
}

static void patterns_run(unsigned threads, uint64_t box, uint64_t seed)
{
    struct reading from, to;
    if (the_pattern->begin) the_pattern->begin(threads, seed);
    for (unsigned i = 0; i < threads; i++)
        runners[i].worker =
            (struct worker){ .number = i, .threads = threads, .random = seed * BENCH_MAX_THREADS + i };
    if (threads == 1)
        patterns_alone(box, &from, &to);
    else
        patterns_together(threads, box, &from, &to);
    if (the_pattern->end) the_pattern->end();
    uint64_t operations = to.operations - from.operations;
    long peak = bench_peak_kib(), rest = patterns_private_kib();
    printf("%s/%u %.3f %llu %ld %ld\n", the_pattern->name, threads,
           (double)(to.cpu - from.cpu) / (double)operations, (unsigned long long)operations, peak, rest);
}

static int patterns_usage(FILE *stream)
{
    fprintf(stream, "usage: bench_patterns [-b MS] [-t THREADS] [-s SEED] PATTERN | -l\n"
                    "  -b  milliseconds of CPU time (300)   -t  threads (the pattern's own)   -s  seed (1)\n"
                    "  -l  list the patterns, with their threads and what one operation is\n");
    return stream == stdout ? 0 : 2;
}

static int patterns_list(void)
{
    for (unsigned l = 0; l < LISTS; l++)
        for (const struct pattern *pattern = lists[l]; pattern->name; pattern++)
            printf("%-16s %u  %s\n", pattern->name, pattern->threads ? pattern->threads : 1,
                   pattern->operation);
    return 0;
}

static const struct pattern *patterns_find(const char *name)
{
    for (unsigned l = 0; l < LISTS; l++)
        for (const struct pattern *pattern = lists[l]; pattern->name; pattern++)
            if (strcmp(pattern->name, name) == 0) return pattern;
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned box_ms = 300, threads = 0, seed = 1;
    int option;
    while ((option = getopt(argc, argv, "b:t:s:lh")) != -1) {
        if (option == 'b')
            box_ms = bench_number(optarg, 1, 600000);
        else if (option == 't')
            threads = bench_number(optarg, 1, BENCH_MAX_THREADS);
        else if (option == 's')
            seed = bench_number(optarg, 0, 0xFFFFFFFFu);
        else if (option == 'l')
            return patterns_list();
        else
            return patterns_usage(option == 'h' ? stdout : stderr);
    }
    if (argc - optind != 1) return patterns_usage(stderr);
    the_pattern = patterns_find(argv[optind]);
    if (!the_pattern) {
        fprintf(stderr, "bench: '%s' is not a pattern; -l lists them\n", argv[optind]);
        return 2;
    }
    if (threads == 0) threads = the_pattern->threads ? the_pattern->threads : 1;
    if (threads < the_pattern->fewest || (the_pattern->multiple && threads % the_pattern->multiple != 0)) {
        fprintf(stderr, "bench: '%s' wants an even number of threads\n", the_pattern->name);
        return 2;
    }
    patterns_run(threads, (uint64_t)box_ms * 1000000u, seed);
    return 0;
}
