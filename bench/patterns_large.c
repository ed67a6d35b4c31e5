/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* patterns_large.c -- big blocks, growing blocks, and zeroed ones.  One thread. */
#include "pattern.h"

enum { KIB = 1024, MIB = 1024 * KIB };

/* -- 32 KB to 1 MB, sixteen live at a time. */

enum { BIG_LIVE = 16, BIG_STEP = 64 };
static void *large_live[BIG_LIVE];

static uint64_t large_replace(struct worker *worker, bool touch)
{
    for (unsigned i = 0; i < BIG_STEP; i++) {
        size_t bytes = pattern_between(&worker->random, 32 * KIB, MIB);
        void **at = &large_live[pattern_between(&worker->random, 0, BIG_LIVE - 1)];
        pattern_free(*at);
        *at = pattern_block(bytes);
        if (touch) pattern_touch(*at, 0, bytes);
    }
    return BIG_STEP;
}

static uint64_t large_big(struct worker *worker) { return large_replace(worker, false); }
static uint64_t large_bigtouch(struct worker *worker) { return large_replace(worker, true); }

static void large_big_stop(struct worker *worker)
{
    (void)worker;
    for (unsigned i = 0; i < BIG_LIVE; i++) pattern_free(large_live[i]);
}

/* -- Growth: two vectors side by side, so that neither is always the last thing in memory; by halves or in
 * steps. */

enum { GROW_FROM = 4 * KIB, GROW_TO = 64 * MIB, LINEAR_STEP = 4 * KIB, LINEAR_TO = 4 * MIB, VECTORS = 2 };

static uint64_t large_grow(size_t to, size_t step)
{
    void *block[VECTORS];
    uint64_t operations = 0;
    for (unsigned v = 0; v < VECTORS; v++) block[v] = pattern_block(GROW_FROM);
    for (size_t more, bytes = GROW_FROM; bytes < to; bytes = more) {
        more = step ? bytes + step : bytes + bytes / 2;
        if (more > to) more = to;
        for (unsigned v = 0; v < VECTORS; v++, operations++) {
            block[v] = pattern_used(realloc(bench_keep(block[v]), more), more);
            pattern_touch(block[v], bytes, more);
        }
    }
    for (unsigned v = 0; v < VECTORS; v++) pattern_free(block[v]);
    return operations;
}

static uint64_t large_regrow(struct worker *worker)
{
    (void)worker;
    return large_grow(GROW_TO, 0);
}
static uint64_t large_relin(struct worker *worker)
{
    (void)worker;
    return large_grow(LINEAR_TO, LINEAR_STEP);
}

/* -- Zeroed blocks, eight live at a time; dirty: the memory was written before it came back. */

enum { ZERO_LIVE = 8 };

static uint64_t large_zeroed(size_t bytes, bool dirty)
{
    void *block[ZERO_LIVE];
    for (unsigned i = 0; i < ZERO_LIVE; i++) {
        block[i] = pattern_used(calloc(1, bytes), bytes);
        if (dirty) memset(block[i], 0xA5, bytes);
    }
    for (unsigned i = 0; i < ZERO_LIVE; i++) pattern_free(block[i]);
    return ZERO_LIVE;
}

/* A step of many small rounds: the clock is not to be read for each. */
static uint64_t large_zeroed_often(bool dirty)
{
    uint64_t operations = 0;
    for (unsigned i = 0; i < 64; i++) operations += large_zeroed(4 * KIB, dirty);
    return operations;
}

static uint64_t large_calloc4k(struct worker *worker)
{
    (void)worker;
    return large_zeroed_often(false);
}
static uint64_t large_calloc4kdirty(struct worker *worker)
{
    (void)worker;
    return large_zeroed_often(true);
}
static uint64_t large_calloc1m(struct worker *worker)
{
    (void)worker;
    return large_zeroed(MIB, false);
}
static uint64_t large_calloc1mdirty(struct worker *worker)
{
    (void)worker;
    return large_zeroed(MIB, true);
}

#define ZEROED "pair of calloc and free, eight live, "
const struct pattern patterns_large[] = {
    { .name = "big",
      .step = large_big,
      .stop = large_big_stop,
      .operation = "one of 16 live blocks of 32 KB to 1 MB replaced" },
    { .name = "bigtouch",
      .step = large_bigtouch,
      .stop = large_big_stop,
      .operation = "the same, every OS page written" },
    { .name = "regrow",
      .warm = 1,
      .step = large_regrow,
      .operation = "realloc of one of two blocks that grow by halves to 64 MB, written" },
    { .name = "relin",
      .warm = 2,
      .step = large_relin,
      .operation = "realloc of one of two blocks that grow to 4 MB in steps of 4 KB, written" },
    { .name = "calloc4k", .step = large_calloc4k, .operation = ZEROED "4 KB, one word written" },
    { .name = "calloc4kdirty", .step = large_calloc4kdirty, .operation = ZEROED "4 KB, all of it written" },
    { .name = "calloc1m", .step = large_calloc1m, .operation = ZEROED "1 MB, one word written" },
    { .name = "calloc1mdirty", .step = large_calloc1mdirty, .operation = ZEROED "1 MB, all of it written" },
    { .name = NULL },
};
