/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench.h -- what every bench shares: arguments, the timer, threads, the one output line.
 *
 * A bench is a plain malloc program, so that the same binary measures every allocator that LD_PRELOAD puts
 * under it.  Built with -fno-builtin, and blocks pass through bench_keep, so that the compiler keeps every
 * pair. Each prints lines `pattern/size/threads ns_per_op peak_kib`: CPU time of the threads that work, per
 * pair of malloc and free, the best of several repetitions; and the process's highest resident memory so far.
 * A pattern's name ends in the unit when that is not ns: `_kib`, `_ms`, `_count`.
 */
#ifndef BENCH_H
#define BENCH_H

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_MAX_THREADS = 64 };

struct bench_args {
    unsigned box_ms;      /* time for one line, all repetitions together */
    unsigned repetitions; /* the best one counts */
    unsigned threads;
    uint64_t seed;
    bool touch;           /* write the first bytes of each block, as every user would */
    clockid_t clock;      /* a thread's own, or the wall's where threads wait for each other */
    uint64_t first_pairs; /* of the first repetition, before we know what a pair costs */
    cpu_set_t processors; /* that we may use */
};

/* Work until `pairs` pairs of malloc and free are done (a few more where batches make it so); how many they
 * were.  `what` is the pattern's own. */
typedef uint64_t bench_work(const struct bench_args *args, const void *what, uint64_t pairs);

/* Hide from the compiler where a block comes from and goes to. */
static inline void *bench_keep(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

/* A block nobody could get means the figure would be of something else: stop. */
static inline void bench_touch(const struct bench_args *args, void *block, size_t bytes)
{
    if (!block) {
        static const char text[] = "bench: malloc returned NULL\n";
        if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(3);
        _exit(2);
    }
    if (args->touch && bytes >= sizeof(uint64_t))
        *(volatile uint64_t *)block = bytes;
    else if (args->touch && bytes > 0)
        *(volatile char *)block = 1;
}

/* splitmix64: any seed will do, 0 too. */
static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t bench_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Highest resident memory in KiB.  Not ru_maxrss, which keeps the peak of the shell that started us; and
 * without stdio, which would allocate. */
static inline long bench_peak_kib(void)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got < 0 ? 0 : got] = '\0';
    const char *line = strstr(text, "VmHWM:");
    return line ? strtol(line + strlen("VmHWM:"), NULL, 10) : -1;
}

/* Keep the calling thread on one processor of `all`, the one `number` places behind the first, round and
 * round.  Threads that share a processor by chance hardly meet, and look fast. */
static inline void bench_pin(const cpu_set_t *all, unsigned number)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    if (CPU_COUNT(all) == 0) return;
    number %= (unsigned)CPU_COUNT(all);
    for (unsigned i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, all) || number-- > 0) continue;
        CPU_SET(i, &one);
        break;
    }
    sched_setaffinity(0, sizeof one, &one);
}

struct bench_meeting { /* of the threads of one repetition */
    unsigned missing;
    uint64_t begin; /* by the wall's clock */
};

struct bench_share { /* one thread's part of a repetition */
    const struct bench_args *args;
    const void *what;
    bench_work *work;
    struct bench_meeting *meeting;
    unsigned number;
    uint64_t pairs, done, ns;
};

static inline bool bench_by_wall(const struct bench_args *args) { return args->clock == CLOCK_MONOTONIC; }

/* All threads begin together, also where one waits for a processor: else the best repetition would be one
 * in which they hardly met.  Gives the time at which this thread began. */
static inline uint64_t bench_meet(struct bench_meeting *meeting, const struct bench_args *args)
{
    uint64_t now = bench_now(CLOCK_MONOTONIC);
    __atomic_store_n(&meeting->begin, now, __ATOMIC_RELAXED); /* the last one's stays */
    __atomic_sub_fetch(&meeting->missing, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&meeting->missing, __ATOMIC_ACQUIRE) > 0)
        sched_yield();
    return bench_by_wall(args) ? meeting->begin : bench_now(args->clock);
}

static inline void *bench_share_run(void *arg)
{
    struct bench_share *share = arg;
    if (bench_by_wall(share->args)) bench_pin(&share->args->processors, share->number);
    uint64_t begin = bench_meet(share->meeting, share->args);
    share->done = share->work(share->args, share->what, share->pairs);
    share->ns = bench_now(share->args->clock) - begin;
    return NULL;
}

