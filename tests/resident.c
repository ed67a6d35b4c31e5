/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * resident.c -- memory that a long-running program has freed: how much of it stays resident.
 *
 *   resident CASE THREADS MB THEN
 *
 * Builds MB megabytes of blocks in 4 phases, each thread its part: nine of ten blocks 16 to 1,024 bytes, some to 16 KB,
 * some runs to 1 MB, some larger; frees, in a random order, what CASE says:
 *   all        every block
 *   phases     all but the blocks of the second phase
 *   random     three of four blocks, wherever they stand (a figure to compare; no allocator that never moves blocks
 *              can give these back)
 * THEN one of:
 *   trim       malloc_trim(0), and looks at once
 *   light      a few blocks each millisecond for 5 s
 *   idle       sleeps
 *   soak=S     does it all again and again for S seconds: the same work must not need more and more
 * and prints what is resident, the base of the program without any block, and what is live, in KB.
 * The threads stay until the end: what they keep for later counts. */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PHASES = 4, KEPT_PHASE = 1, KEEP_EACH = 4, THREADS_MOST = 16 };

static struct part {
    char **block;    /* of a mapping of its own, touched before the base is measured */
    uint32_t *bytes; /* of each; live while block is not NULL */
    size_t count[PHASES + 1], most, wanted; /* where each phase begins */
    uint64_t seed;
} part[THREADS_MOST];
static const char *which;
static unsigned threads;
static pthread_barrier_t built, freed, over;

static void die(const char *what)
{
    fprintf(stderr, "resident: %s\n", what);
    exit(2);
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*seed >> 32) % below);
}

static size_t size_of_next(uint64_t *seed)
{
    const uint32_t kind = draw(seed, 40000);
    if (kind < 36000)
        return 16 + draw(seed, 1009);
    if (kind < 39800)
        return 1024 + draw(seed, 15360);
    if (kind < 39995)
        return 16384 + draw(seed, 240 << 10);
    return (256 << 10) + draw(seed, 4 << 20);
}

static void build(struct part *pt)
{
    size_t at = 0, sum = 0;
    for (unsigned phase = 0; phase < PHASES; phase++) {
        pt->count[phase] = at;
        if (threads > 1)
            pthread_barrier_wait(&built); /* a phase is one for all threads */
        for (const size_t until = pt->wanted / PHASES * (phase + 1); sum < until && at < pt->most; at++) {
            const size_t bytes = size_of_next(&pt->seed);
            if ((pt->block[at] = malloc(bytes)) == NULL)
                die("no memory");
            memset(pt->block[at], (int)at | 1, bytes);
            pt->bytes[at] = (uint32_t)bytes;
            sum += bytes;
        }
    }
    pt->count[PHASES] = at;
}

static bool stays(struct part *pt, unsigned phase)
{
    return strcmp(which, "phases") == 0 ? phase == KEPT_PHASE : strcmp(which, "random") == 0 ? draw(&pt->seed, KEEP_EACH) == 0 : false;
}

/* Those that go, in a random order: a shuffled list of their numbers would need memory too, so the blocks are swapped. */
static void release(struct part *pt)
{
    for (unsigned phase = 0; phase < PHASES; phase++)
        for (size_t i = pt->count[phase]; i < pt->count[phase + 1]; i++) {
            const size_t j = i + draw(&pt->seed, (uint32_t)(pt->count[phase + 1] - i));
            char *const block = pt->block[i];
            const uint32_t bytes = pt->bytes[i];
            pt->block[i] = pt->block[j];
            pt->bytes[i] = pt->bytes[j];
            pt->block[j] = block;
            pt->bytes[j] = bytes;
            if (stays(pt, phase))
                continue;
            free(pt->block[i]);
            pt->block[i] = NULL;
        }
}

static void release_rest(struct part *pt)
{
    for (size_t i = 0; i < pt->count[PHASES]; i++) {
        free(pt->block[i]);
        pt->block[i] = NULL;
    }
}

