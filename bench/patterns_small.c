/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* patterns_small.c -- small blocks of one thread: one at a time, in batches, and among many live ones.
 *
 * Sizes and orders are drawn before the clock starts, into tables small enough to leave the nearest cache to
 * the allocator. */
#include "pattern.h"

enum { BATCH_BLOCKS = 1000, BATCHES = 4, LIVE_BLOCKS = 100000, STEP_PAIRS = 1000 };

static uint64_t small_tight(size_t bytes)
{
    for (unsigned i = 0; i < STEP_PAIRS; i++) pattern_free(pattern_block(bytes));
    return STEP_PAIRS;
}

static uint64_t small_tight16(struct worker *worker)
{
    (void)worker;
    return small_tight(16);
}
static uint64_t small_tight1000(struct worker *worker)
{
    (void)worker;
    return small_tight(1000);
}

enum order { LIFO, FIFO, RANDOM };

struct batches {                                                        /* one worker's */
    uint16_t bytes[BATCHES][BATCH_BLOCKS], turn[BATCHES][BATCH_BLOCKS]; /* which block is freed next */
    void *block[BATCH_BLOCKS];
    unsigned next;
};

static void small_shuffle(uint16_t *turn, uint64_t *random)
{
    for (unsigned i = BATCH_BLOCKS - 1; i > 0; i--) {
        unsigned j = (unsigned)pattern_between(random, 0, i);
        uint16_t kept = turn[i];
        turn[i] = turn[j];
        turn[j] = kept;
    }
}

static void small_draw(struct worker *worker, enum order order, size_t min, size_t max, size_t align)
{
    struct batches *batches = worker->own = pattern_pages(sizeof *batches);
    for (unsigned b = 0; b < BATCHES; b++) {
        for (unsigned i = 0; i < BATCH_BLOCKS; i++) {
            size_t bytes = pattern_between(&worker->random, min, max);
            batches->bytes[b][i] = (uint16_t)((bytes + align - 1) / align * align);
            batches->turn[b][i] = (uint16_t)(order == LIFO ? BATCH_BLOCKS - 1 - i : i);
        }
        if (order == RANDOM) small_shuffle(batches->turn[b], &worker->random);
    }
}

static void small_draw_lifo64(struct worker *worker) { small_draw(worker, LIFO, 64, 64, 1); }
static void small_draw_lifo(struct worker *worker)
{
    small_draw(worker, LIFO, PATTERN_MIN_BYTES, PATTERN_MAX_BYTES, 1);
}
static void small_draw_fifo(struct worker *worker)
{
    small_draw(worker, FIFO, PATTERN_MIN_BYTES, PATTERN_MAX_BYTES, 1);
}
static void small_draw_random(struct worker *worker)
{
    small_draw(worker, RANDOM, PATTERN_MIN_BYTES, PATTERN_MAX_BYTES, 1);
}
static void small_draw_aligned(struct worker *worker)
{
    small_draw(worker, RANDOM, PATTERN_MIN_BYTES, PATTERN_MAX_BYTES, 64);
}

static uint64_t small_batch(struct worker *worker)
{
    struct batches *batches = worker->own;
    unsigned b = batches->next = (batches->next + 1) % BATCHES;
    for (unsigned i = 0; i < BATCH_BLOCKS; i++) batches->block[i] = pattern_block(batches->bytes[b][i]);
    for (unsigned i = 0; i < BATCH_BLOCKS; i++) pattern_free(batches->block[batches->turn[b][i]]);
    return BATCH_BLOCKS;
}

static uint64_t small_aligned(struct worker *worker)
{
    struct batches *batches = worker->own;
    unsigned b = batches->next = (batches->next + 1) % BATCHES;
    for (unsigned i = 0; i < BATCH_BLOCKS; i++) {
        size_t bytes = batches->bytes[b][i];
        batches->block[i] = pattern_used(aligned_alloc(64, bytes), bytes);
    }
    for (unsigned i = 0; i < BATCH_BLOCKS; i++) pattern_free(batches->block[batches->turn[b][i]]);
    return BATCH_BLOCKS;
}

static void small_live_start(struct worker *worker)
{
    void **block = worker->own = pattern_pages(LIVE_BLOCKS * sizeof *block);
    for (unsigned i = 0; i < LIVE_BLOCKS; i++) block[i] = pattern_block(pattern_mixed_bytes(&worker->random));
}

static uint64_t small_live(struct worker *worker)
{
    void **block = worker->own;
    for (unsigned i = 0; i < STEP_PAIRS; i++) {
        size_t at = pattern_between(&worker->random, 0, LIVE_BLOCKS - 1);
        pattern_free(block[at]);
        block[at] = pattern_block(pattern_mixed_bytes(&worker->random));
    }
    return STEP_PAIRS;
}

static void small_live_stop(struct worker *worker)
{
    void **block = worker->own;
    for (unsigned i = 0; i < LIVE_BLOCKS; i++) pattern_free(block[i]);
}

#define PAIR "pair of malloc and free"
const struct pattern patterns_small[] = {
    { .name = "tight16", .step = small_tight16, .operation = PAIR ", 16 bytes, one at a time" },
    { .name = "tight1000", .step = small_tight1000, .operation = PAIR ", 1,000 bytes, one at a time" },
    { .name = "lifo64",
      .start = small_draw_lifo64,
      .step = small_batch,
      .operation = PAIR ", batches of 1,000 blocks of 64 bytes, freed last first" },
    { .name = "lifo",
      .start = small_draw_lifo,
      .step = small_batch,
      .operation = PAIR ", batches of 1,000 blocks of 8 to 1,024 bytes, freed last first" },
    { .name = "fifo",
      .start = small_draw_fifo,
      .step = small_batch,
      .operation = PAIR ", the same, freed first first" },
    { .name = "random",
      .start = small_draw_random,
      .step = small_batch,
      .operation = PAIR ", the same, freed in any order" },
    { .name = "aligned64",
      .start = small_draw_aligned,
      .step = small_aligned,
      .operation = "pair of aligned_alloc(64) and free, batches of 1,000, any order" },
    { .name = "live100k",
      .start = small_live_start,
      .step = small_live,
      .stop = small_live_stop,
      .operation = "one of 100,000 live blocks replaced" },
    { .name = NULL },
};