/* One repetition; ns per pair and thread.  By the wall it takes until the last thread is done: a lock that
 * lets one thread finish first wins nothing.  With one thread the work runs in the caller. */
static inline double bench_repeat(const struct bench_share *model)
{
    struct bench_share share[BENCH_MAX_THREADS];
    pthread_t thread[BENCH_MAX_THREADS];
    unsigned count = model->args->threads;
    struct bench_meeting meeting = {.missing = count};
    uint64_t done = 0, ns = 0, longest = 0;
    for (unsigned i = 0; i < count; i++) {
        share[i] = *model;
        share[i].meeting = &meeting;
        share[i].number = i;
    }
    for (unsigned i = 1; i < count; i++)
        if (pthread_create(&thread[i], NULL, bench_share_run, &share[i]) != 0) exit(2);
    bench_share_run(&share[0]);
    for (unsigned i = 1; i < count; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < count; i++) {
        done += share[i].done;
        ns += share[i].ns;
        if (share[i].ns > longest) longest = share[i].ns;
    }
    if (bench_by_wall(model->args)) ns = longest * count;
    return (double)ns / (double)done;
}

/* The one form of every line.  Written at once: the next pattern may run in a process of its own. */
static inline void bench_print(const char *name, unsigned threads, double value)
{
    printf("%s/%u %.3f %ld\n", name, threads, value, bench_peak_kib());
    fflush(stdout);
}

/* Measure `work` and print its line.  The first repetitions find how many pairs fill the time. */
static inline void bench_line(const struct bench_args *args, bench_work *work, const void *what,
                              const char *name)
{
    struct bench_share model = {.args = args, .what = what, .work = work, .pairs = args->first_pairs};
    double box_ns = (double)args->box_ms * 1e6 / (args->repetitions + 1);
    double best = bench_repeat(&model);
    for (int i = 0; i < 2; i++) { /* the first pairs pay for first touches: a second guess */
        uint64_t fill = (uint64_t)(box_ns / 4 / best);
        if (fill > model.pairs) model.pairs = fill;
        best = bench_repeat(&model);
    }
    model.pairs = (uint64_t)(box_ns / best) + args->first_pairs / 10;
    for (unsigned i = 0; i < args->repetitions; i++) {
        double ns = bench_repeat(&model);
        if (ns < best) best = ns;
    }
    bench_print(name, args->threads, best);
}

static inline unsigned bench_number(const char *text, unsigned min, unsigned max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || n < min || n > max) {
        fprintf(stderr, "bench: '%s' is not a number from %u to %u\n", text, min, max);
        exit(2);
    }
    return (unsigned)n;
}

/* Read the options; the index of the first argument behind them. */
static inline int bench_arguments(int argc, char **argv, struct bench_args *args, const char *operands)
{
    *args = (struct bench_args){.box_ms = 300,
                                .repetitions = 9,
                                .threads = 1,
                                .seed = 1,
                                .touch = true,
                                .clock = CLOCK_THREAD_CPUTIME_ID,
                                .first_pairs = 10000};
    if (sched_getaffinity(0, sizeof args->processors, &args->processors) != 0) CPU_ZERO(&args->processors);
    int option;
    while ((option = getopt(argc, argv, "b:r:t:s:n")) != -1) {
        if (option == 'b')
            args->box_ms = bench_number(optarg, 1, 600000);
        else if (option == 'r')
            args->repetitions = bench_number(optarg, 1, 1000);
        else if (option == 't')
            args->threads = bench_number(optarg, 1, BENCH_MAX_THREADS);
        else if (option == 's')
            args->seed = bench_number(optarg, 0, 0xFFFFFFFFu);
        else if (option == 'n')
            args->touch = false;
        else {
            fprintf(stderr,
                    "usage: %s [-b MS] [-r REPETITIONS] [-t THREADS] [-s SEED] [-n] %s\n"
                    "  -b  milliseconds for one line (300)   -r  repetitions, the best counts (9)\n"
                    "  -t  threads (1)   -s  seed (1)   -n  do not write into the blocks\n",
                    argv[0], operands);
            exit(2);
        }
    }
    return optind;
}

#endif