static size_t live_bytes(void)
{
    size_t sum = 0;
    for (unsigned t = 0; t < threads; t++)
        for (size_t i = 0; i < part[t].count[PHASES]; i++)
            sum += part[t].block[i] != NULL ? part[t].bytes[i] : 0;
    return sum;
}

/* Without a malloc: one would be looked at. */
static long resident_kb(void)
{
    char text[128];
    const int file = open("/proc/self/statm", O_RDONLY);
    const ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (got <= 0)
        die("no /proc/self/statm");
    (void)close(file);
    text[got] = '\0';
    return atol(strchr(text, ' ')) * (sysconf(_SC_PAGESIZE) / 1024);
}

static void nap(unsigned ms) { (void)nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL); }

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* As a server has it that waits for work: some small blocks now and then, always of the same sizes. */
static void light(void)
{
    for (const double until = seconds() + 5; seconds() < until; nap(1)) {
        char *volatile one = malloc(100), *volatile two = malloc(40);
        free(one);
        free(two);
    }
}

static void *work(void *argument)
{
    struct part *pt = argument;
    build(pt);
    pthread_barrier_wait(&built);
    release(pt);
    pthread_barrier_wait(&freed);
    pthread_barrier_wait(&over);
    return NULL;
}

static void part_new(struct part *pt, size_t bytes, unsigned number)
{
    pt->wanted = bytes;
    pt->most = bytes / 1000 + 10000;
    pt->seed = number * 977 + 1;
    pt->block = mmap(NULL, pt->most * (sizeof *pt->block + sizeof *pt->bytes), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pt->block == MAP_FAILED)
        die("no memory for the list");
    pt->bytes = (uint32_t *)(void *)(pt->block + pt->most);
}

static void soak(double length)
{
    const double begin = seconds();
    long half[2] = {0, 0}; /* the most that was resident in either half of the time */
    for (double now = begin; now < begin + length; now = seconds()) {
        build(&part[0]);
        release(&part[0]);
        long *most = &half[now - begin > length / 2], resident = resident_kb();
        *most = resident > *most ? resident : *most;
        release_rest(&part[0]);
    }
    printf("resident %ld first %ld\n", half[1], half[0]);
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS_MOST];
    threads = argc == 5 ? (unsigned)atoi(argv[2]) : 0;
    if (threads < 1 || threads > THREADS_MOST)
        die("resident CASE THREADS MB THEN");
    which = argv[1];
    for (unsigned t = 0; t < threads; t++)
        part_new(&part[t], (size_t)atol(argv[3]) * 1048576 / threads, t);
    if (strncmp(argv[4], "soak=", 5) == 0) {
        soak(atof(argv[4] + 5));
        return 0;
    }
    pthread_barrier_init(&built, NULL, threads);
    pthread_barrier_init(&freed, NULL, threads);
    pthread_barrier_init(&over, NULL, threads);
    free(malloc(1));
    const long base = resident_kb();
    for (unsigned t = 1; t < threads; t++)
        if (pthread_create(&thread[t], NULL, work, &part[t]) != 0)
            die("no thread");
    build(&part[0]);
    pthread_barrier_wait(&built);
    const long full = resident_kb();
    release(&part[0]);
    pthread_barrier_wait(&freed);
    const long at_once = resident_kb();
    if (strcmp(argv[4], "trim") == 0)
        (void)malloc_trim(0);
    else if (strcmp(argv[4], "light") == 0)
        light();
    else
        nap(1000);
    const long after = resident_kb();
    const long live = (long)(live_bytes() / 1024);
    printf("resident %ld base %ld live %ld full %ld at_once %ld over %.1f%%\n", after, base, live, full, at_once,
           100.0 * (double)(after - base - live) / (double)(live ? live : 1));
    pthread_barrier_wait(&over);
    for (unsigned t = 1; t < threads; t++)
        (void)pthread_join(thread[t], NULL);
    return 0;
}
