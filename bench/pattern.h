/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* pattern.h -- what one pattern of bench_patterns is, and what the patterns share.
 *
 * Owns:    struct pattern, the lists of the patterns_*.c files, the little tools that patterns use.
 * Always:  nothing of the bench itself is made by malloc: tables are static or from pattern_pages, so that
 *          peak and rest are the allocator's.
 * Why:     one program with a pattern argument, a fresh process for each: a pattern must not find what
 * another one left behind, and its peak is its own. */
#ifndef PATTERN_H
#define PATTERN_H

#include "bench.h"
#include <sys/mman.h>

enum { PATTERN_MIN_BYTES = 8, PATTERN_MAX_BYTES = 1024 }; /* "mixed" blocks */

struct worker {
    unsigned number, threads; /* of threads */
    uint64_t random;          /* state of bench_random, one for each worker */
    void *own;                /* what start made for this worker */
};

struct pattern {
    const char *name;
    unsigned threads;                  /* unless -t says another number */
    unsigned fewest, multiple;         /* what -t may say */
    unsigned warm;                     /* steps of each thread before it is measured (10) */
    void (*begin)(unsigned, uint64_t); /* threads, seed: before the threads; or NULL */
    void (*start)(struct worker *);    /* in each thread, before it is measured; or NULL */
    uint64_t (*step)(struct worker *); /* some work, a millisecond at most where it can be; operations done */
    void (*close)(void);               /* wake whoever waits: no more steps are wanted; or NULL */
    void (*stop)(struct worker *);     /* in each thread: give back every block; or NULL */
    void (*end)(void);                 /* when the threads are gone: give back what they shared; or NULL */
    const char *operation;             /* what is counted */
};

/* Each ends with an entry without a name. */
extern const struct pattern patterns_small[], patterns_shape[], patterns_large[], patterns_queue[],
    patterns_threads[], patterns_process[];

/* Memory for tables, zero and not from malloc. */
static inline void *pattern_pages(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) _exit(2);
    return pages;
}

static inline void pattern_fail(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(3);
    _exit(2);
}

/* A block that somebody is going to use: there, and its first bytes written. */
static inline void *pattern_used(void *block, size_t bytes)
{
    block = bench_keep(block);
    if (!block) pattern_fail("bench: no block\n");
    if (bytes >= sizeof(uint64_t))
        *(volatile uint64_t *)block = bytes;
    else if (bytes > 0)
        *(volatile char *)block = 1;
    return block;
}

static inline void *pattern_block(size_t bytes) { return pattern_used(malloc(bytes), bytes); }
static inline void pattern_free(void *block) { free(bench_keep(block)); }

/* From `min` to `max`, both possible. */
static inline size_t pattern_between(uint64_t *random, size_t min, size_t max)
{
    return min + (size_t)((bench_random(random) >> 32) * (max - min + 1) >> 32);
}

static inline size_t pattern_mixed_bytes(uint64_t *random)
{
    return pattern_between(random, PATTERN_MIN_BYTES, PATTERN_MAX_BYTES);
}

/* One word in each OS page from `from` on. */
static inline void pattern_touch(void *block, size_t from, size_t bytes)
{
    enum { OS_PAGE = 4096 };
    for (size_t at = from; at < bytes; at += OS_PAGE) ((volatile char *)block)[at] = 1;
}

#endif
