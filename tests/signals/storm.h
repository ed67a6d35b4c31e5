/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* storm.h -- blocks that say whose they are, for programs that interrupt themselves. */
#ifndef STORM_H
#define STORM_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 60 };

static inline uint64_t storm_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static inline size_t storm_size(uint64_t random)
{
    const unsigned kind = random >> 40 & 31;
    return kind == 31 ? random % 300000 : kind >= 28 ? random % 20000 : random % 600;
}

/* A block that two hold at once says something else to one of them. */
struct note { uint32_t *block; size_t bytes; uint32_t mark; };

static inline _Noreturn void storm_fail(const char *what)
{
    (void)!write(2, what, strlen(what));
    (void)!write(2, "\n", 1);
    _exit(1);
}

static inline void note_write(struct note *no, void *block, size_t bytes, uint32_t mark)
{
    uint32_t *words = block;
    no->bytes = bytes / sizeof *words;
    no->mark = mark;
    for (size_t i = 0; i < no->bytes; i += i < 8 ? 1 : 97) words[i] = mark;
    atomic_signal_fence(memory_order_seq_cst); /* who is interrupted here, and never comes back, has no note */
    *(uint32_t *volatile *)&no->block = words;
}

static inline void note_check(const struct note *no)
{
    for (size_t i = 0; i < no->bytes; i += i < 8 ? 1 : 97)
        if (no->block[i] != no->mark) storm_fail("a block was given twice");
}

static inline double storm_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One signal, for handlers that may take longer than the time between two. */
static inline void storm_once(int microseconds)
{
    const struct itimerval once = {{0, 0}, {0, microseconds}};
    setitimer(ITIMER_REAL, &once, NULL);
}

static inline void storm_timer(int microseconds)
{
    const struct itimerval every = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &every, NULL);
}

#endif
