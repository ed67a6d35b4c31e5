/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * flat.c -- 3,000 threads, one after another, leave memory as it was after the first 200.
 *
 * Each thread takes blocks of many sizes, frees most of them itself, frees what its predecessor
 * left, and leaves some to its successor: what a dead thread still holds would add up. */
#include "preloaded.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WARM_UP = 200, THREADS = 3000, BLOCKS = 250, LEFT = 30, GROWTH_KIB = 1024, SPACE_KIB = 16 * 1024 };

static void *left[LEFT];

static size_t bytes_of(unsigned i)
{
    return i % 50 == 49 ? 20000 + i * 100 : 16 + i * 13 % 3000;
}

static void *live(void *failed)
{
    void *block[BLOCKS];

    for (unsigned i = 0; i < BLOCKS; i++) {
        block[i] = malloc(bytes_of(i));
        if (block[i] == NULL) return failed;
        memset(block[i], (int)i, bytes_of(i));
    }
    for (unsigned i = 0; i < LEFT; i++) {
        free(left[i]);
        left[i] = block[i];
    }
    for (unsigned i = LEFT; i < BLOCKS; i++) free(block[i]);
    return NULL;
}

static int one_thread(void)
{
    pthread_t thread;
    void *failed = NULL;
    static char mark;

    if (pthread_create(&thread, NULL, live, &mark) != 0) return 1;
    pthread_join(thread, &failed);
    return failed != NULL;
}

/* Address space and resident memory, in KiB. */
static void measure(long *space, long *resident)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    long unit = sysconf(_SC_PAGESIZE) / 1024;

    if (statm == NULL || fscanf(statm, "%ld %ld", space, resident) != 2) exit(99);
    fclose(statm);
    *space *= unit;
    *resident *= unit;
}

int main(int argc, char **argv)
{
    long space_before, before, space_after, after;

    (void)argc;
    preloaded_start(argv);
    for (unsigned i = 0; i < WARM_UP; i++)
        if (one_thread() != 0) return 99;
    measure(&space_before, &before);
    for (unsigned i = 0; i < THREADS; i++)
        if (one_thread() != 0) return 99;
    measure(&space_after, &after);
    printf("flat: %d threads: resident %+ld KiB to %ld, address space %+ld KiB to %ld\n", THREADS, after - before, after,
           space_after - space_before, space_after);
    return after - before < GROWTH_KIB && space_after - space_before < SPACE_KIB ? EXIT_SUCCESS : EXIT_FAILURE;
}
